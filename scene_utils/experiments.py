"""Runs of the catalogue's experiments: found, gone on with or trained now; their ensembles, data and models."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn

from scene_utils import averaging, cases, catalogue, data, durations, evaluation, models, results, trained, training
from scene_utils.catalogue import Experiment
from scene_utils.data import Dataset, Split
from scene_utils.pretraining import build, pretrained_source
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import fetching, ledger, progress, settings
from scene_utils.support.devices import processor, work_seconds
from scene_utils.support.settings import SceneError

PACKAGES = ("torch", "torchvision", "accelerate", "numpy")  # whose versions a record names


@dataclass(frozen=True)
class Task:
    """A run that may have to be trained: everything that decides its numbers.

    Attributes:
        pretrained: source of pretrained weights; None from scratch.
        teacher: the finished run whose logits a student learns.
    """

    experiment: Experiment
    profile: str
    seed: int
    pretrained: str | None
    teacher: Run | None
    train: Split
    holdout: Split
    dataset: Dataset

    @property
    def name(self) -> str:
        """The stem of its files."""
        return results.run_name(self.experiment.name, self.profile, self.seed)

    @property
    def key(self) -> str:
        """The hash that a finished run must carry to be this one."""
        more = {} if self.teacher is None else {"teacher": self.teacher.key}
        if self.experiment.refit:
            more["refit"] = True
        if self.experiment.case:
            more["sealed"] = data.SEALED
        return results.run_key(
            **more,
            experiment=self.experiment.name,
            recipe=self.recipe.fields(),
            clean=self.experiment.drop_test_duplicates,
            weights=self.pretrained,
            data=self.dataset.key,
            seed=self.seed,
            model=models.VERSION,
            engine=training.ENGINE_VERSION,
        )

    @property
    def recipe(self) -> Recipe:
        """How it trains."""
        return self.experiment.recipe(self.profile, self.seed)

    @property
    def checkpoint(self) -> Path:
        """File of an interrupted training."""
        return settings.runs_dir() / "checkpoints" / f"{self.name}.{self.key}.pt"

    def fresh_model(self) -> tuple[nn.Module, str | None]:
        """Return the model before training, the same each time, and the description of the weights it starts from."""
        torch.manual_seed(self.recipe.seed)
        return build(self.experiment, self.pretrained, len(self.train.classes))


# --- running


@progress.part()
def run(
    experiment: str | Experiment,
    profile: str | None = None,
    seed: int | None = 0,
    retrain: bool = False,
    weights: str | None = None,
    several: list[Run] | None = None,
) -> Run:
    """Return the finished run of an experiment: found, gone on with, or trained now.

    Args:
        retrain: train again though a finished run exists (``RETRAIN=1`` does so once a process for each run).
        weights: source of pretrained weights, as ``SCENE_WEIGHTS`` knows them; by default ``SCENE_WEIGHTS``, else
            whatever the finished run names, else torchvision's.
        several: a list that a found run is added to, where one line is to tell of all; else it has a line of its own.

    Raises:
        SceneError: for an unknown name, and for whatever keeps the data or the weights from being had.
    """
    settings.check_environment()
    experiment = catalogue.get(experiment) if isinstance(experiment, str) else experiment
    profile, seed = settings.profile(profile), settings.seed(seed)
    train, holdout, dataset = sets_of(experiment, profile)
    if experiment.members:
        members = run_all(experiment.members, profile, seed, retrain, weights)
        return build_ensemble(Task(experiment, profile, seed, None, None, train, holdout, dataset), members)

    pretrained = pretrained_source(experiment, profile, seed, weights)
    teacher = None
    if experiment.teacher:
        with progress.part(durations.effort(experiment.teacher, profile) / durations.effort(experiment, profile)):
            teacher = run(experiment.teacher, profile, seed, weights=weights)
    task = Task(experiment, profile, seed, pretrained, teacher, train, holdout, dataset)
    with run_lock(task.name):
        found = None if retrain else find(task)
        if found is not None and made_from(found, teacher):
            end = f"run that diverged at step {found.diverged_step}" if found.status == "diverged" else "finished run"
            if several is None:
                progress.line_once(f"{task.name}: {end} found, {found.seconds:.0f} s of training on {found.date[:10]}")
            else:
                several.append(found)
            return found
        command = f"python -m scene_utils train {experiment.name} --profile {profile} --seed {seed}"
        settings.check_may_train(task.name, command)
        ledger.note("started.csv", results.now(), experiment.name, profile, seed, task.key)
        return train_now(task)


def find(task: Task) -> Run | None:
    """Return the finished run of a task, unless it is to be trained again."""
    found = results.find(task.experiment.name, task.profile, task.seed, task.key)
    return found if found is not None and found.date >= (settings.retrain_since() or "") else None


def made_from(run: Run, *inputs: Run | None) -> bool:
    """Whether an ensemble or a student was made from these very runs, as their predictions are now.

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
    runs, found = [], []
    for name, fraction in progress.shared(names, lambda name: durations.effort(name, settings.profile(profile))):
        with progress.part(fraction):
            runs.append(run(name, profile, seed, retrain, weights, found))
    if found:
        lost = sum(each.status == "diverged" for each in found)
        kinds = [f"{number} {kind}" for number, kind in ((len(found) - lost, "finished"), (lost, "diverged")) if number]
        several = f"{' and '.join(kinds)} runs" if len(found) > 1 else f"{found[0].name}: {kinds[0].split()[1]} run"
        seconds, last = sum(run.seconds for run in found), max(run.date for run in found)
        progress.line_once(f"{several} found, {seconds:,.0f} s of training until {last[:10]}")
    return runs


def run_case(case: str, profile: str | None = None, seeds: bool = True) -> None:
    """Run what is missing of a case: the grids of its arms first, then each arm with the seeds of its design.

    Args:
        seeds: False runs the grids only.

    Raises:
        SceneError: for a design that cannot be used.
    """
    catalogue.declare(case)
    for name in cases.compared(case):
        for other in cases.arm(name).missing:
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
        catalogue.declare_cases()
        waiting = cases.arm(arm)
        runs = {value: run(name, profile) for value, name in waiting.grid_experiments().items()}
        cases.note_choice(waiting, {value: each.accuracy or 0.0 for value, each in runs.items()})
    catalogue.declare_cases()


def time_needed(profile: str | None = None, seed: int = 0) -> tuple[int, float]:
    """Return how many trainings the series still needs, and about how many seconds they take on this machine."""
    profile = settings.profile(profile)
    train, _, dataset = sets(profile)
    own = [each for each in catalogue.EXPERIMENTS.values() if not each.members and not each.case]
    own = [each for each in own if not each.name.endswith(("-reported", *catalogue.SHOWN_WHERE_RUN))]
    missing = [each for each in own if not is_finished(each, profile, seed, dataset)]
    if not missing:
        return 0, 0.0
    model, _ = build(catalogue.get("resnet18"), None, len(train.classes))
    return len(missing), durations.estimate(missing, model, train, profile)


def is_finished(experiment: Experiment, profile: str, seed: int, dataset: Dataset) -> bool:
    """Whether ``run`` would find a run of this experiment."""
    teacher = results.find(experiment.teacher, profile, seed) if experiment.teacher else None
    if experiment.teacher and teacher is None:
        return False
    pretrained = pretrained_source(experiment, profile, seed)
    return find(Task(experiment, profile, seed, pretrained, teacher, None, None, dataset)) is not None


def run_lock(name: str) -> contextlib.AbstractContextManager:
    """Return the lock of a run, so that two processes never train it at once; says so while it waits."""
    if not PartialState().is_main_process:
        return contextlib.nullcontext()
    waiting = f"{name}: another process trains this run; waiting for it to finish"
    return settings.locked(settings.runs_dir() / "locks" / f"{name}.lock", waiting)


# --- training one


def train_now(task: Task) -> Run:
    """Train, evaluate and record one experiment; an interrupted run with the same key goes on."""
    experiment, recipe, teacher = task.experiment, task.recipe, task.teacher
    model, source = task.fresh_model()
    settings.clear_leftovers(task.checkpoint.parent, task.checkpoint.name)
    refitting = task.checkpoint.with_suffix(".all.pt")
    soft_targets = None if teacher is None else teacher_logits(teacher, task.train)
    if task.profile != "sample":
        durations.announce(task.name, model, task.train, recipe, task.checkpoint, *[refitting] * experiment.refit)
    with progress.part(1 / (1 + experiment.refit)):
        history = training.fit(model, task.train, task.holdout, recipe, task.checkpoint, soft_targets, name=task.name)
    arrays, fields, last = {}, {}, history
    if history.status == "finished":
        arrays, fields = evaluate_selection(task, model, history)
        if experiment.refit:
            model, last = fit_again(task, refitting, soft_targets)
            fields["refit"] = {"images": len(task.train) + len(task.holdout), "seconds": last.seconds}
    if last.status == "finished":
        if not experiment.selection_only:
            arrays |= predict_split(model, "test", task.dataset.test, recipe, mirror=True)
        for artifact in experiment.artifacts:
            arrays |= artifact(model, task.dataset, recipe)
    if experiment.case:
        fields["design"] = f"{experiment.case} {cases.digest(experiment.case)}"
    if teacher is not None:
        fields |= {"inputs": {teacher.name: teacher.record["arrays"]}, "teacher": f"{teacher.name} ({teacher.key})"}
    record = make_record(
        task, arrays, history.epochs, key=task.key, status=last.status, diverged_step=last.diverged_step,
        seconds=history.seconds + fields.get("refit", {}).get("seconds", 0),
        parameters=sum(p.numel() for p in model.parameters()), device=history.device, processor=processor(),
        precision=history.precision, recipe=recipe.fields(), weights=source, weights_choice=task.pretrained, **fields,
    )  # fmt: skip
    finished = Run(record, arrays)
    if PartialState().is_main_process:
        if last.status == "finished" and not experiment.selection_only:
            trained.save_model(model, task.name, task.key)
        finished = results.write(record, arrays)
        for path in (task.checkpoint, refitting):
            path.unlink(missing_ok=True)
    return finished


def evaluate_selection(task: Task, model: nn.Module, history: training.History) -> tuple[dict, dict]:
    """Return the arrays and fields of a record that come from the model by which choices are made.

    The history's last accuracy is made that of the logits as they are kept: their rounding may move an image.
    """
    experiment, recipe = task.experiment, task.recipe
    device, mirror = next(model.parameters()).device, not experiment.selection_only
    began, passes = work_seconds(device), 3 if mirror else 1
    arrays = predict_split(model, "holdout", task.holdout, recipe, mirror, experiment.answers)
    fields = {"inference_ms": 1000 * (work_seconds(device) - began) / (passes * len(task.holdout))}
    kept = results.answers(arrays, "holdout")
    history.epochs[-1]["holdout_accuracy"] = evaluation.accuracy(kept, arrays["holdout_labels"])
    if experiment.without is not None:
        unknown = data.without_class(sets(task.profile)[1], experiment.without)[1]
        arrays["unknown_logits"] = averaging.to_float16(training.predict(model, unknown, recipe))
    if experiment.save_epochs:
        arrays["holdout_curve"] = np.stack([averaging.to_bytes(logits) for logits in history.holdout_logits], axis=-1)
    if experiment.blind:
        fields["on_training_set"] = training.evaluate(model, task.train, recipe)
        for name, split in {"test": task.dataset.test, "sealed": sealed_sets(task.profile)[1]}.items():
            unread = predict_split(model, name, split, recipe, experiment.mirror, experiment.answers)
            arrays |= {key: value for key, value in unread.items() if "labels" not in key}
    if experiment.refit and experiment.teacher is None:  # a student teaches nobody
        arrays["train_logits"] = averaging.to_float16(training.predict(model, task.train, recipe))
    return arrays, fields


def fit_again(task: Task, checkpoint: Path, soft_targets: Tensor | None) -> tuple[nn.Module, training.History]:
    """Train again on training set and hold-out together; return the model and its history."""
    model, _ = task.fresh_model()
    if task.teacher is not None:
        soft_targets = torch.cat([soft_targets, torch.from_numpy(task.teacher.arrays["holdout_logits"])])
    whole = data.concatenate(task.train, task.holdout)
    name = f"{task.name}, all images"
    return model, training.fit(model, whole, None, task.recipe, checkpoint, soft_targets, name=name)


def predict_split(
    model: nn.Module, name: str, split: Split, recipe: Recipe, mirror: bool, answers: bool = False
) -> dict[str, np.ndarray]:
    """Return labels and logits of a set, as a run keeps them; with ``mirror`` the mirrored ones too.

    With ``answers`` the predicted classes stand in place of the logits.
    """
    logits = averaging.to_float16(training.predict(model, split, recipe))
    arrays = {f"{name}_labels": split.labels.numpy()}
    if answers:
        return arrays | {f"{name}_answers": logits.argmax(1).astype(np.int16)}
    arrays[f"{name}_logits"] = logits
    if mirror:
        arrays[f"{name}_logits_mirror"] = averaging.to_float16(training.predict(model, split, recipe, mirror=True))
    return arrays


def teacher_logits(teacher: Run, train: Split) -> Tensor:
    """Return a run's logits on its training images, float16 (N, classes): those it kept, else computed now.

    Raises:
        SceneError: where it kept none and its weights, or those of one of its members, are not at hand.
    """
    if "train_logits" in teacher.arrays:
        return torch.from_numpy(teacher.arrays["train_logits"])
    progress.line(f"{teacher.name} answers on {len(train):,} training images, for its student")
    return torch.from_numpy(averaging.to_float16(trained.predict(teacher, trained.nets(teacher), train)))


# --- ensembles


def build_ensemble(task: Task, members: list[Run]) -> Run:
    """Average the members' probabilities over their saved logits, and record the result."""
    experiment = task.experiment
    key = results.run_key(members=[member.key for member in members], experiment=experiment.name)
    found = results.find(experiment.name, task.profile, task.seed, key)
    if found is not None and made_from(found, *members):
        return found
    arrays, recipe = averaging.ensemble(members, experiment.weighted)
    weights = recipe.get("weights", [1] * len(members))
    counted = [member for member, weight in zip(members, weights, strict=True) if weight]
    seconds = sum(member.seconds for member in counted)
    rows = [{"epoch": 1, "seconds": seconds}] if experiment.weighted else averaging.history(members)
    accuracy = evaluation.accuracy(arrays["holdout_logits"], arrays["holdout_labels"])
    rows[-1]["holdout_accuracy"] = accuracy  # by the logits: the curve's probabilities are rounded
    fields = {}
    again = [member.record["refit"] for member in members if "refit" in member.record]
    if len(again) == len(members):
        fields["refit"] = {"images": again[0]["images"], "seconds": sum(each["seconds"] for each in again)}
    costs = [member.record.get("inference_ms") for member in counted]
    if None not in costs and len({member.kind for member in counted}) == 1:
        fields["inference_ms"] = sum(costs) * (2 if experiment.weighted else 1)  # each image and its mirror image
    record = make_record(
        task, arrays, rows, key=key, status="finished", diverged_step=None, seconds=seconds,
        parameters=sum(member.parameters for member in counted),
        device="; ".join(dict.fromkeys(member.device for member in members)),
        precision=members[0].precision, recipe=recipe | {"members": [member.recipe for member in members]},
        weights="; ".join(dict.fromkeys(member.weights or "from scratch" for member in members)),
        weights_choice=members[0].weights_choice, members=[member.name for member in members],
        inputs={member.name: member.record["arrays"] for member in members}, **fields,
    )  # fmt: skip
    return results.write(record, arrays)


# --- records


def make_record(task: Task, arrays: dict[str, np.ndarray], history: list[dict], **fields) -> dict:
    """Return the record of a run.

    Args:
        history: one row per epoch; what JSON cannot hold, the numbers of a diverged epoch, is left out.
        fields: those of ``results.SCHEMA`` that neither the task nor the arrays decide.
    """
    known = {
        "experiment": task.experiment.name,
        "title": task.experiment.title,
        "profile": task.profile,
        "seed": task.seed,
        "model": task.experiment.architecture,
        "members": [],
        "classes": list(task.train.classes),
        "dataset": {
            "source": task.dataset.source,
            "commit": task.dataset.commit,
            "key": task.dataset.key,
            "counts": {"train": len(task.train), "holdout": len(task.holdout), "test": len(task.dataset.test)},
        },
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version(), "engine": training.ENGINE_VERSION, "model": models.VERSION},
        "date": results.now(),
        "epochs": len(history),
        "history": [{name: value for name, value in row.items() if np.isfinite(value)} for row in history],
    }
    return known | fields | metrics(task.experiment, arrays, task.train.classes)


def metrics(experiment: Experiment, arrays: dict[str, np.ndarray], classes: tuple[str, ...]) -> dict:
    """Return accuracy, counts, recalls and confusion matrix from the stored logits or answers."""
    name = "holdout" if experiment.selection_only else "test"
    fields = {"evaluated_on": "hold-out" if experiment.selection_only else "test"}
    if f"{name}_labels" not in arrays:
        unknown = dict.fromkeys(("accuracy", "correct", "per_class", "confusion_matrix"))
        return fields | unknown | {"total": 0}
    matrix = evaluation.confusion(arrays[f"{name}_labels"], results.answers(arrays, name), classes)
    correct, total = int(np.trace(matrix)), int(matrix.sum())
    recalls = [int(row[i]) / int(row.sum()) if row.sum() else None for i, row in enumerate(matrix)]
    return fields | {
        "accuracy": correct / total,
        "correct": correct,
        "total": total,
        "per_class": recalls,
        "confusion_matrix": matrix.tolist(),
    }


# --- data


@lru_cache(maxsize=4)
def _sets(profile: str | None, drop_test_duplicates: bool, own: str) -> tuple[Split, Split, Dataset]:
    dataset = data.load(profile)
    train = data.without_duplicates(dataset.train, dataset.test) if drop_test_duplicates else dataset.train
    if own and (removed := len(dataset.train) - len(train)):
        copies = f"{removed:,} training image{'s' * (removed != 1)}"
        settings.say(f"left out: {copies} with the same pixels as a test image")
    train, holdout = data.holdout_split(train)
    for name, images in zip(train.classes, train.counts(), strict=True):
        if images == 0:
            raise SceneError(f"class {name!r} has no training image that is not in the test set too; add images")
    return train, holdout, dataset


def sets(profile: str | None = None, drop_test_duplicates: bool = True) -> tuple[Split, Split, Dataset]:
    """Return (train, hold-out, dataset) of a profile; the hold-out is a tenth of ``train``, stratified.

    With ``drop_test_duplicates``, images that also stand in the test set are removed from ``train`` first. Images of
    one's own are read again once one of their files has changed.
    """
    own = fetching.own_state()  # the same in every profile
    return _sets(None if own else settings.profile(profile), drop_test_duplicates, own)


def sets_of(experiment: Experiment, profile: str) -> tuple[Split, Split, Dataset]:
    """Return (train, hold-out, dataset) of an experiment: a case's without the sealed set, some without a class."""
    train, holdout, dataset = sets(profile, experiment.drop_test_duplicates)
    if experiment.case:
        train, _ = sealed_sets(profile)
    if experiment.without is not None:
        train, holdout = (data.without_class(split, experiment.without)[0] for split in (train, holdout))
    return train, holdout, dataset


def own_images() -> bool:
    """Whether the images are somebody's own: nothing of the report's or of published runs says anything of them."""
    return settings.data_dir() is not None and sets()[2].commit != data.COMMIT


def sealed_sets(profile: str | None = None) -> tuple[Split, Split]:
    """Return (train, sealed set) of the cases of a profile; the hold-out is the same as everywhere."""
    return _sealed_sets(settings.profile(profile), fetching.own_state())


@lru_cache(maxsize=4)
def _sealed_sets(profile: str, own: str) -> tuple[Split, Split]:
    train, holdout, dataset = sets(profile)
    listed = dataset.key == data.COMMIT
    return data.sealed_listed(train) if listed else data.sealed_split(train, holdout, dataset.test)


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
