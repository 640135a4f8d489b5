"""The VST3's click in DawDreamer: on the beats of the heard audio, to the frame. The song is silence.

DawDreamer tells a tempo and a position in beats per block, four fourths always, and no bar position. Its tempo stands
still within a block, and its beats add up from block to block: so what it says is a map that is known exactly. It always
plays from the start; a second render begins there again.
"""

import wave

import dawdreamer
import numpy as np

from common import BUDGET_MILLIS, arguments, index_of, load, must, state_of, with_settings

ARGS = arguments()
MAIN, CLICK = 0, 7
KIND_GAINS = (0.35, 0.65, 1.0)
BLOCKS = (64, 441, 512, 2_048)
# Kept until the end: DawDreamer takes a processor's engine away while the processor still needs it.
KEPT = []


def impulse(rate):
    """A click of one sample: whatever else comes out is no click, or two."""
    path = ARGS.folder / f"impulse{rate}.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 1, "NONE", ""))
        file.writeframes(b"\0\x40")
    return str(path)


def told(rate, block, seconds, bpm, ppqn):
    """What DawDreamer says of its blocks: each one's first frame, its beats, and quarter notes per frame in it."""
    blocks, beats = [], 0.0
    for at in range(0, int(seconds * rate) + block, block):
        tempo = float(bpm[min(len(bpm) - 1, int(ppqn * beats))])
        blocks.append((at, beats, tempo / 60.0 / rate))
        beats += block / (rate * 60.0) * tempo
    return blocks


def beats_of(blocks, block, until):
    """The true frame of every beat before `until`, and its kind: 2 for a bar's first, 1 for the others."""
    clicks, beat = [], 0
    for at, beats, per_frame in blocks:
        while (frame := at + (beat - beats) / per_frame) < at + block - 0.5 and frame < until - 0.5:
            clicks.append((frame, 2 if beat % 4 == 0 else 1))
            beat += 1
    return clicks


def make(engine, rate, parameters, **settings):
    plugin = engine.make_plugin_processor("plugin", ARGS.bundle)
    # DawDreamer bounces, and a bounce without a server is none.
    settings = {"server": ARGS.server, "budget_millis": BUDGET_MILLIS, "click_file": impulse(rate)} | settings
    load(plugin, with_settings(state_of(plugin), **settings))
    for name, value in parameters.items():
        plugin.set_parameter(index_of(plugin, name), value)
    silence = np.zeros((2, 20 * rate), dtype=np.float32)
    playback = engine.make_playback_processor("silence", silence)
    engine.load_graph([(playback, []), (plugin, ["silence"])])
    KEPT.append((engine, plugin, playback))
    return plugin


def clicks_of(out):
    """The clicks on the click's own output, which the main one shares: frames and kinds."""
    main, click = out[2 * MAIN : 2 * MAIN + 2], out[2 * CLICK : 2 * CLICK + 2]
    must("main and own output are the same", np.array_equal(main, click))
    others = np.delete(out, [0, 1, 14, 15], axis=0)
    must("and both channels, and nothing is elsewhere", np.array_equal(*click) and not np.any(others))
    frames = np.flatnonzero(click[0])
    strange = [float(v) for v in click[0][frames] if v not in np.float32(KIND_GAINS)]
    must("nothing but clicks", not strange, strange[:3])
    return [(int(frame), list(np.float32(KIND_GAINS)).index(click[0][frame])) for frame in frames]


def compare(what, heard, truth):
    for (frame, kind), (at, expected) in zip(heard, truth):
        if abs(frame - at) > 0.51 or kind != expected:
            raise SystemExit(f"FAILED: {what}: a click of kind {kind} at {frame}, a beat of kind {expected} at {at}")
    worst = max(abs(frame - at) for (frame, _), (at, _) in zip(heard, truth))
    must(f"{what}: every click on its beat", len(heard) == len(truth), f"{len(heard)}, {worst:.3f} frames at worst")


ON = {"Click": 1.0, "Click Sound": 1.0}


def play(what, bpm, ppqn, seconds=9.0, rate=44_100, again=False):
    for block in BLOCKS:
        engine = dawdreamer.RenderEngine(rate, block)
        if len(bpm) == 1:
            engine.set_bpm(float(bpm[0]))
        else:
            engine.set_bpm(bpm, ppqn)
        plugin = make(engine, rate, ON)
        latency = round(rate * BUDGET_MILLIS / 1e3)
        frames = int(seconds * rate)
        truth = beats_of(told(rate, block, seconds, bpm, ppqn), block, frames)
        for _ in range(2 if again else 1):
            # Half a frame more, since it rounds the time down.
            engine.render((frames + latency + 0.5) / rate)
            out = engine.get_audio()[:, latency : latency + frames]
            compare(f"{what}, {rate} Hz, blocks of {block}", clicks_of(out), truth)
        must("the latency is the budget", plugin.get_latency_samples() == latency)


def constant():
    for rate, bpm in ((44_100, 97.3), (48_000, 120.0), (96_000, 181.0)):
        play("one tempo", np.array([bpm], dtype=np.float32), 960, rate=rate)


def steps_and_ramps():
    ppqn = 960
    step = np.repeat(np.array([100, 160, 75], dtype=np.float32), (4 * ppqn, 8 * ppqn, 1))
    play("steps", step, ppqn)
    ramp = np.concatenate([np.full(2 * ppqn, 90.0), np.linspace(90.0, 170.0, 12 * ppqn), [170.0]])
    play("a ramp", ramp.astype(np.float32), ppqn)


def from_the_start_again():
    play("twice", np.array([133.0], dtype=np.float32), 960, seconds=3.1, again=True)


def own_tempo():
    rate, seconds, one, bpm = 44_100, 6.0, 0.731, 115.0
    own = {"Click Tempo from": 1.0, "My Tempo": (bpm - 20.0) / 380.0, "My Beats per Bar": 4.0 / 15.0}
    latency, frames = round(rate * BUDGET_MILLIS / 1e3), int(seconds * rate)
    numbers = range(-10, 40)
    truth = [((one + n * 60.0 / bpm) * rate, 2 if n % 5 == 0 else 1) for n in numbers]
    truth = [(at, kind) for at, kind in truth if -0.5 <= at < frames - 0.5]
    for block in BLOCKS:
        engine = dawdreamer.RenderEngine(rate, block)
        engine.set_bpm(71.0)
        make(engine, rate, ON | own, own_one_seconds=one)
        engine.render((frames + latency + 0.5) / rate)
        out = engine.get_audio()[:, latency : latency + frames]
        compare(f"a tempo of one's own from a tapped one, blocks of {block}", clicks_of(out), truth)


for check in (constant, steps_and_ramps, from_the_start_again, own_tempo):
    print(check.__name__.replace("_", " "), flush=True)
    check()
print("all passed", flush=True)
