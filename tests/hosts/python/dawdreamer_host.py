"""The VST3 in DawDreamer, which shows every output channel: PDC, stems, blocks, rates, buses, automation, states.

DawDreamer renders offline and leaves the compensation to its user. Of the bundle's classes it takes the one with an
output per stem.
"""

import dawdreamer
import numpy as np

from common import (
    BUDGET_MILLIS,
    LATENCY,
    RATE,
    arguments,
    index_of,
    load,
    must,
    must_null,
    noise,
    read_wav,
    settings_of,
    state_of,
    with_settings,
)

ARGS = arguments()
MAIN, VOCALS, OTHER, CLICK = 0, 1, 6, 7
# Kept until the end: DawDreamer takes a processor's engine away while the processor still needs it.
KEPT = []


def make(engine, name="plugin", budget_millis=BUDGET_MILLIS):
    plugin = engine.make_plugin_processor(name, ARGS.bundle)
    load(plugin, with_settings(state_of(plugin), server=ARGS.server, budget_millis=budget_millis))
    return plugin


def render(song, block=512, rate=RATE, budget_millis=BUDGET_MILLIS, prepare=None):
    """All channels that come out, the latency taken off, as long as the song."""
    engine = dawdreamer.RenderEngine(rate, block)
    plugin = make(engine, budget_millis=budget_millis)
    if prepare:
        prepare(plugin)
    latency = round(rate * budget_millis / 1e3)
    padded = np.pad(song, ((0, 0), (0, latency + block)))
    playback = engine.make_playback_processor("song", padded)
    engine.load_graph([(playback, []), (plugin, ["song"])])
    # Half a frame more, since it rounds the time down.
    engine.render((song.shape[1] + latency + 0.5) / rate)
    out = engine.get_audio()[:, latency : latency + song.shape[1]].copy()
    must("the latency is the budget", plugin.get_latency_samples() == latency, plugin.get_latency_samples())
    KEPT.append((engine, plugin, playback))
    return out


def bus(out, index):
    return out[2 * index : 2 * index + 2]


def rates_blocks_and_budgets():
    for rate, budget in [(44_100, 400.0), (48_000, 600.0), (96_000, 600.0)]:
        song = noise(1, rate)
        must_null(f"nulls at {rate} Hz, {budget} ms", bus(render(song, 512, rate, budget), MAIN), song)
    reference = None
    for block in (64, 441, 4_096, 8_192):
        song = noise(2, RATE)
        out = render(song, block)
        must_null(f"nulls in blocks of {block}", bus(out, MAIN), song)
        reference = out if reference is None else reference
        must("and the stems are the same", np.array_equal(out, reference))
    song = noise(3, 4_000)
    must_null("nulls in blocks of 1", bus(render(song, 1), MAIN), song)


def stems():
    song = read_wav(ARGS.folder / "song.wav")
    out = render(song)
    must("all buses are there", out.shape[0] == 16, out.shape)
    must_null("vocals are the command's", bus(out, VOCALS), read_wav(ARGS.folder / "vocals.wav"))
    must_null("the rest is the command's", bus(out, OTHER), read_wav(ARGS.folder / "accompaniment.wav"))
    must_null("the main output is the song", bus(out, MAIN), song)
    others = [bus(out, index) for index in (2, 3, 4, 5, CLICK)]
    must("the others are silent", not np.any(others))
    must("the same again, to the bit", np.array_equal(out, render(song)))


def buses():
    song = read_wav(ARGS.folder / "song.wav")[:, : 2 * RATE]
    whole = render(song)

    def without(plugin):
        must("buses can be disabled", plugin.disable_nonmain_buses())

    def with_again(plugin):
        plugin.disable_nonmain_buses()
        plugin.enable_all_buses()

    def muted(plugin):
        without(plugin)
        plugin.set_parameter(index_of(plugin, "Other Mute"), 1.0)

    must_null("the main bus alone", bus(render(song, prepare=without), MAIN), song)
    must_null("the main bus alone, still with stems inside", bus(render(song, prepare=muted), MAIN), bus(whole, VOCALS))
    must("enabled again it is as before", np.array_equal(render(song, prepare=with_again), whole))


def automation():
    song = noise(4, RATE)
    at = 20_480
    lane = np.zeros(3 * RATE, dtype=np.float32)
    lane[at:] = 1.0

    def mute_all(plugin):
        for name in ("Vocals Mute", "Other Mute"):
            must(f"{name} can be automated", plugin.set_automation(index_of(plugin, name), lane))

    outs = [bus(render(song, block, prepare=mute_all), MAIN) for block in (64, 512)]
    for out, block in zip(outs, (64, 512)):
        first = int(np.argmax((out != song).any(axis=0)))
        # DawDreamer tells a value once per block.
        must(f"heard at its frame in blocks of {block}", at <= first <= at + 2, f"{first} for {at}")
        must("silent behind it", not np.any(out[:, at + 2_048 :]))
    must("the same in other blocks", np.array_equal(*outs))


def states():
    engine = dawdreamer.RenderEngine(RATE, 512)
    plugin = make(engine, budget_millis=440.0)
    plugin.set_parameter(index_of(plugin, "Vocals Gain"), 0.25)
    plugin.set_parameter(index_of(plugin, "Drums Mute"), 1.0)
    # DawDreamer tells the plugin with the next sound.
    playback = engine.make_playback_processor("song", noise(6, RATE))
    engine.load_graph([(playback, []), (plugin, ["song"])])
    engine.render(0.1)
    state = state_of(plugin)
    again = engine.make_plugin_processor("again", ARGS.bundle)
    load(again, state)
    must("settings come back", settings_of(state_of(again)) == settings_of(state))
    must("the server does", settings_of(state)["server"] == ARGS.server)
    for name, value in (("Vocals Gain", 0.25), ("Drums Mute", 1.0), ("Bass Solo", 0.0)):
        got = again.get_parameter(index_of(again, name))
        must(f"{name} does", abs(got - value) < 1e-6, got)
    must("so does the latency", again.get_latency_samples() == round(0.44 * RATE), again.get_latency_samples())
    KEPT.append((engine, plugin, again, playback))


def eight():
    songs = [noise(seed, RATE) for seed in range(8)]
    engine = dawdreamer.RenderEngine(RATE, 512)
    graph, plugins = [], []
    for number, song in enumerate(songs):
        playback = engine.make_playback_processor(f"song{number}", np.pad(song, ((0, 0), (0, LATENCY + 512))))
        plugin = make(engine, f"plugin{number}")
        plugin.record = True
        plugins.append(plugin)
        graph += [(playback, []), (plugin, [f"song{number}"])]
        KEPT.append((playback, plugin))
    engine.load_graph(graph)
    engine.render((RATE + LATENCY + 0.5) / RATE)
    for number, (plugin, song) in enumerate(zip(plugins, songs)):
        out = plugin.get_audio()[:, LATENCY : LATENCY + RATE]
        must_null(f"number {number} of eight", bus(out, MAIN), song)
        must("it has its vocals", np.abs(bus(out, VOCALS)).max() > 0)
    KEPT.append(engine)


for check in (stems, rates_blocks_and_budgets, buses, automation, states, eight):
    print(check.__name__.replace("_", " "), flush=True)
    check()
print("all passed", flush=True)
