"""The VST3 in pedalboard, which compensates the latency by itself and disables all buses but the main one.

pedalboard renders offline, in blocks of up to 8192 frames.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pedalboard

from common import (
    BUDGET_MILLIS,
    LATENCY,
    RATE,
    arguments,
    must,
    must_null,
    noise,
    read_wav,
    settings_of,
    with_settings,
)

ARGS = arguments()


def make(name, budget_millis=BUDGET_MILLIS):
    plugin = pedalboard.load_plugin(ARGS.bundle, plugin_name=name)
    plugin.raw_state = with_settings(plugin.raw_state, server=ARGS.server, budget_millis=budget_millis)
    return plugin


def rates_blocks_and_budgets(name):
    for rate, budget in [(44_100, 400.0), (48_000, 600.0), (96_000, 600.0)]:
        plugin, song = make(name, budget), noise(1, rate)
        must_null(f"nulls at {rate} Hz, {budget} ms", plugin.process(song, rate, buffer_size=512), song)
        latency = plugin.reported_latency_samples
        must("the latency is the budget", latency == round(rate * budget / 1e3), latency)
    plugin = make(name)
    for block in (64, 441, 4_096, 8_192):
        song = noise(2, RATE)
        must_null(f"nulls in blocks of {block}", plugin.process(song, RATE, buffer_size=block), song)
    song = noise(3, 4_000)
    must_null("nulls in blocks of 1", plugin.process(song, RATE, buffer_size=1), song)


def stems(name):
    song = read_wav(ARGS.folder / "song.wav")
    for muted, left in (("other_mute", "vocals"), ("vocals_mute", "accompaniment")):
        plugin = make(name)
        setattr(plugin, muted, True)
        out = plugin.process(song, RATE, buffer_size=512)
        must_null(f"{left}: the command's", out, read_wav(ARGS.folder / f"{left}.wav"))
        again = plugin.process(song, RATE, buffer_size=512)
        must("the same again, to the bit", np.array_equal(out, again))
        other_blocks = plugin.process(song, RATE, buffer_size=8_192)
        must("the same in other blocks", np.array_equal(out, other_blocks))


def mono(name):
    if name != "RehearseKit":
        # pedalboard does not offer one channel to a class with further outputs.
        return
    plugin, song = make(name), noise(5, RATE, channels=1)
    out = plugin.process(song, RATE)
    must_null("one channel", out, np.repeat(song, out.shape[0], axis=0))


def states(name):
    plugin = make(name, 440.0)
    plugin.vocals_gain_db = -6.0
    plugin.drums_mute = True
    # pedalboard tells the plugin with the next sound.
    plugin.process(noise(6, 1_024), RATE)
    state, again = plugin.raw_state, make(name)
    again.raw_state = state
    must("settings come back", settings_of(again.raw_state) == settings_of(state))
    must("the server does", settings_of(state)["server"] == ARGS.server)
    must("the fader does", abs(again.vocals_gain_db - -6.0) < 1e-3, again.vocals_gain_db)
    must("the mute does", bool(again.drums_mute))
    expected = round(0.44 * RATE)
    must("so does the latency", again.reported_latency_samples == expected, again.reported_latency_samples)


def eight(name):
    plugins, songs = [make(name) for _ in range(8)], [noise(seed, RATE) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        outs = list(pool.map(lambda pair: pair[0].process(pair[1], RATE, buffer_size=512), zip(plugins, songs)))
    for number, (out, song) in enumerate(zip(outs, songs)):
        must_null(f"number {number} of eight", out, song)


NAMES = sorted(pedalboard.VST3Plugin.get_plugin_names_for_file(ARGS.bundle))
must("both classes are found", NAMES == ["RehearseKit", "RehearseKit Stems"], NAMES)
for NAME in NAMES:
    for check in (stems, rates_blocks_and_budgets, mono, states, eight):
        print(f"{NAME}: {check.__name__.replace('_', ' ')}", flush=True)
        check(NAME)
print("all passed", flush=True)
