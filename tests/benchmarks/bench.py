"""Training speed side by side: ``fit``, the loop that most tutorials write, and that loop written with care.

``make bench`` runs it on the real dataset (cloned first where it is not there) and writes ``report/bench.json``, which
the conclusions show. Every measurement is a process of its own; the sides take turns, and each is first in turn;
medians over repeats. Memory is that of a side's process and its workers together, shared pages counted once. Each model
is written as soon as it is measured; ``--models`` replaces these alone in the table of the same machine.

The usual loop: ``ImageFolder``, ``ToTensor``, ``DataLoader(num_workers=2)``, float32, torchvision's models (and
``nn.LocalResponseNorm`` in AlexNet), ``.item()`` in each step. The careful loop differs by two lines: channels-last and
bfloat16 autocast. ``fit`` decodes all images once and keeps them; what that takes is measured on its own. After the
same steps on the same batches the three have the same loss, up to what bfloat16 rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

BATCH = 128
STEPS = {"lenet": 48, "custom_lenet": 5, "alexnet": 4, "resnet18": 12, "resnet50": 6, "resnet152": 3}
GPU_STEPS = 96
SIDES = ("usual", "careful", "ours")
SAME_STEPS = 20  # after which the losses of the sides are compared


def model_of(name: str, usual: bool):
    """Return the network ``name``, as the series has it or as the usual loop has it."""
    import torchvision
    from torch import nn

    from scene_utils import catalogue

    if name.startswith("resnet"):
        return getattr(torchvision.models, name)(num_classes=6)
    model = catalogue.ARCHITECTURES[name]()
    if usual and name == "alexnet":
        model.LRN1, model.LRN2 = nn.LocalResponseNorm(5), nn.LocalResponseNorm(5)
    return model


def steps_of(name: str) -> int:
    """Number of batches to time: enough for some seconds."""
    import torch

    return GPU_STEPS if torch.cuda.is_available() else STEPS[name]


def ours(name: str) -> dict:
    """Two epochs of ``fit``; the second one is timed."""
    from scene_utils import data, training
    from scene_utils.recipe import Recipe

    dataset = data.load("short")
    images = steps_of(name) * BATCH
    recipe = Recipe(epochs=2, batch_size=BATCH, learning_rate=1e-3, augmentation="flip+crop", images=images)
    first, loss_function = [], training.loss_function

    def first_loss(*arguments):
        first.append(time.perf_counter())
        return loss_function(*arguments)

    training.loss_function = first_loss
    began = time.perf_counter()
    history = training.fit(model_of(name, False), dataset.train, dataset.test.select([0]), recipe)
    return {
        "images_per_second": images / history.epochs[1]["elapsed"],
        "first_batch_seconds": first[0] - began,
        "precision": history.precision,
    }


def usual(name: str, careful: bool = False) -> dict:
    """Two epochs of the usual loop over as many images; the second one is timed."""
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import ToTensor

    from scene_utils.support import fetching

    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = Path(os.environ.get("SCENE_DATA_DIR") or fetching.fetch())
    everything = ImageFolder(folder / "train", ToTensor())
    some = torch.randperm(len(everything))[: steps_of(name) * BATCH].tolist()
    loader = DataLoader(Subset(everything, some), batch_size=BATCH, shuffle=True, num_workers=2)
    model = model_of(name, True).to(device).train()
    if careful:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    for _epoch in range(2):
        began, running = time.perf_counter(), 0.0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=careful):
                loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()
        seconds = time.perf_counter() - began
    return {"images_per_second": len(some) / seconds}


def losses(name: str) -> dict:
    """Mean loss of the last half of ``SAME_STEPS`` steps, the same weights and batches for each side."""
    import torch
    import torch.nn.functional as F

    from scene_utils import batches, data, training
    from scene_utils.recipe import Recipe

    train = data.load("short").train
    some = train.select(torch.randperm(len(train), generator=torch.manual_seed(0))[: SAME_STEPS * BATCH])
    recipe = Recipe(epochs=1, batch_size=BATCH, learning_rate=1e-3, schedule="constant", weight_decay=0.0)
    found, kept, loss_function = {}, [], training.loss_function
    training.loss_function = lambda *arguments: kept.append(loss_function(*arguments)) or kept[-1]
    torch.manual_seed(0)
    training.fit(model_of(name, False), some, None, recipe)
    found["ours"] = [float(loss.detach()) / BATCH for loss in kept]
    pixels, targets = batches.to_device(some.images, "cpu"), F.one_hot(some.labels, 6).float()
    for side in ("usual", "careful"):
        torch.manual_seed(0)
        model, kept = model_of(name, True).train(), []
        model = model.to(memory_format=torch.channels_last) if side == "careful" else model
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
        torch.manual_seed(1)
        for _, images, target in batches.train_batches(pixels, targets, recipe, 1):
            with torch.autocast("cpu", torch.bfloat16, enabled=side == "careful"):
                loss = F.cross_entropy(model(images), target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            kept.append(float(loss.detach()))
        found[side] = kept
    return {side: statistics.fmean(values[SAME_STEPS // 2 :]) for side, values in found.items()}


def decoding(_: str) -> dict:
    """Seconds that reading and decoding all images takes the first time, with an empty cache of pixels."""
    from scene_utils import data
    from scene_utils.support import fetching

    folder = fetching.fetch()
    with tempfile.TemporaryDirectory() as empty:
        os.environ["SCENE_CACHE_DIR"] = empty
        began = time.perf_counter()
        data.load_folder(folder)
        return {"seconds": time.perf_counter() - began}


OPERATIONS = {"convolution": "arithmetic", "mm": "arithmetic", "batch_norm": "norms"}


def profile(name: str) -> dict:
    """Where a training step of ours spends its time: shares of arithmetic (convolutions, matrices), norms, the rest."""
    import torch
    import torch.nn.functional as F

    from scene_utils.support import devices

    devices.keep_freed_memory()
    acc = devices.accelerator()
    precision = devices.precision_of("auto", acc.device)
    model = model_of(name, False).to(acc.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, fused=True)
    images = torch.randn(BATCH, 3, 64, 64, device=acc.device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 6, (BATCH,), device=acc.device)

    def step() -> None:
        with devices.autocast(acc.device, precision):
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _warm_up in range(2):
        step()
    with torch.profiler.profile() as profiler:
        step()
        if acc.device.type == "cuda":
            torch.cuda.synchronize()
    spent = dict.fromkeys([*OPERATIONS.values(), "the rest"], 0.0)
    on_gpu = acc.device.type == "cuda"
    for event in profiler.key_averages():
        kind = next((kind for word, kind in OPERATIONS.items() if word in event.key), "the rest")
        spent[kind] += event.self_device_time_total if on_gpu else event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: seconds / total for kind, seconds in spent.items()}


def with_peak(task, *arguments) -> dict:
    """Call ``task`` and add ``peak_gb``: memory of this process and its workers, looked at five times a second."""
    found, done = [0.0], threading.Event()

    def look() -> None:
        me = psutil.Process()
        while not done.wait(0.2):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    memory = process.memory_full_info()
                    total += getattr(memory, "pss", memory.uss)  # shared pages once
            found.append(total / 1e9)

    threading.Thread(target=look, daemon=True).start()
    result = task(*arguments)
    done.set()
    return result | {"peak_gb": max(found)}


def arithmetic(name: str) -> dict:
    """Multiply-adds of one training step, counted by torch, in floating-point operations per image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = model_of(name, False)
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(2, 3, 64, 64)).sum().backward()
    return {"flop_per_image": counter.get_total_flops() / 2}


# Square, and of the shapes that AlexNet's and ResNets' convolutions have as products.
MATRICES = [(1024,) * 3, (2048,) * 3, (4096,) * 3, (BATCH * 1024, 2400, 256), (BATCH * 225, 3456, 384)]


def machine() -> dict:
    """Matrix-multiplication rate of this machine (the best of several sizes) and what it is."""
    import torch

    from scene_utils.support import devices

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        best = 0.0
        for rows, inner, columns in MATRICES:
            a = torch.randn(rows, inner, device=device).to(dtype)
            b = torch.randn(inner, columns, device=device).to(dtype)
            for _repeat in range(6):
                began = time.perf_counter()
                a @ b
                if device == "cuda":
                    torch.cuda.synchronize()
                best = max(best, 2 * rows * inner * columns / (time.perf_counter() - began))
        rates[str(dtype).removeprefix("torch.")] = best
    name = torch.cuda.get_device_name() if device == "cuda" else devices.processor()
    return {"name": name, "threads": torch.get_num_threads(), "matrix_flop_per_second": rates,
            "torch": torch.__version__, "python": platform.python_version()}  # fmt: skip


TASKS = {
    "ours": lambda name: with_peak(ours, name),
    "usual": lambda name: with_peak(usual, name),
    "careful": lambda name: with_peak(usual, name, True),
    "losses": losses,
    "decoding": decoding,
    "arithmetic": arithmetic,
    "profile": profile,
    "machine": lambda _: machine(),
}


def measure(task: str, name: str) -> dict:
    """Run one task in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--model", name]
    done = subprocess.run(command, env=os.environ | {"TQDM_DISABLE": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{task} {name} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(names: list[str], repeats: int) -> Iterator[dict]:
    """Measure the models one after another, the sides in turn; yield the table of those that are done."""
    import pandas as pd

    from scene_utils import data, results

    print("loading the images once, so that all sides find them in the page cache", flush=True)
    count = len(data.load("short").train)
    about, decoding, rows = measure("machine", ""), measure("decoding", "")["seconds"], []
    matrix = about["matrix_flop_per_second"]
    for number, name in enumerate(names, 1):
        sides = {side: [] for side in SIDES}
        for repeat in range(repeats):
            for place in range(len(SIDES)):
                side = SIDES[(repeat + place) % len(SIDES)]  # each is first in turn
                sides[side].append(measure(side, name))
        tables = {side: pd.DataFrame(measured) for side, measured in sides.items()}
        middle = {side: table.median(numeric_only=True) for side, table in tables.items()}
        speed = {side: values["images_per_second"] for side, values in middle.items()}
        speeds = {side: table["images_per_second"] for side, table in tables.items()}
        usual, careful = (sorted(speeds["ours"] / speeds[other]) for other in ("usual", "careful"))
        precision = sides["ours"][0]["precision"]
        where = measure("profile", name)
        reached = measure("arithmetic", name)["flop_per_image"] * speed["ours"]
        # the highest rate that anything here has reached: no share of it is above one
        peak = matrix[precision] = max(matrix.get(precision, matrix["bfloat16"]), reached / where["arithmetic"])
        share = reached / peak
        rows.append({
            "model": name,
            "precision": precision,
            "images_per_second": speed,
            "ratio": statistics.median(usual),
            "ratios": usual,
            "careful_ratio": statistics.median(careful),
            "careful_ratios": careful,
            "losses": measure("losses", name),
            "epoch_seconds": {side: count / value for side, value in speed.items()},
            "peak_gb": {side: values["peak_gb"] for side, values in middle.items()},
            "first_batch_seconds": middle["ours"]["first_batch_seconds"],
            "share_of_matrix_rate": share,
            "share_of_matrix_rate_in_arithmetic": share / where["arithmetic"],
            "shares_of_time": where,
        })  # fmt: skip
        against = ", ".join(f"{side} {value:.0f}" for side, value in speed.items())
        against += f" images/s; {rows[-1]['ratio']:.2f} x usual, {rows[-1]['careful_ratio']:.2f} x careful"
        told = f"{share:.0%} of the matrix rate, {where['arithmetic']:.0%} of the time in arithmetic"
        print(f"[{number} of {len(names)}] {name}: {against}, {told}", flush=True)
        yield {"machine": about, "batch_size": BATCH, "repeats": repeats, "images": count, "date": results.now(),
               "decoding_seconds": decoding, "same_steps": SAME_STEPS, "models": rows}  # fmt: skip


def joined(old: dict, new: dict) -> dict:
    """Keep the models of an earlier table that the new one lacks, where both were measured in the same way."""
    same = [{key: table.get(key) for key in ("batch_size", "repeats", "same_steps")}
            | {key: table.get("machine", {}).get(key) for key in ("name", "threads", "torch")}
            for table in (old, new)]  # fmt: skip
    rows = {row["model"]: row for table in ((old, new) if same[0] == same[1] else (new,)) for row in table["models"]}
    return new | {"models": [rows[name] for name in STEPS if name in rows]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=None, help="JSON file (default: report/bench.json)")
    parser.add_argument("--task", choices=list(TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task:
        print(json.dumps(TASKS[chosen.task](chosen.model)))
    else:
        from scene_utils.support import settings

        target = chosen.output or settings.project_dir() / "report" / "bench.json"
        for measured in main(chosen.models, chosen.repeats):
            table = joined(json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}, measured)
            settings.atomic_write(target, json.dumps(table, indent=1) + "\n")
        print(f"written: {target}")
