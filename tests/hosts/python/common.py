"""What the scripts of both Python hosts share: arguments, checks, and JUCE's project states.

Each script is one process that `tests/vst3_in_python.rs` starts with the bundle, a server and a song. A check that
fails ends it with a sentence. Nothing here may judge how long anything takes.
"""

import argparse
import json
import os
import pathlib
import struct
import tempfile
import xml.etree.ElementTree as xml

import numpy as np

RATE = 44_100
BUDGET_MILLIS = 600.0
LATENCY = 26_460
ALPHABET = ".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    return parser.parse_args()


def read_wav(path):
    """A 32-bit float WAV file as `[channel, frame]`; the wave module knows integers only."""
    data = path.read_bytes()
    at, channels = 12, 2
    while at < len(data):
        name, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            channels = struct.unpack("<H", body[2:4])[0]
        if name == b"data":
            return np.frombuffer(body, dtype="<f4").reshape(-1, channels).T.copy()
        at += 8 + size + size % 2
    raise ValueError(f"{path} has no sound")


def noise(seed, frames, channels=2):
    return (np.random.default_rng(seed).uniform(-0.25, 0.25, (channels, frames))).astype(np.float32)


def null_db(wet, dry):
    """The largest difference in dB below full scale."""
    worst = float(np.abs(wet.astype(np.float64) - dry.astype(np.float64)).max())
    return 20.0 * np.log10(worst) if worst > 0 else -np.inf


def must(what, condition, detail=""):
    if not condition:
        raise SystemExit(f"FAILED: {what}: {detail}")
    print(f"  {what}" + (f" ({detail})" if detail != "" else ""), flush=True)


def must_null(what, wet, dry):
    assert wet.shape == dry.shape, (wet.shape, dry.shape)
    level = null_db(wet, dry)
    wrong = np.flatnonzero((np.abs(wet - dry) > 1e-6).any(axis=0))
    where = f", {len(wrong)} frames from {wrong[0]} to {wrong[-1]} of {wet.shape[1]}" if len(wrong) else ""
    must(what, level < -120.0, f"{level:.0f} dB{where}")


def state_of(plugin):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "state")
        plugin.save_state(path)
        with open(path, "rb") as file:
            return file.read()


def load(plugin, state):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "state")
        with open(path, "wb") as file:
            file.write(state)
        plugin.load_state(path)


def index_of(plugin, name):
    return next(p["index"] for p in plugin.get_parameters_description() if p["name"] == name)


def settings_of(state):
    """What the player set, in a project state of JUCE's: without the stems, which the plugin learns when the server
    answers, at a moment of its own."""
    document = json.loads(unpacked(state))
    settings = json.loads(document["fields"]["settings"])
    settings.pop("stems")
    return settings


def with_settings(state, **changes):
    """The same project state with other settings."""
    root = root_of(state)
    part = root.find("IComponent")
    document = json.loads(decode(part.text))
    settings = json.loads(document["fields"]["settings"]) | changes
    document["fields"]["settings"] = json.dumps(settings)
    part.text = encode(json.dumps(document).encode())
    text = b'<?xml version="1.0" encoding="UTF-8"?> ' + xml.tostring(root)
    return state[:4] + struct.pack("<I", len(text)) + text + b"\0"


def root_of(state):
    length = struct.unpack("<I", state[4:8])[0]
    return xml.fromstring(state[8 : 8 + length].rstrip(b"\0"))


def unpacked(state):
    return decode(root_of(state).find("IComponent").text)


def decode(text):
    """JUCE's base 64: the number of bytes, a dot, and six bits per character, the lowest first."""
    count, _, characters = text.partition(".")
    number = sum(ALPHABET.index(character) << (6 * i) for i, character in enumerate(characters))
    return (number & ((1 << (8 * int(count))) - 1)).to_bytes(int(count), "little")


def encode(data):
    number, characters = int.from_bytes(data, "little"), -(-8 * len(data) // 6)
    return f"{len(data)}." + "".join(ALPHABET[(number >> (6 * i)) & 63] for i in range(characters))
