"""``Recipe``: everything about a training run; its optimizer and its learning-rate schedule."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import lr_scheduler

from scene_utils.support.settings import SceneError, check_known

CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("constant", "multistep", "cosine", "one-cycle"),
    "augmentation": ("none", "flip", "flip+crop", "flip+crop+cutmix"),
    "trainable": ("all", "last"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
    "pixel_scale": ("imagenet", "unit", "byte"),
}
RANGES = {  # lowest and highest value, both allowed
    "epochs": (1, 10_000), "batch_size": (1, 65_536), "learning_rate": (1e-9, 1e6), "momentum": (0, 0.9999),
    "weight_decay": (0, 1), "gamma": (1e-6, 1), "mixup": (0, 100), "label_smoothing": (0, 0.9),
    "input_size": (8, 1024), "ema": (0, 0.99999), "distillation": (0, 1), "temperature": (0.01, 100),
    "seed": (0, 2**31 - 1), "images": (2, 10**9),
}  # fmt: skip


# Fields that came after the first published runs: hashed only where they differ from these values, so that the keys
# of those runs stay what they were.
LATER = {"pixel_scale": "imagenet"}


@dataclass(frozen=True)
class Recipe:
    """Everything about a training run, apart from the model and the images.

    Attributes:
        optimizer: ``sgd`` (with Nesterov momentum where ``momentum`` > 0) or ``adamw``.
        weight_decay: applied to matrices and kernels, not to norms and biases.
        schedule: ``constant``, ``multistep`` (times ``gamma`` after each of ``milestones``, in epochs), ``cosine``
            or ``one-cycle`` (Smith, 2018), where ``learning_rate`` is the highest rate.
        mixup: strength alpha of Mixup (Zhang et al., 2018); 0 is off.
        augmentation: ``none``, ``flip`` or ``flip+crop`` (mirror images, shifts of up to 4 reflected pixels);
            with ``+cutmix`` half of the batches are put together by CutMix (Yun et al., 2019), not by Mixup.
        input_size: side in pixels to which images are enlarged on the device.
        ema: decay per step of the averaged weights that are evaluated in the end; 0 is off.
        distillation: share of the loss that comes from a teacher's logits (Hinton et al., 2015); 0 is off.
        trainable: ``all`` layers, or the ``last`` only (the others stay as they are, norms included).
        images: train on this many images only, drawn with ``seed``; None is all.
        precision: ``auto`` takes bfloat16 or float16 where the hardware is fast at it, else float32.
        pixel_scale: how pixels enter the network: ``imagenet`` normalises them by ImageNet's mean and standard
            deviation, ``unit`` leaves them between 0 and 1, ``byte`` between 0 and 255.
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    mixup: float = 0.0
    label_smoothing: float = 0.0
    augmentation: str = "none"
    input_size: int = 64
    ema: float = 0.0
    distillation: float = 0.0
    temperature: float = 1.0
    trainable: str = "all"
    images: int | None = None
    precision: str = "auto"
    seed: int = 0
    pixel_scale: str = "imagenet"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            check_known(f"recipe: {name}", getattr(self, name), known)
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            optional = name == "images" and value is None
            if not optional and not (isinstance(value, int | float) and low <= value <= high):
                raise SceneError(f"recipe: {name} {value!r} is out of range; allowed: {low} to {high}")
        object.__setattr__(self, "milestones", tuple(self.milestones))

    def replace(self, **changes) -> Recipe:
        """Return a copy with ``changes``."""
        return dataclasses.replace(self, **changes)

    def fields(self) -> dict:
        """Return what keys, records and checkpoints keep of a recipe: later fields only where they say something."""
        return {name: value for name, value in dataclasses.asdict(self).items() if LATER.get(name, ...) != value}


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; weight decay spares everything of one dimension (norms and biases)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), fused=True)
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, fused=True)


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> lr_scheduler.LRScheduler:
    """Return torch's scheduler for ``recipe``, to be stepped after each of the ``steps`` batches of an epoch."""
    total = recipe.epochs * steps
    if recipe.schedule == "multistep":
        return lr_scheduler.MultiStepLR(optimizer, [m * steps for m in recipe.milestones], recipe.gamma)
    if recipe.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, total)
    if recipe.schedule == "one-cycle":
        # the momentum stays as the recipe says; a cycle of fewer than 4 steps has no way up
        warm_up = min(max(0.25, 1.5 / total), 0.75)
        return lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, max(total, 2), pct_start=warm_up,
                                       cycle_momentum=False)  # fmt: skip
    return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


def learning_rates(recipe: Recipe, steps: int = 1) -> list[float]:
    """Return the learning rate at the start of each epoch, as ``fit`` uses it with ``steps`` batches an epoch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
    scheduler = make_scheduler(optimizer, recipe, steps)
    rates = []
    for step in range(recipe.epochs * steps):
        if step % steps == 0:
            rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def literal_rates(recipe: Recipe) -> list[float]:
    """Return the rate of each epoch where the multistep factor multiplies the previous epoch's rate, again and again.

    The report's slide writes its formula so. It names MultiStepLR, which multiplies the initial rate
    (``learning_rates``); this reading is there to be compared with it.
    """
    rates = [recipe.learning_rate]
    for epoch in range(2, recipe.epochs + 1):
        passed = sum(epoch > milestone for milestone in recipe.milestones)
        rates.append(rates[-1] * recipe.gamma**passed)
    return rates
