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
    "ResNet18, cosine, EMA": {"net": "resnet18", "schedule": "cosine", "ema": 0.9, "images": 32},
    "LeNet, AdamW, multistep, EMA, Mixup": {
        "net": "lenet", "optimizer": "adamw", "learning_rate": 1e-3, "schedule": "multistep",
        "milestones": [2, 3], "ema": 0.95, "mixup": 0.2,
    },
    "AlexNet, dropout, constant": {"net": "alexnet", "schedule": "constant", "images": 32},
}  # fmt: skip
RECIPE = {"epochs": 4, "batch_size": 32, "learning_rate": 0.01, "precision": "float32", "images": 128}


def train(name: str, checkpoint: Path) -> tuple[dict, float]:
    """Train one case (going on from ``checkpoint``); return its weights' hash and history, and the seconds it took."""
    import torch

    from scene_utils import data, models, training
    from scene_utils.recipe import Recipe

    case = dict(CASES[name])
    nets = {"lenet": models.LeNet, "alexnet": models.AlexNet, "resnet18": lambda: models.resnet(18)}
    torch.manual_seed(0)
    model = nets[case.pop("net")]()
    sets = data.holdout_split(data.load_sample().train)
    print("begun", flush=True)
    history = training.fit(model, *sets, Recipe(**RECIPE | case), checkpoint)
    weights = hashlib.sha256(b"".join(v.numpy().tobytes() for v in model.state_dict().values())).hexdigest()
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "elapsed")} for row in history.epochs]
    return {"weights": weights, "history": rows, "status": history.status}, history.seconds


def process(name: str, checkpoint: Path) -> subprocess.Popen:
    """Start ``train`` in a process of its own."""
    command = [sys.executable, __file__, "--train", name, str(checkpoint)]
    env = os.environ | {"SCENE_DEVICE": "cpu", "TQDM_DISABLE": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def result(name: str, checkpoint: Path) -> tuple[dict, float]:
    """Call ``train`` in a process of its own."""
    output, _ = process(name, checkpoint).communicate()
    return tuple(json.loads(output.splitlines()[-1]))


def kill(name: str, checkpoint: Path, seconds: float) -> int:
    """Kill a training ``seconds`` after it has begun; return after how many finished epochs that was."""
    import torch

    child = process(name, checkpoint)
    while child.stdout.readline() not in ("begun\n", ""):
        pass
    time.sleep(seconds)
    child.kill()
    child.communicate()
    return len(torch.load(checkpoint, weights_only=True)["history"]["epochs"]) if checkpoint.exists() else 0


def main(count: int, seed: int = 0) -> list[tuple[str, bool, int]]:
    """Kill ``count`` runs in turn over the cases; return (case, identical, epochs done when killed)."""
    rng, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        whole = {}
        for number in range(count):
            name, checkpoint = list(CASES)[number % len(CASES)], Path(folder) / f"killed-{number}.pt"
            if name not in whole:
                whole[name] = result(name, Path(folder) / f"whole-{number}.pt")
            done = kill(name, checkpoint, rng.random() * whole[name][1])
            rows.append((name, result(name, checkpoint)[0] == whole[name][0], done))
            print(f"{number + 1} of {count}: {name}, killed after {done} epochs,"
                  f" {'identical' if rows[-1][1] else 'DIFFERENT'}", flush=True)  # fmt: skip
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        print(json.dumps(train(sys.argv[2], Path(sys.argv[3]))))
    else:
        ends = main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
        print(f"{sum(identical for _, identical, _ in ends)} of {len(ends)} ended bit-identical")
