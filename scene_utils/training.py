"""``fit``: the one training loop of the series, resumable after every epoch."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scene_utils.batches import normalised, steps_per_epoch, to_device, train_batches
from scene_utils.data import Split
from scene_utils.recipe import Recipe, make_optimizer, make_scheduler
from scene_utils.support import progress, settings
from scene_utils.support.convolution import with_products
from scene_utils.support.devices import (
    accelerator,
    device_name,
    free_threads,
    keep_freed_memory,
    precision_name,
    processor_use,
    work_seconds,
)  # fmt: skip
from scene_utils.support.settings import SceneError

ENGINE_VERSION = 1  # raised by hand when the same recipe would give other numbers
CHECK_EVERY = 20  # steps between looks at the losses: each look waits for the device


@dataclass
class History:
    """What a training run left behind.

    Attributes:
        epochs: one dict an epoch: epoch, loss, accuracy, holdout_loss, holdout_accuracy, learning_rate, seconds
            (``devices.work_seconds``), elapsed (seconds on the clock).
        holdout_logits: one float32 array (N, classes) an epoch.
        threads: number of threads of the next epoch on a CPU, chosen when the last one has ended.
        status: ``running``, ``finished``, or ``diverged`` when a loss was not finite, at ``diverged_step``.
    """

    device: str = ""
    precision: str = ""
    threads: int = 0
    status: str = "running"
    diverged_step: int | None = None
    epochs: list[dict] = field(default_factory=list)
    holdout_logits: list[Tensor] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Training time in seconds: of processor cores on a CPU, of the GPU otherwise; interruptions left out."""
        return sum(row["seconds"] for row in self.epochs)


def loss_function(logits: Tensor, targets: Tensor, recipe: Recipe, teacher: Tensor | None = None) -> Tensor:
    """Sum over the batch of the cross-entropy against soft targets and, in part, a teacher's (Hinton et al., 2015)."""
    loss = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=recipe.label_smoothing)
    if teacher is None:
        return loss
    heat = recipe.temperature
    taught = F.cross_entropy(logits / heat, teacher, reduction="sum") * heat**2
    return (1 - recipe.distillation) * loss + recipe.distillation * taught


def fit(
    model: nn.Module,
    train: Split,
    holdout: Split | None,
    recipe: Recipe,
    checkpoint: Path | None = None,
    teacher_logits: Tensor | None = None,
    name: str = "training",
) -> History:
    """Train ``model`` in place and return its history.

    Args:
        holdout: images that judge each epoch; None where nothing is chosen any more.
        checkpoint: file to go on from where it exists and belongs to this recipe; rewritten after each epoch.
        teacher_logits: float (N, classes), one row for each image of ``train``; needed where the recipe distils.

    Raises:
        SceneError: for a recipe that needs teacher logits and gets none, or sets that do not fit.
        KeyboardInterrupt: passed on, after a line that says how to go on.
    """
    check_sets(train, holdout, recipe, teacher_logits)
    keep_freed_memory()
    acc = accelerator(recipe.precision)
    history = History(device=device_name(acc.device), precision=precision_name(acc))
    model.to(acc.device, memory_format=torch.channels_last)
    with_products(model)  # the same results, faster on a CPU
    freeze(model, recipe)
    ema = (
        AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
        if recipe.ema
        else None
    )
    wrapped, optimizer = acc.prepare(model, make_optimizer(model, recipe))
    steps = steps_per_epoch(len(train), recipe)
    scheduler = make_scheduler(optimizer.optimizer, recipe, steps)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "ema": ema, "scaler": acc.scaler}
    load_checkpoint(checkpoint, parts, history, recipe, acc.device)

    pixels = to_device(train.images, acc.device)
    targets = F.one_hot(train.labels, len(train.classes)).float().to(acc.device)
    if recipe.distillation:  # beside the labels, so that Mixup mixes both alike
        taught = (teacher_logits.float() / recipe.temperature).softmax(1).to(acc.device)
        targets = torch.cat([targets, taught], 1)
    seen = min(len(train), recipe.images or len(train))
    start = len(history.epochs)
    on_cpu, limit = acc.device.type == "cpu", torch.get_num_threads()
    if on_cpu and not history.threads:
        history.threads = free_threads(None, limit)
    try:
        with progress.part():
            progress.begin(name, start / recipe.epochs)
            for epoch in range(start + 1, recipe.epochs + 1):
                if history.status != "running":
                    break
                began, worked, use = time.perf_counter(), work_seconds(acc.device), processor_use()
                if on_cpu:
                    torch.set_num_threads(history.threads)
                torch.manual_seed(
                    int(np.random.default_rng((recipe.seed, epoch, 2)).integers(2**31))
                )  # for dropout
                train_mode(wrapped, model, recipe)
                rate = scheduler.get_last_lr()[0]
                losses, correct = [], torch.zeros((), device=acc.device)
                for step, (_, images, target) in enumerate(train_batches(pixels, targets, recipe, epoch), 1):
                    mine = slice(acc.process_index, None, acc.num_processes)
                    logits = wrapped(images[mine])
                    truth, *taught = target[mine].split(len(train.classes), dim=1)
                    loss = loss_function(logits.float(), truth, recipe, *taught)
                    # gradients are averaged over the processes: with this factor they are those of the whole batch
                    acc.backward(loss * acc.num_processes / len(images))
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                    if not acc.optimizer_step_was_skipped:
                        scheduler.step()
                    if ema is not None:
                        ema.update_parameters(model)
                    losses.append(loss.detach())
                    correct += (logits.argmax(1) == truth.argmax(1)).sum()
                    progress.advance(1 / (recipe.epochs * steps))
                    if step % CHECK_EVERY == 0 or step == steps:
                        finite = acc.reduce(torch.stack(losses)).isfinite()
                        if not finite.all():
                            history.status = "diverged"
                            history.diverged_step = (epoch - 1) * steps + int(finite.int().argmin()) + 1
                            break
                totals = acc.reduce(torch.stack([torch.stack(losses).sum(), correct]))
                row = {"epoch": epoch, "loss": float(totals[0]) / seen, "accuracy": float(totals[1]) / seen,
                       "learning_rate": rate}  # fmt: skip
                if history.status == "running" and holdout is not None:
                    logits = predict(ema.module if ema is not None else model, holdout, recipe, acc=acc)
                    row["holdout_loss"] = float(F.cross_entropy(logits, holdout.labels))
                    row["holdout_accuracy"] = float((logits.argmax(1) == holdout.labels).float().mean())
                    history.holdout_logits.append(logits)
                if history.status == "running" and epoch == recipe.epochs:
                    history.status = "finished"
                spent = {"seconds": work_seconds(acc.device) - worked, "elapsed": time.perf_counter() - began}
                if on_cpu:
                    spent["threads"] = history.threads
                    history.threads = free_threads(use, limit)  # an interrupted run goes on with the same
                history.epochs.append(row | spent)
                if acc.is_main_process:
                    save_checkpoint(checkpoint, parts, history, recipe)
                    if history.status == "running":
                        progress.note(f"epoch {epoch}/{recipe.epochs}, {newest(history)}, {spent['elapsed']:.1f} s")
    except KeyboardInterrupt:
        done = len(history.epochs)
        kept = (
            "nothing is kept" if checkpoint is None or done == 0 else "run the same again to go on from there"
        )
        progress.line(f"{name}: stopped after {done} of {recipe.epochs} epochs; {kept}")
        raise
    finally:
        acc.unwrap_model(wrapped, keep_fp32_wrapper=False)
        torch.set_num_threads(limit)
    if acc.is_main_process and len(history.epochs) > start:
        elapsed = sum(row["elapsed"] for row in history.epochs)
        epochs = f"{len(history.epochs)} epoch{'s' * (len(history.epochs) != 1)}"
        progress.line(f"{name}: {epochs}, {newest(history)}, {elapsed:.0f} s")
    if ema is not None and history.status == "finished":
        model.load_state_dict(ema.module.state_dict())
    return history


def check_sets(train: Split, holdout: Split | None, recipe: Recipe, teacher_logits: Tensor | None) -> None:
    """Refuse sets that cannot be trained on, before any work is done."""
    if len(train) < 2 or (holdout is not None and len(holdout) < 1):
        judges = "no" if holdout is None else len(holdout)
        raise SceneError(f"{len(train)} training and {judges} hold-out images are too few; add images")
    if recipe.distillation and (teacher_logits is None or len(teacher_logits) != len(train)):
        have = "none" if teacher_logits is None else len(teacher_logits)
        raise SceneError(f"recipe: distillation needs a teacher's logits for {len(train)} images, got {have}")


def freeze(model: nn.Module, recipe: Recipe) -> None:
    """With ``trainable="last"`` keep all but the last layer as they are."""
    last = list(model.children())[-1]
    for parameter in model.parameters():
        parameter.requires_grad_(recipe.trainable == "all")
    last.requires_grad_(True)


def train_mode(wrapped: nn.Module, model: nn.Module, recipe: Recipe) -> None:
    """Switch to training mode; frozen norms go on using the statistics that they came with."""
    wrapped.train(recipe.trainable == "all")
    list(model.children())[-1].train()


@torch.inference_mode()
def predict(
    model: nn.Module, split: Split, recipe: Recipe, mirror: bool = False, acc: Accelerator | None = None
) -> Tensor:
    """Return the logits of a whole set: float32 (N, classes), on the CPU.

    Args:
        mirror: average the probabilities of each image and its mirror image, and return their logarithms.
    """
    acc = acc or accelerator(recipe.precision)
    model.to(acc.device, memory_format=torch.channels_last).eval()
    rows = []
    for chunk in split.images.split(256):
        images = normalised(to_device(chunk, acc.device), recipe.input_size, recipe.pixel_scale)
        with acc.autocast():
            logits = model(images).float()
            if mirror:
                both = logits.softmax(1) + model(images.flip(3)).float().softmax(1)
                logits = (both / 2).clamp_min(1e-30).log()
        rows.append(logits.cpu())
    return torch.cat(rows)


def evaluate(model: nn.Module, split: Split, recipe: Recipe) -> dict[str, float]:
    """Return ``loss`` (mean cross-entropy, no label smoothing) and ``accuracy`` of a model on images as they are."""
    logits = predict(model, split, recipe)
    correct = (logits.argmax(1) == split.labels).float().mean()
    return {"loss": float(F.cross_entropy(logits, split.labels)), "accuracy": float(correct)}


# --- checkpoints and progress


def save_checkpoint(path: Path | None, parts: dict, history: History, recipe: Recipe) -> None:
    """Write model, optimizer, schedule, averaged weights, history and recipe, atomically."""
    if path is None:
        return
    content = {name: part.state_dict() for name, part in parts.items() if part is not None}
    content |= {
        "history": dataclasses.asdict(history),
        "recipe": recipe.fields(),
        "engine": ENGINE_VERSION,
    }
    with uninterrupted():
        settings.atomic_write(path, lambda file: torch.save(content, file))


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until this is done: in the middle of it ``torch.save`` fails with an error of its own."""
    if threading.current_thread() is not threading.main_thread():  # interrupts do not reach it
        yield
        return
    waiting = []
    before = signal.signal(signal.SIGINT, lambda *arguments: waiting.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        raise KeyboardInterrupt


def epochs_done(path: Path) -> int:
    """Return how many epochs a checkpoint has; 0 where there is none, or none that can be read."""
    try:
        return len(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["history"]["epochs"])
    except Exception:  # what keeps it from being read is said when training goes on from it
        return 0


def load_checkpoint(
    path: Path | None, parts: dict, history: History, recipe: Recipe, device: torch.device
) -> None:
    """Go on from ``path`` where it holds this very recipe; nothing in the file is executed."""
    if path is None or not path.exists():
        return
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content["recipe"] != recipe.fields() or content["engine"] != ENGINE_VERSION:
            progress.line(f"{path.name}: made by another recipe, starting over")
            return
        for name, part in parts.items():
            if part is not None and (name != "scaler" or name in content):  # hardware without float16 has no scaler
                part.load_state_dict(content[name])
    except Exception as error:
        raise SceneError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); delete it to start over"
        ) from error
    here = {"device": history.device, "precision": history.precision}
    for name, value in content["history"].items():
        setattr(history, name, value)
    for name, value in here.items():  # gone on with elsewhere
        before = getattr(history, name)
        if without_threads(value) not in without_threads(before):
            setattr(history, name, f"{before}, then {value}")


def without_threads(device: str) -> str:
    """Name of a device without its number of threads, which may differ from one day to the next."""
    return re.sub(r" \(\d+ threads?\)", "", device)


def newest(history: History) -> str:
    """Return loss and hold-out accuracy of the newest epoch in words."""
    row = history.epochs[-1]
    text = f"loss {row['loss']:.3f}"
    if "holdout_accuracy" in row:
        text += f", hold-out {row['holdout_accuracy']:.3f}"
    return text + ", diverged" * (history.status == "diverged")
