"""Kill trainings at random moments, start them again, and compare the end with an uninterrupted run's, bit by bit.

``python tests/benchmarks/kills.py 20`` kills twenty and prints how many ended with identical weights and history.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {
    "LeNet, one-cycle, Mixup": {"net": "lenet", "schedule": "one-cycle", "mixup": 0.4, "augmentation": "flip+crop"},
    "ResNet18, cosine, EMA": {"net": "resnet18", "schedule": "cosine", "ema": 0.9, "images": 64},
    "LeNet, AdamW, multistep, EMA, Mixup": {
        "net": "lenet", "optimizer": "adamw", "learning_rate": 1e-3, "schedule": "multistep",
        "milestones": [2, 3], "ema": 0.95, "mixup": 0.2,
    },
    "AlexNet, dropout, constant": {"net": "alexnet", "schedule": "constant", "images": 32},
}  # fmt: skip
EPOCHS = 4


def train(case: dict, checkpoint: Path) -> dict:
    """Train one case in float32 (going on from ``checkpoint``); return its weights' hash and its history."""
    import torch

    from scene_utils import data, models, training
    from scene_utils.recipe import Recipe

    case = dict(case)
    nets = {"lenet": models.LeNet, "alexnet": models.AlexNet, "resnet18": lambda: models.resnet(18)}
    torch.manual_seed(0)
    model = nets[case.pop("net")]()
    recipe = Recipe(
        **{"epochs": EPOCHS, "batch_size": 32, "learning_rate": 0.01, "precision": "float32"} | case
    )
    history = training.fit(model, *data.holdout_split(data.load_sample().train), recipe, checkpoint)
    weights = hashlib.sha256(b"".join(v.numpy().tobytes() for v in model.state_dict().values())).hexdigest()
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "elapsed")} for row in history.epochs]
    return {"weights": weights, "history": rows, "status": history.status}


def process(name: str, checkpoint: Path) -> subprocess.Popen:
    """Start ``train`` in a process of its own."""
    command = [sys.executable, __file__, "--train", name, str(checkpoint)]
    env = os.environ | {"SCENE_DEVICE": "cpu", "TQDM_DISABLE": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def result(child: subprocess.Popen) -> dict:
    """Wait for a process and read what ``train`` returned there."""
    output, _ = child.communicate(timeout=300)
    return json.loads(output.splitlines()[-1])


def killed(name: str, folder: Path, whole: dict, seconds: float, rng: random.Random) -> tuple[bool, int]:
    """Kill a run of ``name`` once at a random moment of its training; say whether it ends like ``whole``.

    Returns:
        Whether weights and history are identical, and after how many finished epochs it was killed.
    """
    import torch

    checkpoint = folder / f"killed-{rng.random()}.pt"
    child = process(name, checkpoint)
    time.sleep(rng.uniform(0.5, 1.0) * seconds)
    child.kill()
    child.communicate()
    done = len(torch.load(checkpoint, weights_only=True)["history"]["epochs"]) if checkpoint.exists() else 0
    again = result(process(name, checkpoint))
    return again == whole, done


def main(count: int, names: list[str] | None = None, seed: int = 0) -> list[tuple[str, bool, int]]:
    """Kill ``count`` runs in turn over the cases; return (case, identical, epochs done when killed)."""
    names, rng, rows = names or list(CASES), random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        whole, seconds = {}, {}
        for number in range(count):
            name = names[number % len(names)]
            if name not in whole:
                began = time.perf_counter()
                whole[name] = result(process(name, Path(folder) / f"whole-{number}.pt"))
                seconds[name] = time.perf_counter() - began
            rows.append((name, *killed(name, Path(folder), whole[name], seconds[name], rng)))
            print(f"{number + 1} of {count}: {name}, killed after {rows[-1][2]} epochs,"
                  f" {'identical' if rows[-1][1] else 'DIFFERENT'}", flush=True)  # fmt: skip
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        print(json.dumps(train(CASES[sys.argv[2]], Path(sys.argv[3]))))
    else:
        ends = main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
        print(f"{sum(identical for _, identical, _ in ends)} of {len(ends)} ended bit-identical")
