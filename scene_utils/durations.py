"""How long trainings take: beside one another, for a progress bar, and on this machine, before they begin."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from scene_utils import catalogue, training
from scene_utils.batches import steps_per_epoch
from scene_utils.catalogue import Experiment
from scene_utils.data import Split
from scene_utils.recipe import Recipe
from scene_utils.support import progress
from scene_utils.support.checkpoints import epochs_done
from scene_utils.support.devices import accelerator, device_name

# Training one image of 64 pixels, in milliseconds of a CPU core, from the published records.
COST = {"lenet": 1, "custom_lenet": 17, "alexnet": 17, "efficientnet_lite0": 7, "efficientnet_lite1": 9,
        "efficientnet_lite2": 10, "ensemble": 0}  # fmt: skip
COST |= {"resnet18": 4, "resnet26": 5, "resnet34": 7, "resnet50": 10, "resnet101": 16, "resnet152": 22}
LONG = 600  # seconds: a training that takes longer says so before it begins


def effort(experiment: str | Experiment, profile: str) -> float:
    """Return about how long an experiment trains beside others: its fraction of a bar."""
    experiment = catalogue.get(experiment) if isinstance(experiment, str) else experiment
    before = (*experiment.members, *filter(None, [experiment.teacher]))
    return own_effort(experiment, profile) + sum(effort(each, profile) for each in before)


def own_effort(experiment: Experiment, profile: str, images: int = 10_000) -> float:
    """Return the same without what it needs of other experiments, for a training set of so many images."""
    recipe = experiment.recipe(profile)
    images = min(images, recipe.images or images) * recipe.epochs * (1 + experiment.refit)
    return images * recipe.input_size**2 * COST.get(experiment.architecture, 1)


def step_seconds(model: nn.Module, train: Split, recipe: Recipe) -> float:
    """Return about how many seconds one step of training takes on this machine, were there no other work on it.

    ``model`` stays as it is.
    """
    batch = train.select(range(min(len(train), recipe.batch_size)))
    trial = recipe.replace(epochs=2, images=None, schedule="constant")  # two steps: the first one is slow
    teacher_logits = torch.zeros(len(batch), len(train.classes)) if recipe.distillation else None
    with torch.random.fork_rng(), progress.silent(), progress.part(0):
        history = training.fit(copy.deepcopy(model), batch, None, trial, None, teacher_logits)
    threads = torch.get_num_threads() if history.device.startswith("cpu") else 1  # seconds are those of all cores
    return history.epochs[-1]["seconds"] / threads


def announce(name: str, model: nn.Module, train: Split, recipe: Recipe, *checkpoints: Path) -> None:
    """Say about how long a training will take on this machine, where that is long, and what can be had sooner.

    Args:
        checkpoints: one for each time that the model is trained; what they hold is done.
    """
    epochs = sum(recipe.epochs - epochs_done(path) for path in checkpoints)
    seconds = epochs * steps_per_epoch(len(train), recipe) * step_seconds(model, train, recipe)
    if seconds > LONG:
        progress.line(f"{name}: {time_here(seconds)}")


def time_here(seconds: float) -> str:
    """Return a sentence part on how long something takes on this machine, and what can be had sooner."""
    device = accelerator().device
    gpu = "" if device.type == "cuda" else ", or a GPU"
    where = f"on this machine, {device_name(device)}, without other work"
    return f"{progress.roughly(seconds)} {where}; sooner: the profile sample (minutes){gpu}"


def estimate(missing: list[Experiment], model: nn.Module, train: Split, profile: str) -> float:
    """Return about how many seconds experiments take on this machine.

    The measure is a step of ResNet18, ``model``; what the others cost beside it is known from the published records.
    """
    measure = catalogue.get("resnet18")
    recipe = measure.recipe(profile)
    step = step_seconds(model, train, recipe)
    usual = own_effort(measure, profile, len(train)) / recipe.epochs / steps_per_epoch(len(train), recipe)
    return step / usual * sum(own_effort(each, profile, len(train)) for each in missing)
