"""The slides of the report that several lessons share, or that take more than a line: each displays its parts in order.

A cell that calls one of them is tagged ``slide-<number>``; the report assembles what those cells show.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from scene_utils import catalogue, data, evaluation, plots, results
from scene_utils.data import Dataset, Split
from scene_utils.lessons import course, verdicts
from scene_utils.results import Run
from scene_utils.support import layers
from scene_utils.support.intervals import Interval
from scene_utils.text import Text, join, number, say, sentences
from scene_utils.text.shown import Paragraph, Table, shown

# --- parts that slides share


def share(value: float | None) -> str:
    """An accuracy as the report prints it: four decimals."""
    return "" if value is None or np.isnan(value) else f"{value:.4f}"


def accuracy_cell(run: Run | None) -> str:
    """A run's accuracy on the test set, or that there is none yet."""
    return say("missing") if run is None else share(run.accuracy)


def between(interval: Interval, spec: str = ".4f") -> str:
    """An interval: its two ends."""
    return f"{number(interval[0], spec)}\u00a0…\u00a0{number(interval[1], spec)}"


def of(correct: int, total: int) -> str:
    """How many of how many, on one line."""
    return f"{correct:,}\u00a0/\u00a0{total:,}"


def origin(run: Run) -> str:
    """The weights that a run started from in a word or two; its provenance has them in full."""
    parts = re.sub(r"\.safetensors| \(sha256 \w+\)", "", run.pretrained_source or "–").split(", ")
    return ", ".join(dict.fromkeys("grown" if " grown from " in part else part for part in parts))


def seconds(run: Run) -> str:
    """Seconds of its trainings; nothing where they are a sum over two kinds of device."""
    return f"{run.seconds:,.0f}" if len(run.kinds) == 1 else ""


COLUMNS: dict[str, Callable[[Run], str]] = {  # of tables of runs; what is not here is the record's field
    "model": lambda run: run.title,
    "judged on": lambda run: run.evaluated_on,
    "accuracy": lambda run: share(run.accuracy),
    "95 % interval": lambda run: between((run.low, run.high)),
    "parameters": lambda run: f"{run.parameters:,}",
    "seconds": seconds,
    "training seconds": seconds,
    "date": lambda run: run.date[:10],
    "weights": origin,
}


def formatted_runs(runs: Sequence[Run], *columns: str) -> pd.DataFrame:
    """One row per run, every value as it is printed."""
    known = {name: COLUMNS.get(name) or (lambda run, name=name: str(getattr(run, name))) for name in columns}
    return pd.DataFrame({name: [form(run) for run in runs] for name, form in known.items()})


def reached(runs: Sequence[Run], more: Sequence[str] = ()) -> Table:
    """Model, accuracy on the test set with its interval, and of each run what more is asked for."""
    return Table(formatted_runs(runs, "model", "accuracy", "95 % interval", *more), "wide" if "weights" in more else "")


def interval_figure(runs: Sequence[Run]) -> Figure:
    """Their accuracies on the test set with their intervals, as a picture."""
    return plots.intervals(course.costs(runs).reset_index(names="model"), "model")


def show_diverged(run: Run) -> None:
    """What is to be said of a run without a model."""
    shown(say("diverged", name=run.title, step=run.diverged_step), runs=[run])


def per_class(run: Run, under: Run | None) -> Table:
    """Class, correct images, accuracy with its interval and, where they belong there, the report's.

    Args:
        under: the same model under the report's own conditions.
    """
    found, theirs = evaluation.per_class(run.labels, run.logits, run.classes), course.reported(run)
    table = pd.DataFrame({"class": found["class"]})
    if theirs is not None:
        table["report"] = [share(recall) for recall in theirs["per_class"]]
    table["ours"] = [share(recall) for recall in found["recall"]]
    table["95 % interval"] = [between(ends) for ends in zip(found["low"], found["high"], strict=True)]
    table["correct"] = [of(row.correct, row.total) for row in found.itertuples()]
    if theirs is not None and under is not None:
        table["under the report's conditions"] = [share(recall) for recall in under.per_class]
    return Table(table)


def step(first: Run, second: Run) -> Text:
    """What the second model fixes and breaks of the first, what differs in training, the claim and its verdict."""
    fields = [sentences.setting(name) for name in first.recipe if first.recipe[name] != second.recipe.get(name)]
    fields += ["pretrained weights"] * (first.weights != second.weights)
    fields += [say("changed.again")] * ("refit" in second.record)
    told = [course.difference(first, second), say("changed", fields=fields or say("none"))]
    case = course.CLAIMS.get((first.experiment, second.experiment))
    return join([*told, course.claim(first, second), verdicts.said(case) if case else ""])


# --- slides of several lessons


def confusion(run: Run, base: Run | None = None) -> None:
    """A model's confusion matrix, its recalls, and what has changed since another model."""
    if run.status == "diverged":
        return show_diverged(run)
    told = [course.verdict(run), sentences.confused(evaluation.confused_pairs(run.confusion, run.classes))]
    told += [step(base, run)] if base is not None and base.status == "finished" else []
    told += [course.limits(run)]
    taught = results.find("resnet18_transfer", run.profile, run.seed) if run.experiment == "transfer-alone" else None
    if taught is not None and taught.status == "finished":
        told += [say("taught", name=taught.title, accuracy=taught.accuracy, added=sentences.added(taught))]
    matrix = plots.confusion_matrix(run.confusion, run.classes)
    stated = run.experiment in (*catalogue.MEMBERS, "ensemble")  # the report states conditions for its final model
    under = course.reported_run(run) if stated else None
    runs = [run, *filter(None, [base, taught, under])]
    shown(matrix, per_class(run, under), Paragraph(told, "blocks"), runs=runs)


def curve(run: Run) -> None:
    """A model's curves of loss and accuracy."""
    if run.status == "diverged":
        return show_diverged(run)
    history = run.history
    loss, accuracy = history["loss"], history["holdout_accuracy"]
    values = {"first": loss.iloc[0], "last": loss.iloc[-1], "accuracy": accuracy.iloc[-1], "best": accuracy.max()}
    told = say("curve", name=run.title, epochs=run.epochs, at=int(history["epoch"][accuracy.idxmax()]), **values)
    shown(plots.curves(history), Paragraph([told], "wide"), runs=[run])


def structure(model: nn.Module, remark: str = "") -> None:
    """The layer table of a model."""
    shown(Paragraph([say("structure"), remark]), Table(layers.layer_table(model), "text"))


def code(model: type) -> None:
    """The source of a model's class."""
    shown(Paragraph([say("code"), f"```python\n{inspect.getsource(model)}```"], "blocks"))


# --- slides of one lesson


def images(train: Split, holdout: Split, dataset: Dataset, profile: str) -> None:
    """1: the report's two lines and ours; how many images of each class are in each set; some of them."""
    facts, compared = results.facts()["dataset"], dataset.commit == data.COMMIT
    folder = facts["repository"].rsplit("/", 1)[1]
    theirs = f"```\n!git clone {facts['repository']}\n%cd {folder}\n```"
    ours = f'```python\ntrain, holdout, dataset = experiments.sets("{profile}")\n```'
    told = [say("data.report"), theirs] * compared + [say("data.ours"), ours]
    counts = pd.DataFrame({"class": list(train.classes)})
    if compared:
        counts["report: train"], counts["report: val"] = facts["train_counts"], facts["val_counts"]
    counts["train"], counts["hold-out"], counts["test"] = train.counts(), holdout.counts(), dataset.test.counts()
    counts = counts.map(lambda value: value if isinstance(value, str) else f"{value:,}")
    removed = say("data.removed", removed=len(dataset.train) - len(train) - len(holdout))
    labels = train.labels.numpy()
    some = [train.images[np.flatnonzero(labels == label)[:6]] for label in range(len(train.classes))]
    shown(Paragraph(told, "blocks"), Table(counts), removed, plots.class_samples(some, train.classes))


def dimensions(model: nn.Module) -> None:
    """2: output dimensions, computed and measured."""
    told = Paragraph([say("dimensions"), say("dimensions.reading")])
    shown(told, Table(layers.output_steps(model), "text"))


def cliff(runs: Sequence[Run], reported: float | None) -> None:
    """3: the learning rates from which the loss becomes NaN; ``reported``: the report's, None on other images."""
    sweep = course.sweep(runs)
    ended = sweep["diverged_step"].notna()
    epochs = max(run.epochs for run in runs)
    told = [say("sweep", runs=len(sweep), epochs=epochs, diverged=int(ended.sum()))]
    told += [sentences.divergence(sweep, reported), verdicts.said("nan")]
    table = pd.DataFrame(
        {
            "learning rate": sweep["learning_rate"].map("{:g}".format),
            "final loss": sweep["loss"].map("{:.3f}".format).where(~ended, ""),
            "diverged at step": sweep["diverged_step"].map("{:.0f}".format).where(ended, ""),
        }
    )
    shown(plots.learning_rate_sweep(sweep, reported), Table(table), Paragraph(told), runs=runs)


def mixup_trade(plain: Run, mixed: Run) -> None:
    """15, second part: images that Mixup gains and loses for each class."""
    changes = evaluation.class_changes(plain.logits, mixed.logits, plain.labels, plain.classes)
    figure = plots.class_changes(changes, course.reported_changes(plain, mixed))
    shown(figure, sentences.changes(changes), runs=[plain, mixed])
