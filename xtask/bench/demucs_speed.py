"""Seconds that PyPI demucs takes to separate SONG with an HTDemucs of the published size.

The weights are random: they change what comes out, not how long it takes.
"""
import json, sys, time
from fractions import Fraction

import soundfile, torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs

samples, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
torch.manual_seed(1)
model = HTDemucs(
    ["drums", "bass", "other", "vocals"], channels=48, bottom_channels=512, dconv_mode=3, segment=Fraction(39, 5)
).eval()
mix = torch.from_numpy(samples.T.copy())[None]
with torch.no_grad():
    began = time.perf_counter()
    apply_model(model, mix, shifts=0, split=True, overlap=0.25)
    took = time.perf_counter() - began
size = sum(p.numel() for p in model.parameters())
print(json.dumps({"separate_seconds": took, "parameters": size, "torch": torch.__version__}))
