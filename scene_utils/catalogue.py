"""The catalogue: every experiment of the series, its model, its recipe in each profile, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import nn

from scene_utils import cases, explain, models
from scene_utils.data import Dataset
from scene_utils.recipe import Recipe
from scene_utils.support import lite, settings
from scene_utils.support.settings import SceneError


@dataclass(frozen=True)
class Experiment:
    """One model trained one way.

    Attributes:
        build: ``build(classes)`` or, where it can start from pretrained weights, ``build(classes, weights)``; a ResNet
            takes their ``strides`` too. None for an ensemble.
        recipes: one ``Recipe`` per profile; a profile that is missing falls to ``short``.
        depth: depth of a pretrained ResNet; None trains from scratch.
        packaged: start from weights that a Python package carries (not in the profile ``sample``).
        drop_test_duplicates: train without the images that also stand in the test set.
        selection_only: a training that only serves to choose: it never sees the test set, the hold-out judges it.
        members: an ensemble of these experiments; nothing of its own is trained.
        weighted: the ensemble averages mirrored predictions, with weights chosen on the hold-out.
        teacher: an experiment whose logits on the training images are learned beside the labels; its hold-out is the
            student's, and what it teaches is from before it learned from that.
        save_epochs: keep the hold-out probabilities of every epoch (N, classes, epochs), for an ensemble's curve.
        case: the case whose design declares it; it trains without the sealed set, and the hold-out judges it.
        blind: keep its logits of test set and sealed set, which nobody reads before all runs of the cases exist.
        answers: keep the predicted classes of each set, not the logits, which take ten times the room.
        mirror: with ``blind``, keep the logits averaged with the mirror image's too.
        refit: once its choices are made, train again on all images, the hold-out's too, and test that model; the
            first one's logits on the hold-out and on its training images (for a student) are kept. A student learns
            its teacher's logits on the hold-out from that time.
        without: position of a class that is left out of training and hold-out; the logits on the hold-out's images of
            that class are kept as ``unknown_logits``.
        artifacts: functions of (model, dataset, recipe) that return more arrays to keep.
    """

    name: str
    title: str
    architecture: str
    build: Callable[..., nn.Module] | None
    recipes: dict[str, Recipe]
    depth: int | None = None
    packaged: bool = False
    drop_test_duplicates: bool = True
    selection_only: bool = False
    members: tuple[str, ...] = ()
    weighted: bool = False
    teacher: str | None = None
    save_epochs: bool = False
    case: str | None = None
    blind: bool = False
    answers: bool = False
    mirror: bool = False
    refit: bool = False
    without: int | None = None
    artifacts: tuple[Callable[[nn.Module, Dataset, Recipe], dict[str, np.ndarray]], ...] = ()

    def recipe(self, profile: str | None = None, seed: int | None = 0) -> Recipe:
        """Return the recipe of ``profile``; what seed it has is added to the run's."""
        recipe = self.recipes.get(settings.profile(profile), self.recipes["short"])
        return recipe.replace(seed=recipe.seed + settings.seed(seed))


FULL = {"epochs": 50}


def experiment(
    name: str,
    title: str,
    architecture: str,
    short: Recipe,
    full: Mapping = FULL,
    sample: Mapping = {},
    model: Mapping = {},
    **options,
) -> Experiment:
    """Return an experiment.

    Args:
        full, sample: what the recipes of these profiles change in ``short``.
        model: arguments of the architecture.
        options: attributes of ``Experiment``.
    """
    small = {"epochs": 1, "batch_size": 32, "input_size": 64} | sample
    recipes = {"short": short, "full": short.replace(**full), "sample": short.replace(**small)}
    return Experiment(name, title, architecture, builder(architecture, **model), recipes, **options)


ARCHITECTURES = {"lenet": models.LeNet, "custom_lenet": models.CustomLeNet, "alexnet": models.AlexNet,
                 **{f"efficientnet_lite{n}": partial(lite.efficientnet_lite, n) for n in range(3)}}  # fmt: skip
TITLES = {"lenet": "LeNet", "custom_lenet": "CustomLeNet", "alexnet": "AlexNet", "resnet18": "ResNet18"}


def builder(architecture: str, **options) -> Callable[..., nn.Module] | None:
    """Return the function that builds an architecture, such as ``resnet18``; None for an ensemble."""
    if architecture.startswith("resnet"):
        return partial(models.resnet, int(architecture.removeprefix("resnet")), **options)
    if architecture == "ensemble":
        return None
    settings.check_known("model", architecture, [*ARCHITECTURES, "resnet<depth>"])
    return partial(ARCHITECTURES[architecture], **options)


# --- recipes

# The report states its conditions for the final model alone. For the others its reading takes the same, and what
# it leaves open everywhere (batch size, momentum, weight decay, augmentation, Mixup strength) is assumed here, once.
REPORTED = Recipe(
    epochs=50, batch_size=128, optimizer="sgd", learning_rate=0.001, momentum=0.9, weight_decay=0.0,
    schedule="multistep", milestones=(10, 20, 30, 40), gamma=0.5, augmentation="none",
)  # fmt: skip
REPORTED_MIXUP = REPORTED.replace(mixup=0.2)
ASSUMED = ("batch_size", "momentum", "weight_decay", "augmentation", "mixup")

OURS = Recipe(augmentation="flip+crop", label_smoothing=0.1)
LENET = OURS.replace(epochs=30, learning_rate=0.01)
CUSTOM_LENET = OURS.replace(epochs=12, learning_rate=0.01)
ALEXNET = OURS.replace(epochs=15, learning_rate=0.02)
# A ResNet's first layers leave 2 x 2 positions of 64 x 64 pixels; of enlarged images they leave 3 x 3.
ENLARGED = OURS.replace(epochs=30, learning_rate=0.1, input_size=96)
# Enlarged images, and the ensemble of 08 as a teacher: its logits on the training images count beside the labels.
DISTILLED = OURS.replace(input_size=128, distillation=0.9, temperature=2.0, label_smoothing=0.0)
FINAL = OURS.replace(epochs=4, learning_rate=0.015, batch_size=64, input_size=160, mixup=0.2, label_smoothing=0.0)
# 02: from which learning rate does LeNet's loss become NaN?
RATE = REPORTED.replace(epochs=3, schedule="constant", precision="float32")
# 05: depth under one budget, with and without shortcuts.
DEPTH = OURS.replace(epochs=4, images=8000, learning_rate=0.02, schedule="constant", ema=0.9)
# 07: three beginnings under one recipe, without a teacher.
BEGINNING = OURS.replace(epochs=8, learning_rate=0.02)
SCHEDULE = OURS.replace(epochs=8, learning_rate=0.01, milestones=(4, 6))
# A1: an EfficientNet-Lite. float32: its depthwise convolutions, which do little arithmetic, are faster in it on a CPU.
LITE = DISTILLED.replace(epochs=12, learning_rate=0.03, batch_size=64, mixup=0.2, precision="float32", input_size=160)
# A2: the small model on all classes but one. It has no teacher: the ensemble has seen all classes.
LEFT_OUT = OURS.replace(epochs=2, learning_rate=0.03, batch_size=64, input_size=96, images=6000, label_smoothing=0.0,
                        precision="float32")  # fmt: skip

SAMPLE = {
    "lenet": {"epochs": 4},
    "custom_lenet": {"images": 96, "batch_size": 16},
    "alexnet": {"images": 64},
    "resnet18": {"epochs": 2, "learning_rate": 0.01},
    "transfer": {"epochs": 2, "images": 192},
    "member": {"epochs": 2, "images": 32, "learning_rate": 0.003, "input_size": 32},
    "depth": {"epochs": 2, "images": 16, "batch_size": 16, "learning_rate": 0.01, "ema": 0.0, "input_size": 32},
    "mixup": {"images": 96, "batch_size": 16, "learning_rate": 0.01},
    "schedule": {"epochs": 2, "milestones": (1,), "images": 160},
    "case": {"epochs": 1, "batch_size": 16, "images": 48, "learning_rate": 0.01},
}

# --- families of experiments

# Members that err alike are worth no more than one: each has a seed of its own, and images of its own size, the
# larger the smaller the net, so that all three cost about the same.
MEMBER_DEPTHS = {50: {"input_size": 192, "seed": 1}, 101: {"seed": 2}, 152: {"input_size": 128, "seed": 3}}
MEMBERS = tuple(f"resnet{depth}_final" for depth in MEMBER_DEPTHS)
REPORTED_MEMBERS = tuple(f"{member}-reported" for member in MEMBERS)
BEYOND = ("lite0", "beyond")
SHOWN_WHERE_RUN = ("lite0-alone", "lite1-alone", "lite2-alone", "different")  # by its page, which does not train it
LEARNING_RATES = (0.0005, 0.001, 0.002, 0.004, 0.007, 0.01, 0.02, 0.04, 0.07, 0.1, 0.2, 0.4)
DEPTHS = (18, 34, 50, 101, 152)
PLAIN_DEPTHS = (18, 34, 50)
MIXUP_STRENGTHS = (0.0, 0.1, 0.2, 0.4, 1.0)
SCHEDULES = ("constant", "multistep", "cosine", "one-cycle")
WITHOUT = tuple(f"lite0-without-{position}" for position in range(6))


def reported(name: str, title: str, architecture: str, recipe: Recipe, sample: Mapping, **options) -> Experiment:
    """The report's reading of a model: its own conditions, and the images that also stand in the test set."""
    return experiment(f"{name}-reported", f"{title}, the report's conditions", architecture, recipe, {}, sample,
                      drop_test_duplicates=False, **options)  # fmt: skip


BUDGET = {"full": FULL | {"images": None}, "sample": SAMPLE["depth"], "selection_only": True}
SERIES = (
    experiment("lenet", "LeNet", "lenet", LENET, sample=SAMPLE["lenet"], artifacts=(explain.kernels,)),
    experiment("custom_lenet", "CustomLeNet", "custom_lenet", CUSTOM_LENET, sample=SAMPLE["custom_lenet"]),
    experiment("alexnet", "AlexNet", "alexnet", ALEXNET, sample=SAMPLE["alexnet"],
               artifacts=(explain.first_layer, explain.normalization, explain.occlusion)),
    experiment("resnet18", "ResNet18", "resnet18", ENLARGED, sample=SAMPLE["resnet18"],
               artifacts=(explain.kernels, explain.class_activation, explain.mixup_interpolation)),
    experiment("resnet18_mixup", "ResNet18 + Mixup", "resnet18", ENLARGED.replace(mixup=0.2),
               sample=SAMPLE["resnet18"], artifacts=(explain.mixup_interpolation,)),
    experiment("resnet18_transfer", "ResNet18 + transferred", "resnet18",
               DISTILLED.replace(epochs=24, learning_rate=0.03, mixup=0.4, augmentation="flip+crop+cutmix"),
               sample=SAMPLE["transfer"], depth=18, teacher="ensemble", refit=True,
               artifacts=(explain.kernels, explain.class_activation)),
    *(experiment(f"resnet{depth}_final", f"ResNet{depth} + transferred + Mixup", f"resnet{depth}",
                 FINAL.replace(**changes), sample=SAMPLE["member"], depth=depth, save_epochs=True, refit=True)
      for depth, changes in MEMBER_DEPTHS.items()),
    experiment("ensemble", "ensemble (final)", "ensemble", FINAL, members=MEMBERS),
    # the report's reading of the seven
    *(reported(name, title, name, REPORTED, {"images": 96}) for name, title in TITLES.items()),
    reported("resnet18_mixup", "ResNet18 + Mixup", "resnet18", REPORTED_MIXUP, {"images": 96}),
    reported("resnet18_transfer", "ResNet18 + transferred", "resnet18", REPORTED, {"images": 96}, depth=18),
    *(reported(f"resnet{depth}_final", f"ResNet{depth} + transferred + Mixup", f"resnet{depth}", REPORTED_MIXUP,
               {"images": 64}, depth=depth, save_epochs=True) for depth in MEMBER_DEPTHS),
    reported("ensemble", "ensemble (final)", "ensemble", REPORTED_MIXUP, {}, members=REPORTED_MEMBERS),
    # 02: LeNet at a constant learning rate
    *(experiment(f"lenet-rate-{rate}", f"LeNet at a constant rate of {rate}", "lenet",
                 RATE.replace(learning_rate=rate), {}, {"epochs": 2, "images": 192}, selection_only=True)
      for rate in LEARNING_RATES),
    # 03: two by two, with and without ReLU after the convolutions (the nets without are lenet and custom_lenet)
    experiment("lenet-relu", "LeNet + ReLU", "lenet", LENET, sample=SAMPLE["lenet"], model={"relu": True}),
    experiment("custom_lenet-relu", "CustomLeNet + ReLU", "custom_lenet", CUSTOM_LENET,
               sample=SAMPLE["custom_lenet"], model={"relu": True}),
    # 04: without the dropout on the logits; with the original two fully connected layers of 4096
    experiment("alexnet-no-logit-dropout", "AlexNet without dropout on the logits", "alexnet", ALEXNET,
               sample=SAMPLE["alexnet"], model={"logit_dropout": False}),
    experiment("alexnet-two-fc", "AlexNet with two fully connected layers of 4096", "alexnet", ALEXNET,
               sample=SAMPLE["alexnet"], model={"second_fc": True}),
    *(experiment(f"depth-{depth}", f"ResNet{depth}, one budget", f"resnet{depth}", DEPTH, **BUDGET)
      for depth in DEPTHS),
    *(experiment(f"depth-{depth}-plain", f"plain net of {depth} layers, one budget", f"resnet{depth}", DEPTH,
                 model={"shortcuts": False}, **BUDGET) for depth in PLAIN_DEPTHS),
    # 06: Mixup's strength, chosen on the hold-out by a shorter training
    *(experiment(f"mixup-{strength}", f"ResNet18, Mixup strength {strength}", "resnet18",
                 OURS.replace(epochs=8, learning_rate=0.1, mixup=strength), sample=SAMPLE["mixup"],
                 selection_only=True) for strength in MIXUP_STRENGTHS),
    experiment("transfer-alone", "ResNet18 + transferred, without a teacher", "resnet18", BEGINNING,
               sample=SAMPLE["transfer"], depth=18, artifacts=(explain.kernels, explain.class_activation)),
    experiment("transfer-scratch", "ResNet18 from scratch, the transfer's recipe", "resnet18", BEGINNING,
               sample=SAMPLE["transfer"], artifacts=(explain.kernels, explain.class_activation)),
    experiment("transfer-frozen", "ResNet18, transferred features frozen", "resnet18",
               BEGINNING.replace(trainable="last"), sample=SAMPLE["transfer"], depth=18,
               artifacts=(explain.class_activation,)),
    # 09: one model and budget, four schedules
    *(experiment(f"schedule-{name}", f"LeNet, {name} schedule", "lenet", SCHEDULE.replace(schedule=name), {},
                 SAMPLE["schedule"], selection_only=True) for name in SCHEDULES),
    # A1: a small student of the ensemble, such nets without a teacher, and everything that knows more together
    experiment("lite0", "EfficientNet-Lite0, the ensemble's student", "efficientnet_lite0", LITE,
               sample={"images": 96}, packaged=True, teacher="ensemble"),
    *(experiment(f"lite{number}-alone", f"EfficientNet-Lite{number} without a teacher", f"efficientnet_lite{number}",
                 LITE.replace(distillation=0.0), sample={"images": 96}, packaged=True) for number in range(3)),
    experiment("beyond", "everything together", "ensemble", FINAL,
               members=(*MEMBERS, "resnet18_transfer", "lite0"), weighted=True),
    experiment("different", "networks with different beginnings", "ensemble", FINAL,
               members=(MEMBERS[0], "lite1-alone", "lite2-alone"), weighted=True),
    # A2: by the class's position, so that images of one's own have such runs too
    *(experiment(name, f"EfficientNet-Lite0, class {position + 1} left out", "efficientnet_lite0", LEFT_OUT,
                 sample={"images": 48, "batch_size": 16}, packaged=True, selection_only=True, without=position)
      for position, name in enumerate(WITHOUT)),
)  # fmt: skip
EXPERIMENTS = {each.name: each for each in SERIES}


def declare_cases() -> list[str]:
    """Declare all cases but for drafts that cannot be used yet, and return their names."""
    return list(cases.of_every_case(declare))


def declare(case: str) -> None:
    """Add the arms of a case and, where a grid chooses, an experiment for each of its values.

    An arm that waits for a choice is not there yet.

    Raises:
        SceneError: for a design that cannot be used.
    """
    with cases.whole(case):
        EXPERIMENTS.update((each.name, each) for arm in cases.arms(case) for each in arm_experiments(arm))


def arm_experiments(arm: cases.Arm) -> list[Experiment]:
    """Return the experiments of one arm of a case."""
    make = partial(experiment, architecture=arm.model, full={}, sample=SAMPLE["case"], model=arm.options,
                   selection_only=True, case=arm.name.split(".")[0], depth=arm.pretrained)  # fmt: skip
    found = []
    if not arm.missing:
        no_logits = not arm.mirror and arm.name not in cases.weighed()
        found.append(make(arm.experiment, arm.title, short=Recipe(**arm.recipe), blind=True, mirror=arm.mirror,
                          answers=no_logits))  # fmt: skip
    if set(arm.missing) <= {arm.name}:
        for field, values in arm.grid.items():
            for value in values:
                title = f"{arm.title}, {field.replace('_', ' ')} {value:g}"
                recipe = Recipe(**arm.recipe | {field: value})
                found.append(make(arm.grid_experiments()[value], title, short=recipe, answers=True))
    return found


declare_cases()


def get(name: str) -> Experiment:
    """Return an experiment; raise ``SceneError`` listing the known ones for another name."""
    if name not in EXPERIMENTS:
        known = ", ".join(other for other in EXPERIMENTS if not other.startswith("case-"))
        raise SceneError(f"experiment {name!r} is unknown; known: {known}, and the arms of the cases")
    return EXPERIMENTS[name]
