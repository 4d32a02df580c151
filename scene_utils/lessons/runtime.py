"""One way of running a model, measured in a process of its own: ``python runtime.py KIND MODEL IMAGES ANSWERS``.

It imports nothing of this package, so that the memory is that of the runtime and the model. KIND is ``eager``,
``compiled`` (MODEL: a file of ``torch.export``) or ``onnx``; IMAGES and ANSWERS are files of NumPy: uint8
(N, 3, 64, 64) and the logits, float32 (N, classes). It prints JSON: milliseconds of one core for an image, one at a
time (``single_ms``) and in batches (``batch_ms``), and the process's memory after the first answer, ``memory_mb``.
"""

import json
import statistics
import sys
import time

import numpy as np
import psutil

BATCH = 32
SINGLES = 20  # timed images, one at a time


def load(kind: str, path: str):
    """Return a function of uint8 images that returns logits, with one thread."""
    if kind == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"pixels": images})[0]
    import torch

    torch.set_num_threads(1)
    net = torch.export.load(path).module()
    net = torch.compile(net, dynamic=True) if kind == "compiled" else net

    @torch.inference_mode()
    def answer(images: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(images)).numpy()

    return answer


def milliseconds(answer, images: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the milliseconds of processor time that a call takes, and what it answers."""
    began = time.process_time()
    logits = answer(images)
    return 1000 * (time.process_time() - began), logits


def main(kind: str, path: str, images: str, answers: str) -> None:
    pixels = np.load(images)
    answer = load(kind, path)
    answer(pixels[:1])
    memory = psutil.Process().memory_info().rss
    answer(pixels[:BATCH])  # compiles, and reserves memory
    singles = [milliseconds(answer, pixels[[i % len(pixels)]])[0] for i in range(SINGLES)]
    chunks = [pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)]
    spent, logits = zip(*(milliseconds(answer, chunk) for chunk in chunks), strict=True)
    np.save(answers, np.concatenate(logits))
    told = {"single_ms": statistics.median(singles), "batch_ms": sum(spent) / len(pixels), "memory_mb": memory / 1e6}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
