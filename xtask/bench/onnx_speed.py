"""Seconds that the same htdemucs ONNX file takes from Python's onnxruntime on SONG: as many windows as an
overlap of a quarter makes, each with its STFT and inverse in NumPy, as the package's own users write it."""
import json, os, sys, time

import numpy as np, onnxruntime, soundfile

N_FFT, STEP, COLUMNS, WINDOW = 4096, 1024, 336, 343_980
HANN = np.hanning(N_FFT + 1)[:-1].astype(np.float32)


def spectrum(mix):
    """[2, WINDOW] -> [1, 4, 2048, 336], complex as channels."""
    left = STEP // 2 * 3
    mix = np.pad(mix, ((0, 0), (left, left + COLUMNS * STEP - WINDOW)), mode="reflect")
    mix = np.pad(mix, ((0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mix, N_FFT, axis=1)[:, ::STEP]
    z = np.fft.rfft(frames * HANN, axis=-1)[:, 2 : 2 + COLUMNS, :-1] / np.sqrt(N_FFT)
    z = z.transpose(0, 2, 1)
    return np.stack([z[0].real, z[0].imag, z[1].real, z[1].imag])[None].astype(np.float32)


def waves(spectra):
    """[4, 4, 2048, 336] -> [4, 2, WINDOW]."""
    z = np.zeros((4, 2, N_FFT // 2 + 1, COLUMNS + 4), np.complex64)
    z[:, :, :-1, 2:-2] = spectra[:, 0::2] + 1j * spectra[:, 1::2]
    frames = np.fft.irfft(z.transpose(0, 1, 3, 2) * np.sqrt(N_FFT), axis=-1).astype(np.float32) * HANN
    total = (COLUMNS + 3) * STEP + N_FFT
    out, weight = np.zeros((4, 2, total), np.float32), np.zeros(total, np.float32)
    for column in range(COLUMNS + 4):
        at = slice(column * STEP, column * STEP + N_FFT)
        out[..., at] += frames[:, :, column]
        weight[at] += HANN**2
    start = N_FFT // 2 + STEP // 2 * 3
    return out[..., start : start + WINDOW] / weight[start : start + WINDOW]


samples, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
mix = samples.T
path = os.path.join(sys.argv[2], "window-336.onnx")  # the package's own graph, weights kept beside it
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
inputs = [i.name for i in session.get_inputs()]
began = time.perf_counter()
windows = 0
result, weight = np.zeros((4, *mix.shape), np.float32), np.zeros(mix.shape[1], np.float32)
ramp = np.minimum(np.arange(1, WINDOW + 1), np.arange(WINDOW, 0, -1)).astype(np.float32)
for start in range(0, mix.shape[1], WINDOW * 3 // 4):
    piece = mix[:, start : start + WINDOW]
    length = piece.shape[1]
    mean, deviation = piece.mean(0).mean(), piece.mean(0).std() + 1e-8
    window = np.pad((piece - mean) / deviation, ((0, 0), (0, WINDOW - length))).astype(np.float32)
    spectral, wave = session.run(None, {inputs[0]: window[None], inputs[1]: spectrum(window)})
    stems = (waves(spectral[0]) + wave[0]) * deviation + mean
    result[..., start : start + length] += (stems * ramp)[..., :length]
    weight[start : start + length] += ramp[:length]
    windows += 1
result /= weight
took = time.perf_counter() - began
print(json.dumps({"separate_seconds": took, "windows": windows, "onnxruntime": onnxruntime.__version__}))
