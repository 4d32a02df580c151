"""``fit``: the one training loop of the series, resumable after every epoch."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scene_utils.batches import normalize, steps_per_epoch, to_device, train_batches
from scene_utils.data import Split
from scene_utils.recipe import Recipe, make_optimizer, make_scheduler
from scene_utils.support import checkpoints, devices, progress
from scene_utils.support.convolution import use_fast_conv_
from scene_utils.support.settings import SceneError

ENGINE_VERSION = 1  # raised by hand when the same recipe would give other numbers
CHECK_EVERY = 20  # steps between looks at the losses: each look waits for the device
SHORT = 5  # seconds: a last epoch that took less is sooner trained again than a large network is written


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


def loss_function(logits: Tensor, targets: Tensor, recipe: Recipe, soft_targets: Tensor | None = None) -> Tensor:
    """Sum over the batch of the cross-entropy against targets and, in part, a teacher's (Hinton et al., 2015).

    Args:
        targets: float (N, classes), which Mixup may have mixed.
        soft_targets: the teacher's probabilities (N, classes) at the recipe's temperature.
    """
    loss = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=recipe.label_smoothing)
    if soft_targets is None:
        return loss
    temperature = recipe.temperature
    distilled = F.cross_entropy(logits / temperature, soft_targets, reduction="sum") * temperature**2
    return (1 - recipe.distillation) * loss + recipe.distillation * distilled


class Engine:
    """A model in training: with its optimizer, schedule, averaged weights and scaler, on its device.

    Attributes:
        model: what is trained, in place; ``wrapped`` is the same for several processes.
        ema: the averaged weights, where the recipe has them.
        precision: ``float32``, ``bfloat16`` or ``float16``.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int, curves: str | None = None) -> None:
        """Take ``steps`` batches an epoch; ``curves`` names the run for TensorBoard (``devices.accelerator``)."""
        self.recipe, self.steps = recipe, steps
        self.acc = devices.accelerator(curves)
        self.device = self.acc.device
        self.precision = devices.precision_of(recipe.precision, self.device)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        use_fast_conv_(model)  # the same results, faster on a CPU
        freeze(model, recipe)
        average = get_ema_multi_avg_fn(recipe.ema)
        self.ema = AveragedModel(model, multi_avg_fn=average, use_buffers=True) if recipe.ema else None
        self.wrapped = self.acc.prepare(model)
        self.optimizer = make_optimizer(model, recipe)
        self.scheduler = make_scheduler(self.optimizer, recipe, steps)
        self.scaler = devices.grad_scaler(self.device, self.precision)

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated: the averaged one, where there is one."""
        return self.model if self.ema is None else self.ema.module

    def parts(self) -> dict:
        """What a checkpoint holds of it."""
        scaler = self.scaler if self.scaler.is_enabled() else None  # only float16 needs one
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler, "ema": self.ema,
                "scaler": scaler}  # fmt: skip

    def step(self, images: Tensor, targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Learn from one batch; return the sum of its losses and the number of correct predictions.

        Args:
            targets: float (B, classes), beside them the teacher's probabilities where the recipe distils.
        """
        mine = slice(self.acc.process_index, None, self.acc.num_processes)
        with devices.autocast(self.device, self.precision):
            logits = self.wrapped(images[mine])
        target, *soft_targets = targets[mine].split(classes, dim=1)
        loss = loss_function(logits.float(), target, self.recipe, *soft_targets)
        # gradients are averaged over the processes: with this factor they are those of the whole batch
        self.scaler.scale(loss * self.acc.num_processes / len(images)).backward()
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.scaler.get_scale() >= scale:  # else the gradients overflowed, and the step was left out
            self.scheduler.step()
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        return loss.detach(), (logits.argmax(1) == target.argmax(1)).sum()


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
        checkpoint: file to go on from where it exists and belongs to this recipe; rewritten after each epoch but a
            short last one.
        teacher_logits: float (N, classes), one row for each image of ``train``; needed where the recipe distils.

    Raises:
        SceneError: for a recipe that needs teacher logits and gets none, or sets that do not fit.
        KeyboardInterrupt: passed on, after a line that says how to go on.
    """
    check_sets(train, holdout, recipe, teacher_logits)
    devices.keep_freed_memory()
    engine = Engine(model, recipe, steps_per_epoch(len(train), recipe), curves=name if checkpoint else None)
    history = History(device=devices.device_name(engine.device), precision=engine.precision)
    load_checkpoint(checkpoint, engine.parts(), history, recipe, engine.device)
    pixels, targets = to_device(train.images, engine.device), targets_of(train, recipe, teacher_logits, engine.device)
    start, limit = len(history.epochs), torch.get_num_threads()
    try:
        with progress.part():
            progress.begin(name, start / recipe.epochs)
            for epoch in range(start + 1, recipe.epochs + 1):
                if history.status == "running":
                    with timed(engine.device, history, limit) as spent:
                        row = train_epoch(engine, pixels, targets, epoch, history)
                        evaluate_epoch(engine, holdout, row, history)
                    history.epochs.append(row | spent)
                    end_epoch(engine, checkpoint, history)
    except KeyboardInterrupt:
        done = len(history.epochs)
        kept = "run the same again to go on from there" if checkpoint and done else "nothing is kept"
        progress.line(f"{name}: stopped after {done} of {recipe.epochs} epochs; {kept}")
        raise
    finally:
        torch.set_num_threads(limit)
        for tracker in engine.acc.trackers:
            tracker.finish()
    if engine.acc.is_main_process and len(history.epochs) > start:
        elapsed = sum(row["elapsed"] for row in history.epochs)
        epochs = f"{len(history.epochs)} epoch{'s' * (len(history.epochs) != 1)}"
        progress.line(f"{name}: {epochs}, {newest(history)}, {elapsed:.0f} s")
    if engine.ema is not None and history.status == "finished":
        model.load_state_dict(engine.ema.module.state_dict())
    return history


def targets_of(train: Split, recipe: Recipe, teacher_logits: Tensor | None, device: torch.device) -> Tensor:
    """Return one-hot labels (N, classes), beside them the teacher's probabilities, so that Mixup mixes both alike."""
    targets = F.one_hot(train.labels, len(train.classes)).float().to(device)
    if not recipe.distillation:
        return targets
    soft_targets = (teacher_logits.float() / recipe.temperature).softmax(1).to(device)
    return torch.cat([targets, soft_targets], 1)


def train_epoch(engine: Engine, pixels: Tensor, targets: Tensor, epoch: int, history: History) -> dict:
    """Train for one epoch and return its row; a loss that is not finite ends it and marks the history."""
    recipe, steps, acc = engine.recipe, engine.steps, engine.acc
    torch.manual_seed(int(np.random.default_rng((recipe.seed, epoch, 2)).integers(2**31)))  # for dropout
    train_mode(engine.wrapped, engine.model, recipe)
    rate = engine.scheduler.get_last_lr()[0]
    classes = targets.shape[1] // (2 if recipe.distillation else 1)
    losses, correct = [], torch.zeros((), device=engine.device)
    for step, (_, images, target) in enumerate(train_batches(pixels, targets, recipe, epoch), 1):
        loss, right = engine.step(images, target, classes)
        losses.append(loss)
        correct += right
        progress.advance(1 / (recipe.epochs * steps))
        if step % CHECK_EVERY == 0 or step == steps:
            finite = acc.reduce(torch.stack(losses)).isfinite()
            if not finite.all():
                history.status = "diverged"
                history.diverged_step = (epoch - 1) * steps + int(finite.int().argmin()) + 1
                break
    totals = acc.reduce(torch.stack([torch.stack(losses).sum(), correct]))
    seen = min(len(pixels), recipe.images or len(pixels))
    return {"epoch": epoch, "loss": float(totals[0]) / seen, "accuracy": float(totals[1]) / seen,
            "learning_rate": rate}  # fmt: skip


def evaluate_epoch(engine: Engine, holdout: Split | None, row: dict, history: History) -> None:
    """Add the hold-out's loss and accuracy to the epoch's row, its logits to the history; finish the last epoch."""
    if history.status != "running":
        return
    if holdout is not None:
        logits = predict(engine.evaluated, holdout, engine.recipe)
        row["holdout_loss"] = float(F.cross_entropy(logits, holdout.labels))
        row["holdout_accuracy"] = float((logits.argmax(1) == holdout.labels).float().mean())
        history.holdout_logits.append(logits)
    if row["epoch"] == engine.recipe.epochs:
        history.status = "finished"


@contextlib.contextmanager
def timed(device: torch.device, history: History, limit: int) -> Iterator[dict]:
    """Train an epoch on as many threads as are free, and choose the next one's; yields a dict of what it took."""
    on_cpu = device.type == "cpu"
    if on_cpu and not history.threads:
        history.threads = devices.free_threads(None, limit)
    began, worked, use = time.perf_counter(), devices.work_seconds(device), devices.work_of_others()
    if on_cpu:
        torch.set_num_threads(history.threads)
    spent = {}
    yield spent
    spent |= {"seconds": devices.work_seconds(device) - worked, "elapsed": time.perf_counter() - began}
    if on_cpu:
        spent["threads"] = history.threads
        history.threads = devices.free_threads(use, limit)  # an interrupted run goes on with the same


def end_epoch(engine: Engine, checkpoint: Path | None, history: History) -> None:
    """Keep and show what the epoch brought."""
    engine.acc.log(history.epochs[-1], step=history.epochs[-1]["epoch"])  # to TensorBoard, where it is asked for
    if engine.acc.is_main_process:
        if checkpoint and (history.status != "finished" or history.epochs[-1]["elapsed"] > SHORT):
            save_checkpoint(checkpoint, engine.parts(), history, engine.recipe)
        if history.status == "running":
            row = history.epochs[-1]
            progress.note(f"epoch {row['epoch']}/{engine.recipe.epochs}, {newest(history)}, {row['elapsed']:.1f} s")


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
def predict(model: nn.Module, split: Split, recipe: Recipe, mirror: bool = False) -> Tensor:
    """Return the logits of a whole set: float32 (N, classes), on the CPU.

    Args:
        mirror: average the probabilities of each image and its mirror image, and return their logarithms.
    """
    device = devices.accelerator().device
    precision = devices.precision_of(recipe.precision, device)
    model.to(device, memory_format=torch.channels_last).eval()
    rows = []
    for chunk in split.images.split(256):
        images = normalize(to_device(chunk, device), recipe.input_size, recipe.pixel_scale)
        with devices.autocast(device, precision):
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


def save_checkpoint(path: Path, parts: dict, history: History, recipe: Recipe) -> None:
    """Write model, optimizer, schedule, averaged weights, history and recipe, atomically."""
    content = {name: part.state_dict() for name, part in parts.items() if part is not None}
    content |= {"history": dataclasses.asdict(history), "recipe": recipe.fields(), "engine": ENGINE_VERSION}
    checkpoints.save(path, content)


def load_checkpoint(path: Path | None, parts: dict, history: History, recipe: Recipe, device: torch.device) -> None:
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
    before = content["history"]
    for name in ("device", "precision"):
        here = getattr(history, name)
        if without_threads(here) not in without_threads(before[name]):  # gone on with elsewhere
            before[name] += f", then {here}"
    vars(history).update(before)


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
