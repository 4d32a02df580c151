"""Every experiment of the series: model, weights, recipe per profile; and ``run``, which trains what is missing."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import load_file, save
from torch import nn
from torch.optim.swa_utils import update_bn

from scene_utils import cases, data, evaluation, explain, models, results, training
from scene_utils.batches import steps_per_epoch
from scene_utils.data import Dataset, Split
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import fetching, lite, progress, settings
from scene_utils.support.devices import accelerator, device_name, processor, work_seconds
from scene_utils.support.settings import SceneError
from scene_utils.support.weights import weights_source

# What SCENE_WEIGHTS=local takes for each depth: the source in the file's name and the strides it was trained with.
LOCAL_WEIGHTS = {18: ("tiny-imagenet-64px", None), 50: ("imagenet", "v1")}
LOCAL_WEIGHTS |= {101: ("imagenet-grown", "v1"), 152: ("imagenet-grown", "v1")}
SHIPPED = Path(__file__).parent / "shipped"  # the one small model that comes with the package
PACKAGED = "package"  # weights that a Python package carries
# Training one image of 64 pixels, in milliseconds of a CPU core, from the published records.
COST = {"lenet": 1, "custom_lenet": 17, "alexnet": 17, "efficientnet_lite0": 7}
COST |= {"resnet18": 4, "resnet26": 5, "resnet34": 7, "resnet50": 10, "resnet101": 16, "resnet152": 22}
STAND_IN = "rotation"  # pretraining on the sample itself, where nothing may be downloaded


@dataclass(frozen=True)
class Experiment:
    """One model trained one way.

    Attributes:
        build: ``build(classes)`` or, where ``depth`` is set, ``build(classes, weights, strides)``.
        recipes: one ``Recipe`` per profile; a profile that is missing falls to ``short``.
        depth: depth of a pretrained ResNet; None trains from scratch.
        packaged: start from weights that a Python package carries (not in the profile ``sample``).
        clean: train without the images that also stand in the test set.
        choice: a training that only serves to choose: it never sees the test set, the hold-out judges it.
        members: an ensemble of these experiments; nothing of its own is trained.
        weighted: the ensemble averages mirrored answers, with weights chosen on the hold-out.
        teacher: an experiment whose answers on the training images are learned beside the labels; its hold-out is the
            student's, and what it teaches is from before it learned from that.
        keep_curve: keep the hold-out logits of every epoch.
        case: the case whose design declares it; it trains without the sealed set, and the hold-out judges it.
        blind: keep its logits of test set and sealed set, which nobody reads before all runs of the cases exist.
        mirror: with ``blind``, keep those averaged with the mirror image's too.
        refit: once its choices are made, train again on all images, the hold-out's too, and test that model; what
            the first one answered on the hold-out and on its training images (for a student) is kept. A student learns
            what its teacher, at that time, answered on the hold-out.
        extras: functions of (model, dataset, recipe) that return more arrays to keep.
    """

    name: str
    title: str
    architecture: str
    build: Callable[..., nn.Module] | None
    recipes: dict[str, Recipe]
    depth: int | None = None
    packaged: bool = False
    clean: bool = True
    choice: bool = False
    members: tuple[str, ...] = ()
    weighted: bool = False
    teacher: str | None = None
    keep_curve: bool = False
    case: str | None = None
    blind: bool = False
    mirror: bool = False
    refit: bool = False
    extras: tuple[Callable[[nn.Module, Dataset, Recipe], dict[str, np.ndarray]], ...] = ()

    def recipe(self, profile: str | None = None, seed: int | None = 0) -> Recipe:
        """Return the recipe of ``profile``; what seed it has is added to the run's."""
        recipe = self.recipes.get(settings.profile(profile), self.recipes["short"])
        return recipe.replace(seed=recipe.seed + settings.seed(seed))


EXPERIMENTS: dict[str, Experiment] = {}


def define(
    name: str,
    title: str,
    architecture: str,
    build: Callable[..., nn.Module] | None,
    short: Recipe,
    full: Recipe | None = None,
    sample: dict | None = None,
    **options,
) -> None:
    """Add an experiment; ``sample`` changes the short recipe, ``full`` is 50 epochs of it unless given."""
    small = {"epochs": 1, "batch_size": 32, "input_size": 64} | (sample or {})
    recipes = {"short": short, "full": full or short.replace(epochs=50), "sample": short.replace(**small)}
    EXPERIMENTS[name] = Experiment(name, title, architecture, build, recipes, **options)


def resnet(depth: int, **options) -> Callable[..., nn.Module]:
    """Return a function that builds a ResNet of ``depth``."""

    def build(classes: int, weights=None, strides: str | None = None) -> nn.Module:
        return models.resnet(depth, classes=classes, weights=weights, strides=strides, **options)

    return build


# --- the series

# The report states its conditions for the final model alone. For the others its reading takes the same, and what
# it leaves open everywhere (batch size, momentum, weight decay, augmentation, Mixup strength) is assumed here, once.
REPORTED = Recipe(
    epochs=50, batch_size=128, optimizer="sgd", learning_rate=0.001, momentum=0.9, weight_decay=0.0,
    schedule="multistep", milestones=(10, 20, 30, 40), gamma=0.5, augmentation="none",
)  # fmt: skip
ASSUMED = ("batch_size", "momentum", "weight_decay", "augmentation", "mixup")
REPORTED_MIXUP = 0.2

SMALL_NETS = {"lenet": models.LeNet, "custom_lenet": models.CustomLeNet, "alexnet": models.AlexNet}
TITLES = {"lenet": "LeNet", "custom_lenet": "CustomLeNet", "alexnet": "AlexNet", "resnet18": "ResNet18"}
OURS = Recipe(augmentation="flip+crop", label_smoothing=0.1)

define("lenet", "LeNet", "lenet", models.LeNet,
       OURS.replace(epochs=30, learning_rate=0.01), sample={"epochs": 4},
       extras=(explain.kernels,))  # fmt: skip
define("custom_lenet", "CustomLeNet", "custom_lenet", models.CustomLeNet,
       OURS.replace(epochs=12, learning_rate=0.01), sample={"images": 96, "batch_size": 16})  # fmt: skip
define("alexnet", "AlexNet", "alexnet", models.AlexNet,
       OURS.replace(epochs=15, learning_rate=0.02), sample={"images": 64},
       extras=(explain.first_layer, explain.normalization, explain.occlusion))  # fmt: skip
# A ResNet's first layers leave 2 x 2 places of 64 x 64 pixels; of enlarged images they leave 3 x 3.
ENLARGED = OURS.replace(epochs=30, learning_rate=0.1, input_size=96)
define("resnet18", "ResNet18", "resnet18", resnet(18),
       ENLARGED, sample={"epochs": 2, "learning_rate": 0.01},
       extras=(explain.kernels, explain.class_activation, explain.between))  # fmt: skip
define("resnet18_mixup", "ResNet18 + Mixup", "resnet18", resnet(18),
       ENLARGED.replace(mixup=0.2), sample={"epochs": 2, "learning_rate": 0.01},
       extras=(explain.between,))  # fmt: skip
# enlarged images, and the ensemble of 08 as a teacher: its answers on the training images count beside the labels
TAUGHT = {"input_size": 128, "distillation": 0.9, "temperature": 2.0, "label_smoothing": 0.0}
define("resnet18_transfer", "ResNet18 + transferred", "resnet18", resnet(18),
       OURS.replace(epochs=24, learning_rate=0.03, mixup=0.4, **TAUGHT, augmentation="flip+crop+cutmix"),
       sample={"epochs": 2}, depth=18, teacher="ensemble", refit=True,
       extras=(explain.kernels, explain.class_activation))  # fmt: skip

FINAL = OURS.replace(
    epochs=4, learning_rate=0.015, batch_size=64, input_size=160, mixup=0.2, label_smoothing=0.0
)
MEMBERS = ("resnet50_final", "resnet101_final", "resnet152_final")
# Members that err alike are worth no more than one: each has a seed of its own, and images of its own size, the
# larger the smaller the net, so that all three cost about the same.
OWN = {50: {"input_size": 192, "seed": 1}, 101: {"seed": 2}, 152: {"input_size": 128, "seed": 3}}
for depth, member in zip(OWN, MEMBERS, strict=True):
    define(member, f"ResNet{depth} + transferred + Mixup", f"resnet{depth}", resnet(depth), FINAL.replace(**OWN[depth]),
           sample={"epochs": 2, "images": 48, "learning_rate": 0.003}, depth=depth, keep_curve=True,
           refit=True)  # fmt: skip
define("ensemble", "ensemble (final)", "ensemble", None, FINAL, members=MEMBERS)

# The report's reading of the seven.
for name, title in TITLES.items():
    build = SMALL_NETS.get(name) or resnet(18)
    define(f"{name}-reported", f"{title}, the report's conditions", name, build, REPORTED, REPORTED,
           {"images": 96}, clean=False)  # fmt: skip
define("resnet18_mixup-reported", "ResNet18 + Mixup, the report's conditions", "resnet18", resnet(18),
       REPORTED.replace(mixup=REPORTED_MIXUP), REPORTED.replace(mixup=REPORTED_MIXUP), {"images": 96},
       clean=False)  # fmt: skip
define("resnet18_transfer-reported", "ResNet18 + transferred, the report's conditions", "resnet18", resnet(18),
       REPORTED, REPORTED, {"images": 96}, clean=False, depth=18)  # fmt: skip
REPORTED_MEMBERS = tuple(f"{member}-reported" for member in MEMBERS)
for depth, member in zip((50, 101, 152), REPORTED_MEMBERS, strict=True):
    recipe = REPORTED.replace(mixup=REPORTED_MIXUP)
    define(member, f"ResNet{depth} + transferred + Mixup, the report's conditions", f"resnet{depth}", resnet(depth),
           recipe, recipe, {"images": 64}, clean=False, depth=depth, keep_curve=True)  # fmt: skip
define("ensemble-reported", "ensemble (final), the report's conditions", "ensemble", None,
       REPORTED.replace(mixup=REPORTED_MIXUP), REPORTED.replace(mixup=REPORTED_MIXUP),
       clean=False, members=REPORTED_MEMBERS)  # fmt: skip

# 02: from which learning rate does LeNet's loss become NaN?
LEARNING_RATES = (0.0005, 0.001, 0.002, 0.004, 0.007, 0.01, 0.02, 0.04, 0.07, 0.1, 0.2, 0.4)
for rate in LEARNING_RATES:
    define(f"lenet-rate-{rate}", f"LeNet at a constant rate of {rate}", "lenet", models.LeNet,
           REPORTED.replace(epochs=3, learning_rate=rate, schedule="constant", precision="float32"),
           REPORTED.replace(epochs=3, learning_rate=rate, schedule="constant", precision="float32"),
           {"epochs": 2, "images": 192}, choice=True)  # fmt: skip

# 03: two by two, with and without ReLU after the convolutions (the nets without are lenet and custom_lenet).
define("lenet-relu", "LeNet + ReLU", "lenet",
       lambda classes: models.LeNet(classes, relu=True),
       EXPERIMENTS["lenet"].recipes["short"], sample={"epochs": 4})  # fmt: skip
define("custom_lenet-relu", "CustomLeNet + ReLU", "custom_lenet",
       lambda classes: models.CustomLeNet(classes, relu=True),
       EXPERIMENTS["custom_lenet"].recipes["short"], sample={"images": 96, "batch_size": 16})  # fmt: skip

# 04: without the dropout on the logits; with the original two fully connected layers of 4096.
define("alexnet-no-logit-dropout", "AlexNet without dropout on the logits", "alexnet",
       lambda classes: models.AlexNet(classes, logit_dropout=False),
       EXPERIMENTS["alexnet"].recipes["short"], sample={"images": 64})  # fmt: skip
define("alexnet-two-fc", "AlexNet with two fully connected layers of 4096", "alexnet",
       lambda classes: models.AlexNet(classes, second_fc=True),
       EXPERIMENTS["alexnet"].recipes["short"], sample={"images": 64})  # fmt: skip

# 05: depth under one budget, with and without shortcuts.
DEPTHS = (18, 34, 50, 101, 152)
PLAIN_DEPTHS = (18, 34, 50)
DEPTH_RECIPE = OURS.replace(epochs=4, images=8000, learning_rate=0.02, schedule="constant", ema=0.9)
DEPTH_RECIPES = DEPTH_RECIPE, DEPTH_RECIPE.replace(epochs=50, images=None)  # short, full
DEPTH_SAMPLE = {"epochs": 2, "images": 32, "batch_size": 16, "learning_rate": 0.01, "ema": 0.0}
for depth in DEPTHS:
    define(f"depth-{depth}", f"ResNet{depth}, one budget", f"resnet{depth}", resnet(depth), *DEPTH_RECIPES,
           sample=DEPTH_SAMPLE, choice=True, keep_curve=True)  # fmt: skip
for depth in PLAIN_DEPTHS:
    define(f"depth-{depth}-plain", f"plain net of {depth} layers, one budget", f"resnet{depth}",
           resnet(depth, shortcuts=False), *DEPTH_RECIPES,
           sample=DEPTH_SAMPLE, choice=True, keep_curve=True)  # fmt: skip

# 06: Mixup's strength, chosen on the hold-out by a shorter training.
MIXUP_STRENGTHS = (0.0, 0.1, 0.2, 0.4, 1.0)
for strength in MIXUP_STRENGTHS:
    define(f"mixup-{strength}", f"ResNet18, Mixup strength {strength}", "resnet18", resnet(18),
           OURS.replace(epochs=8, learning_rate=0.1, mixup=strength),
           sample={"images": 96, "batch_size": 16, "learning_rate": 0.01}, choice=True)  # fmt: skip

# 07: three beginnings under one recipe, without a teacher: transferred, from scratch, transferred and kept.
BEGINNING = OURS.replace(epochs=8, learning_rate=0.02)
define("transfer-alone", "ResNet18 + transferred, without a teacher", "resnet18", resnet(18), BEGINNING,
       sample={"epochs": 2}, depth=18)  # fmt: skip
define("transfer-scratch", "ResNet18 from scratch, the transfer's recipe", "resnet18", resnet(18), BEGINNING,
       sample={"epochs": 2})  # fmt: skip
define("transfer-frozen", "ResNet18, transferred features frozen", "resnet18", resnet(18),
       BEGINNING.replace(trainable="last"), sample={"epochs": 2}, depth=18,
       extras=(explain.class_activation,))  # fmt: skip

# 09: one model and budget, four schedules.
SCHEDULES = ("constant", "multistep", "cosine", "one-cycle")
for schedule in SCHEDULES:
    define(f"schedule-{schedule}", f"LeNet, {schedule} schedule", "lenet", models.LeNet,
           OURS.replace(epochs=8, learning_rate=0.01, schedule=schedule, milestones=(4, 6)),
           OURS.replace(epochs=8, learning_rate=0.01, schedule=schedule, milestones=(4, 6)),
           sample={"epochs": 2, "milestones": (1,), "images": 160}, choice=True)  # fmt: skip


BEYOND = ("lite0", "beyond")
# A1: a small student of the ensemble, and everything that knows more together. float32: its depthwise
# convolutions, which do little arithmetic, are faster in it on a CPU.
define("lite0", "EfficientNet-Lite0, the ensemble's student", "efficientnet_lite0", lite.efficientnet_lite0,
       OURS.replace(epochs=12, learning_rate=0.03, batch_size=64, mixup=0.2, precision="float32",
                    **TAUGHT | {"input_size": 160}),
       sample={"images": 96}, packaged=True, teacher="ensemble")  # fmt: skip
define("beyond", "everything together", "ensemble", None, FINAL, members=(*MEMBERS, "resnet18_transfer", "lite0"),
       weighted=True)  # fmt: skip


CASE_SAMPLE = {"epochs": 1, "batch_size": 16, "images": 48, "learning_rate": 0.01}


def define_cases() -> None:
    """Add the arms of all cases and, where a grid chooses, an experiment for each of its values.

    An arm that waits for a choice is not there yet.
    """
    for arm in cases.arms():
        depth = int(arm.model.removeprefix("resnet")) if arm.model.startswith("resnet") else None
        builder = resnet(depth, **arm.options) if depth else partial(SMALL_NETS[arm.model], **arm.options)
        case = arm.name.split(".")[0]
        common = {"sample": CASE_SAMPLE, "choice": True, "case": case, "depth": arm.pretrained}
        if not arm.missing:
            recipe = Recipe(**arm.recipe)
            define(arm.experiment, arm.title, arm.model, builder, recipe, recipe, blind=True, mirror=arm.mirror,
                   **common)  # fmt: skip
        if set(arm.missing) <= {arm.name}:
            for field, values in arm.grid.items():
                for value in values:
                    recipe = Recipe(**arm.recipe | {field: value})
                    define(arm.grid_experiments()[value], f"{arm.title}, {field.replace('_', ' ')} {value:g}",
                           arm.model, builder, recipe, recipe, **common)  # fmt: skip


define_cases()


def run_case(case: str, profile: str | None = None, seeds: bool = True) -> None:
    """Run what is missing of a case: the grids of its arms first, then each arm with the seeds of its design.

    Args:
        seeds: False runs the grids only.
    """
    contrast = [cases.arm(name, case) for name in cases.design(case).get("contrast", {})]
    for name in dict.fromkeys(each.name for each in [*contrast, *cases.arms(case)]):
        arm = cases.arm(name)
        for other in arm.missing:
            choose(other, profile)
        arm = cases.arm(name)
        for seed in arm.seeds if seeds else ():
            run(arm.experiment, profile, seed)


def choose(arm: str, profile: str | None = None) -> None:
    """Train an arm's grid, extended where its best value lies at the edge, and write down what the hold-out prefers.

    Raises:
        SceneError: in the profile ``sample``, whose few images choose nothing.
    """
    if settings.profile(profile) == "sample":
        raise SceneError(f"the grid of {arm} has not chosen yet; run it with --profile short first")
    while arm in cases.arm(arm).missing:
        define_cases()
        waiting = cases.arm(arm)
        runs = {value: run(name, profile) for value, name in waiting.grid_experiments().items()}
        cases.note_choice(waiting, {value: each.accuracy or 0.0 for value, each in runs.items()})
    define_cases()


def get(name: str) -> Experiment:
    """Return an experiment; raise ``SceneError`` listing the known ones for another name."""
    if name not in EXPERIMENTS:
        known = ", ".join(other for other in EXPERIMENTS if not other.startswith("case-"))
        raise SceneError(f"experiment {name!r} is unknown; known: {known}, and the arms of the cases")
    return EXPERIMENTS[name]


# --- running one


@progress.part()
def run(
    experiment: str | Experiment,
    profile: str | None = None,
    seed: int | None = 0,
    retrain: bool = False,
    weights: str | None = None,
) -> Run:
    """Return the finished run of an experiment: found, gone on with, or trained now.

    Args:
        retrain: train again though a finished run exists (``RETRAIN=1`` does so once a process for each run).
        weights: source of pretrained weights, one of ``settings.WEIGHTS``; by default ``SCENE_WEIGHTS``, else
            whatever the finished run names, else torchvision's.

    Raises:
        SceneError: for an unknown name, and for whatever keeps the data or the weights from being had.
    """
    settings.check_environment()
    experiment = get(experiment) if isinstance(experiment, str) else experiment
    profile, seed = settings.profile(profile), settings.seed(seed)
    train, holdout, dataset = sets(profile, experiment.clean)
    if experiment.case:
        train, _ = sealed_sets(profile)
    if experiment.members:
        members = run_all(experiment.members, profile, seed, retrain, weights)
        return combine(experiment, profile, seed, members, dataset)

    choice = weights_choice(experiment, profile, seed, weights)
    teacher = None
    if experiment.teacher:
        with progress.part(effort(experiment.teacher, profile) / effort(experiment, profile)):
            teacher = run(experiment.teacher, profile, seed, weights=weights)
    key = run_key(experiment, profile, seed, choice, dataset, teacher)
    stem = results.run_name(experiment.name, profile, seed)
    with only_run(stem):
        found = None if retrain else results.find(experiment.name, profile, seed, key)
        since = settings.retrain_since() or ""
        if found is not None and found.date >= since and made_from(found, teacher):
            end = f"run that diverged at step {found.diverged_step}" if found.status == "diverged" else "finished run"
            say_once(f"{stem}: {end} found, {found.seconds:.0f} s of training on {found.date[:10]}")
            return found
        results.note("started.csv", results.now(), experiment.name, profile, seed, key)
        return train_now(experiment, profile, seed, choice, key, train, holdout, dataset, teacher)


def made_from(run: Run, *inputs: Run | None) -> bool:
    """Whether a combination or a student was made from these very runs, as their predictions are now.

    Records that came before ``inputs`` name none: what they were made from must be older than they are.
    """
    known = run.record.get("inputs")
    given = [each for each in inputs if each is not None]
    if known is None:
        return all(each.date <= run.date for each in given)
    return known == {each.name: each.record["arrays"] for each in given}


@progress.part()
def run_all(
    names: Sequence[str], profile: str | None = None, seed: int = 0, retrain: bool = False, weights: str | None = None
) -> list[Run]:
    """Return the runs of several experiments, as ``run`` does; one bar shows how far they all are."""
    runs = []
    for name, share in progress.shared(names, lambda name: effort(name, settings.profile(profile))):
        with progress.part(share):
            runs.append(run(name, profile, seed, retrain, weights))
    return runs


def effort(experiment: str | Experiment, profile: str) -> float:
    """Return about how long an experiment trains beside others: its share of a bar."""
    experiment = get(experiment) if isinstance(experiment, str) else experiment
    before = (*experiment.members, *([experiment.teacher] if experiment.teacher else []))
    total = sum(effort(each, profile) for each in before)
    return total if experiment.members else total + own_effort(experiment, profile)


def own_effort(experiment: Experiment, profile: str, images: int = 10_000) -> float:
    """Return the same without what it needs of other experiments, for a training set of so many images."""
    recipe = experiment.recipe(profile)
    images = min(images, recipe.images or images) * recipe.epochs * (1 + experiment.refit)
    return images * recipe.input_size**2 * COST.get(experiment.architecture, 1)


LONG = 600  # seconds: a training that takes longer says so before it begins


def announce(name: str, model: nn.Module, train: Split, recipe: Recipe, *checkpoints: Path) -> None:
    """Say about how long a training will take on this machine, where that is long, and what can be had sooner.

    Args:
        checkpoints: one for each time that the model is trained; what they hold is done.
    """
    epochs = sum(recipe.epochs - training.epochs_done(path) for path in checkpoints)
    seconds = epochs * steps_per_epoch(len(train), recipe) * training.step_seconds(model, train, recipe)
    if seconds > LONG:
        progress.line(f"{name}: {time_here(seconds)}")


def time_here(seconds: float) -> str:
    """Return a sentence part on how long something takes on this machine, and what can be had sooner."""
    device = accelerator().device
    gpu = "" if device.type == "cuda" else ", or a GPU"
    where = f"on this machine, {device_name(device)}, without other work"
    return f"{progress.roughly(seconds)} {where}; sooner: the profile sample (minutes){gpu}"


def time_needed(profile: str | None = None, seed: int = 0) -> tuple[int, float]:
    """Return how many trainings the series still needs, and about how many seconds they take on this machine.

    The measure is a step of ResNet18; what the others cost beside it is known from the published records.
    """
    profile = settings.profile(profile)
    train, _, dataset = sets(profile)
    own = [each for each in EXPERIMENTS.values() if not each.members and not each.case]
    own = [each for each in own if not each.name.endswith("-reported")]  # the pages show these where they exist
    missing = [each for each in own if not is_finished(each, profile, seed, dataset)]
    if not missing:
        return 0, 0.0
    measure = get("resnet18")
    recipe = measure.recipe(profile)
    step = training.step_seconds(build(measure, None, len(train.classes))[0], train, recipe)
    usual = own_effort(measure, profile, len(train)) / recipe.epochs / steps_per_epoch(len(train), recipe)
    return len(missing), step / usual * sum(own_effort(each, profile, len(train)) for each in missing)


def is_finished(experiment: Experiment, profile: str, seed: int, dataset: Dataset) -> bool:
    """Whether ``run`` would find a run of this experiment."""
    teacher = results.find(experiment.teacher, profile, seed) if experiment.teacher else None
    if experiment.teacher and teacher is None:
        return False
    key = run_key(experiment, profile, seed, weights_choice(experiment, profile, seed), dataset, teacher)
    found = results.find(experiment.name, profile, seed, key)
    return found is not None and found.date >= (settings.retrain_since() or "")


@cache
def say_once(line: str) -> None:
    """Print a line, once in a process: the members of an ensemble are asked for again and again."""
    progress.line(line)


def train_now(
    experiment: Experiment, profile: str, seed: int, choice: str | None, key: str,
    train: Split, holdout: Split, dataset: Dataset, teacher: Run | None = None,
) -> Run:  # fmt: skip
    """Train, evaluate and record one experiment; an interrupted run with the same key goes on."""
    recipe = experiment.recipe(profile, seed)
    torch.manual_seed(recipe.seed)
    model, source = build(experiment, choice, len(train.classes))
    stem = results.run_name(experiment.name, profile, seed)
    checkpoint = settings.runs_dir() / "checkpoints" / f"{stem}.{key}.pt"
    refitting = checkpoint.with_suffix(".all.pt")
    settings.clear_leftovers(checkpoint.parent, checkpoint.name)
    lessons = None if teacher is None else teacher_logits(teacher, train)
    if profile != "sample":
        announce(stem, model, train, recipe, checkpoint, *[refitting] * experiment.refit)
    with progress.part(1 / (1 + experiment.refit)):
        history = training.fit(model, train, holdout, recipe, checkpoint, lessons, name=stem)
    arrays, fields = {}, {} if teacher is None else {"inputs": {teacher.name: teacher.record["arrays"]}}
    if experiment.case:
        fields["design"] = f"{experiment.case} {cases.digest(experiment.case)}"
    if history.status == "finished":
        device, mirror = next(model.parameters()).device, not experiment.choice
        began, passes = work_seconds(device), 3 if mirror else 1
        arrays |= judged(model, "holdout", holdout, recipe, mirror)
        fields["inference_ms"] = 1000 * (work_seconds(device) - began) / (passes * len(holdout))
        if experiment.keep_curve:
            arrays["holdout_curve"] = np.stack([half(logits) for logits in history.holdout_logits])
        if experiment.blind:
            fields["on_training_set"] = training.evaluate(model, train, recipe)
            for name, split in {"test": dataset.test, "sealed": sealed_sets(profile)[1]}.items():
                unread = judged(model, name, split, recipe, experiment.mirror)
                arrays |= {key: value for key, value in unread.items() if "logits" in key}
            if experiment.mirror:
                arrays |= judged(model, "holdout", holdout, recipe, mirror=True)
        if experiment.refit:
            arrays["train_logits"] = half(training.predict(model, train, recipe))
            torch.manual_seed(recipe.seed)
            model, _ = build(experiment, choice, len(train.classes))
            whole = data.concatenate(train, holdout)
            if teacher is not None:
                lessons = torch.cat([lessons, torch.from_numpy(teacher.arrays["holdout_logits"])])
            again = training.fit(model, whole, None, recipe, refitting, lessons, name=f"{stem}, all images")
            fields["refit"] = {"images": len(whole), "seconds": again.seconds}
            history.status, history.diverged_step = again.status, again.diverged_step
    if history.status == "finished":
        if not experiment.choice:
            arrays |= judged(model, "test", dataset.test, recipe, mirror)
        for extra in experiment.extras:
            arrays |= extra(model, dataset, recipe)
    record = describe(experiment, profile, seed, dataset, train, holdout) | {
        "status": history.status,
        "diverged_step": history.diverged_step,
        "epochs": len(history.epochs),
        "seconds": history.seconds + fields.get("refit", {}).get("seconds", 0),
        "parameters": sum(p.numel() for p in model.parameters()),
        "device": history.device,
        "processor": processor(),
        "precision": history.precision,
        "recipe": recipe.fields(),
        "weights": source,
        "weights_choice": choice,
        "history": [finite(row) for row in history.epochs],
        "key": key,
    }
    record |= fields
    if teacher is not None:
        record["teacher"] = f"{teacher.name} ({teacher.key})"
    finished = Run(record | scores(experiment, arrays, train.classes), arrays)
    if PartialState().is_main_process:
        if history.status == "finished" and not experiment.choice:
            save_model(model, stem, key)
        finished = results.write(finished.record, arrays)
        checkpoint.unlink(missing_ok=True)
        refitting.unlink(missing_ok=True)
    return finished


def judged(model: nn.Module, name: str, split: Split, recipe: Recipe, mirror: bool) -> dict[str, np.ndarray]:
    """Return labels and answers of a set, as a run keeps them; with ``mirror`` the mirrored ones too."""
    arrays = {f"{name}_logits": half(training.predict(model, split, recipe)), f"{name}_labels": split.labels.numpy()}
    if mirror:
        arrays[f"{name}_logits_mirror"] = half(training.predict(model, split, recipe, mirror=True))
    return arrays


def teacher_logits(teacher: Run, train: Split) -> torch.Tensor:
    """Return a run's answers on its training images, float16 (N, classes): those it kept, else asked for now.

    Raises:
        SceneError: where it kept none and its weights, or those of one of its members, are not at hand.
    """
    if "train_logits" in teacher.arrays:
        return torch.from_numpy(teacher.arrays["train_logits"])
    progress.line(f"{teacher.name} answers on {len(train):,} training images, for its student")
    return torch.from_numpy(half(answer(teacher, train)))


def combine(experiment: Experiment, profile: str, seed: int, members: list[Run], dataset: Dataset) -> Run:
    """Average the members' probabilities over their saved logits, and record the result."""
    train, holdout, _ = sets(profile, experiment.clean)
    key = results.run_key(members=[member.key for member in members], experiment=experiment.name)
    found = results.find(experiment.name, profile, seed, key)
    if found is not None and made_from(found, *members):
        return found
    arrays = {name: members[0].arrays[name] for name in ("test_labels", "holdout_labels")}
    recipes = [member.recipe for member in members]
    if experiment.weighted:
        mirrored = [member.arrays["holdout_logits_mirror"] for member in members]
        shares = evaluation.choose_weights(mirrored, arrays["holdout_labels"])
        for judge in ("test", "holdout"):
            answers = [member.arrays[f"{judge}_logits_mirror"] for member in members]
            arrays[f"{judge}_logits"] = log_mean(answers, shares)
        combination = {"combination": "mean of mirrored probabilities, weights chosen on the hold-out"}
        recipe = combination | {"weights": list(shares), "members": recipes}
        right = float((arrays["holdout_logits"].argmax(1) == arrays["holdout_labels"]).mean())
        rows = [{"epoch": 1, "holdout_accuracy": right, "seconds": sum(member.seconds for member in members)}]
    else:
        for name in ("test_logits", "holdout_logits", "test_logits_mirror", "holdout_logits_mirror", "train_logits"):
            if all(name in member.arrays for member in members):
                arrays[name] = log_mean([member.arrays[name] for member in members])
        recipe = {"combination": "mean of probabilities", "members": recipes}
        rows = ensemble_history(members, arrays["holdout_labels"])
    record = describe(experiment, profile, seed, dataset, train, holdout) | {
        "status": "finished",
        "diverged_step": None,
        "epochs": len(rows),
        "seconds": sum(member.seconds for member in members),
        "parameters": sum(member.parameters for member in members),
        "device": members[0].device,
        "precision": members[0].precision,
        "recipe": recipe,
        "weights": "; ".join(dict.fromkeys(member.weights or "from scratch" for member in members)),
        "weights_choice": members[0].weights_choice,
        "members": [member.name for member in members],
        "inputs": {member.name: member.record["arrays"] for member in members},
        "history": rows,
        "key": key,
    }
    again = [member.record["refit"] for member in members if "refit" in member.record]
    if len(again) == len(members):
        record["refit"] = {"images": again[0]["images"], "seconds": sum(each["seconds"] for each in again)}
    costs = [member.record.get("inference_ms") for member in members]
    if None not in costs:
        record["inference_ms"] = sum(costs) * (2 if experiment.weighted else 1)  # each image and its mirror image
    return results.write(record | scores(experiment, arrays, dataset.test.classes), arrays)


def ensemble_history(members: list[Run], labels: np.ndarray) -> list[dict]:
    """Return the hold-out accuracy of the members' mean after each epoch, and what that epoch took them all."""
    rows = []
    curves = [member.arrays["holdout_curve"] for member in members]
    for epoch, at_epoch in enumerate(zip(*curves, strict=True), 1):
        right = log_mean(list(at_epoch)).argmax(1) == labels
        seconds = sum(member.record["history"][epoch - 1]["seconds"] for member in members)
        rows.append({"epoch": epoch, "holdout_accuracy": float(right.mean()), "seconds": seconds})
    return rows


def describe(
    experiment: Experiment, profile: str, seed: int, dataset: Dataset, train: Split, holdout: Split
) -> dict:
    """Return the fields of a record that are known before training."""
    packages = ("torch", "torchvision", "accelerate", "numpy")
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "profile": profile,
        "seed": seed,
        "model": experiment.architecture,
        "members": [],
        "classes": list(train.classes),
        "dataset": {
            "source": dataset.source,
            "commit": dataset.commit,
            "key": dataset.key,
            "counts": {"train": len(train), "holdout": len(holdout), "test": len(dataset.test)},
        },
        "versions": {name: version(name) for name in packages}
        | {"python": platform.python_version(), "engine": training.ENGINE_VERSION}
        | {"model": models.VERSIONS.get(experiment.architecture, 1)},
        "date": results.now(),
    }


def scores(experiment: Experiment, arrays: dict[str, np.ndarray], classes: tuple[str, ...]) -> dict:
    """Return accuracy, counts, recalls and confusion matrix from the stored logits."""
    judge = "holdout" if experiment.choice else "test"
    fields = {"evaluated_on": "hold-out" if experiment.choice else "test"}
    if f"{judge}_logits" not in arrays:
        unknown = dict.fromkeys(("accuracy", "correct", "per_class", "confusion_matrix"))
        return fields | unknown | {"total": 0}
    labels = arrays[f"{judge}_labels"]
    matrix = evaluation.confusion(labels, arrays[f"{judge}_logits"].argmax(1), classes)
    correct, total = int(np.trace(matrix)), int(matrix.sum())
    recalls = [int(row[i]) / int(row.sum()) if row.sum() else None for i, row in enumerate(matrix)]
    return fields | {
        "accuracy": correct / total,
        "correct": correct,
        "total": total,
        "per_class": recalls,
        "confusion_matrix": matrix.tolist(),
    }


def half(logits: torch.Tensor) -> np.ndarray:
    """Return logits as float16: what is stored is also what is scored."""
    return logits.clamp(-6e4, 6e4).to(torch.float16).numpy()


def log_mean(logits: list[np.ndarray], weights: tuple[float, ...] | None = None) -> np.ndarray:
    """Return the logarithm of the (weighted) mean of the probabilities, float16 (N, classes)."""
    return half(log_average([each.astype(np.float32) for each in logits], weights))


def log_average(logits: list, weights: tuple[float, ...] | None = None) -> torch.Tensor:
    """The same before it is rounded for keeping."""
    mean = evaluation.average_probabilities(logits, weights)
    return torch.from_numpy(np.log(np.maximum(mean, 1e-30)))


def finite(row: dict) -> dict:
    """Leave out what JSON cannot hold: the infinite and undefined numbers of a diverged epoch."""
    return {name: value for name, value in row.items() if np.isfinite(value)}


@contextlib.contextmanager
def only_run(stem: str):
    """Hold the lock of a run, so that two processes never train it at once; says so while it waits."""
    if not PartialState().is_main_process:
        yield
        return
    waiting = f"{stem}: another process trains this run; waiting for it to finish"
    with settings.locked(settings.runs_dir() / "locks" / f"{stem}.lock", waiting):
        yield


# --- data, weights and models of a run


@lru_cache(maxsize=4)
def _sets(profile: str, clean: bool, own: str) -> tuple[Split, Split, Dataset]:
    dataset = data.load(profile)
    train = data.without_duplicates(dataset.train, dataset.test) if clean else dataset.train
    if own and (removed := len(dataset.train) - len(train)):
        copies = f"{removed:,} training image{'s' * (removed != 1)}"
        settings.say(f"left out: {copies} with the same pixels as a test image")
    train, holdout = data.holdout_split(train)
    for name, images in zip(train.classes, train.counts(), strict=True):
        if images == 0:
            raise SceneError(f"class {name!r} has no training image that is not in the test set too; add images")
    return train, holdout, dataset


def sets(profile: str | None = None, clean: bool = True) -> tuple[Split, Split, Dataset]:
    """Return (train, hold-out, dataset) of a profile; the hold-out is a tenth of ``train``, stratified.

    With ``clean``, images that also stand in the test set are removed from ``train`` first. Images of one's own are
    read again once one of their files has changed.
    """
    return _sets(settings.profile(profile), clean, fetching.own_state())


def tested(run: Run) -> Split:
    """Return the test images that a run was judged on, in the order of its logits.

    Raises:
        SceneError: where other images have taken their place since.
    """
    dataset = sets(run.profile)[2]
    if dataset.key != run.dataset["key"]:
        raise SceneError(f"the images are no longer those of {run.name}; run the notebook again from its start")
    return dataset.test


def report_images(run: Run) -> bool:
    """True where a run was judged on the report's own images, all or (in the sample) some: the data decides."""
    return run.dataset["commit"] == data.COMMIT


def is_report_data(run: Run) -> bool:
    """True where a run was tested on the report's own test set, whole."""
    return report_images(run) and run.total == sum(results.facts()["dataset"]["val_counts"])


@lru_cache(maxsize=4)
def _sealed_sets(profile: str, where: str | None) -> tuple[Split, Split]:
    train, holdout, dataset = sets(profile)
    if dataset.key == data.COMMIT:
        return data.sealed_listed(train)
    return data.sealed_split(train, holdout, dataset.test)


def sealed_sets(profile: str | None = None) -> tuple[Split, Split]:
    """Return (train, sealed set) of the cases of a profile; the hold-out is the same as everywhere."""
    return _sealed_sets(settings.profile(profile), fetching.own_state())


def run_key(
    experiment: Experiment, profile: str, seed: int, choice: str | None, dataset: Dataset, teacher: Run | None = None
) -> str:
    """Return the hash that a finished run must carry to be taken for this one."""
    more = {} if teacher is None else {"teacher": teacher.key}
    if experiment.refit:
        more["refit"] = True
    if experiment.case:
        more["sealed"] = data.SEALED
    return results.run_key(
        **more,
        experiment=experiment.name,
        recipe=experiment.recipe(profile, seed).fields(),
        clean=experiment.clean,
        weights=choice,
        data=dataset.key,
        seed=seed,
        model=models.VERSIONS.get(experiment.architecture, 1),
        engine=training.ENGINE_VERSION,
    )


def weights_choice(experiment: Experiment, profile: str, seed: int, weights: str | None = None) -> str | None:
    """Return the source of pretrained weights of a run; None from scratch."""
    if experiment.packaged:
        return None if profile == "sample" else PACKAGED
    if experiment.depth is None:
        return None
    if profile == "sample":
        return STAND_IN
    chosen = weights or settings.weights_choice()
    if chosen is None:
        known = results.find(experiment.name, profile, seed)
        chosen = known.weights_choice if known is not None else "imagenet"
    return chosen


def build(experiment: Experiment, choice: str | None, classes: int) -> tuple[nn.Module, str | None]:
    """Return the model before training, and the description of the weights it starts from."""
    if choice is None:
        return experiment.build(classes), None
    if choice == STAND_IN:
        state = stand_in(experiment.depth)
        return experiment.build(classes, state), "stand-in: told by how much the sample's images were rotated"
    if choice == PACKAGED:
        return experiment.build(classes, PACKAGED), lite.packaged_source()
    name = LOCAL_WEIGHTS[experiment.depth][0] if choice == "local" else choice
    source = weights_source(experiment.depth, name)
    return experiment.build(classes, name, strides_of(experiment.depth, source)), source


def strides_of(depth: int, source: str | None) -> str | None:
    """Return the strides that the weights were trained with: torchvision's own files have torchvision's."""
    return LOCAL_WEIGHTS[depth][1] if source and ".safetensors" in source else None


@lru_cache(maxsize=4)
def stand_in(depth: int) -> dict[str, torch.Tensor]:
    """Return weights of a ResNet that learned to tell rotations of the sample's images (Gidaris et al., 2018).

    A few seconds of training: it shows the way, it is no substitute for ImageNet.
    """
    images = data.load_sample().train.images[::6]
    turned = torch.cat([images.rot90(turns, (2, 3)) for turns in range(4)])
    labels = torch.arange(4).repeat_interleave(len(images))
    turns = Split(turned, labels, ("0", "90", "180", "270"), tuple("" for _ in labels))
    recipe = Recipe(epochs=1, batch_size=32, learning_rate=0.02, schedule="constant", images=64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.resnet(depth, classes=4)
        with progress.part(0.2):
            progress.begin("stand-in")
            with progress.silent():  # a bar, but no line
                training.fit(model, turns, turns.select(range(0, len(turns), 16)), recipe, name="stand-in")
        # a few steps do not tell the norms what to expect, and frozen ones cannot learn it later
        some = explain.to_batch(turns, list(range(0, len(turns), 4)))
        update_bn([some], model, next(model.parameters()).device)
    return {name: value.cpu() for name, value in model.state_dict().items()}


def model_path(stem: str, key: str) -> Path | None:
    """File of a finished run's weights: in the runs folder, or shipped with the package; None where there is none."""
    places = (settings.runs_dir() / "models", SHIPPED)
    return next((path for place in places if (path := place / f"{stem}.{key}.safetensors").exists()), None)


def save_model(model: nn.Module, stem: str, key: str) -> None:
    """Keep the trained weights in the runs folder (they are not published)."""
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    settings.atomic_write(settings.runs_dir() / "models" / f"{stem}.{key}.safetensors", save(state))


def members(run: Run) -> list[Run | None]:
    """Return the runs whose probabilities a run averages: itself, or an ensemble's members (None: no record)."""
    if not run.members:
        return [run]
    found = [results.find(name.split(".")[0], run.profile, run.seed) for name in run.members]
    return [each if each is not None and each.dataset["key"] == run.dataset["key"] else None for each in found]


def answer(run: Run, split: Split) -> torch.Tensor:
    """Return what a finished run says of any images: logits, for an ensemble log-probabilities, float (N, classes).

    Raises:
        SceneError: where the weights of the run, or of one of its members, are not at hand.
    """
    weights = run.recipe.get("weights")  # an ensemble with weights has been chosen on mirrored answers
    answers = [
        training.predict(load_model(member), split, Recipe(**member.recipe), mirror=weights is not None)
        for member in members(run)
    ]
    if not run.members:
        return answers[0]
    return log_average(answers, weights)


def load_model(run: Run) -> nn.Module:
    """Return the trained model of a run, in evaluation mode.

    Raises:
        SceneError: where its weights are not in the runs folder (a published record has none).
    """
    path = model_path(run.name, run.key)
    if path is None:
        raise SceneError(f"{run.name}: its weights are not in the runs folder; RETRAIN=1 trains it again")
    experiment = get(run.experiment)
    classes = len(run.classes)
    if experiment.depth is None:
        model = experiment.build(classes)
    else:
        strides = LOCAL_WEIGHTS[experiment.depth][1] if run.weights_choice == "local" else None
        model = experiment.build(classes, None, strides)
    model.load_state_dict(load_file(path))
    return model.eval()
