"""The report, slide by slide: what ``10_report`` shows, made from run records alone.

Each slide is a function of a ``Report`` that returns what to display, in order: Markdown, tables, figures.
Words stand in ``slide_texts``, sentences about differences in ``sentences``, figures in ``plots``.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.figure import Figure

from scene_utils import catalogue, data, ensembles, evaluation, experiments, models, plots, results
from scene_utils.lessons import course, depth, tuning
from scene_utils.recipe import Recipe, learning_rates, literal_rates
from scene_utils.results import Run
from scene_utils.support import intervals, layers, progress, report_facts, settings
from scene_utils.support.intervals import Interval, wilson_interval
from scene_utils.text import sentences
from scene_utils.text.slide_texts import TEXTS

SEVEN = tuple(results.facts()["results"])
RATES = tuple(f"lenet-rate-{rate}" for rate in catalogue.LEARNING_RATES)
DEPTHS = tuple(f"depth-{depth}" for depth in catalogue.DEPTHS)
PLAIN = tuple(f"depth-{depth}-plain" for depth in catalogue.PLAIN_DEPTHS)
SCHEDULES = tuple(f"schedule-{schedule}" for schedule in catalogue.SCHEDULES)
TWO_FC = ("alexnet", "alexnet-two-fc")
CONFUSED = ("resnet18", "resnet18_mixup", "resnet18_transfer", "ensemble")
BEYOND = catalogue.BEYOND
MOST, LEAST = "most important first", "least important first"  # searches of the tuning study


@dataclass
class Table:
    """A table without an index; classes: ``text`` sets it flush left, ``wide`` takes a printed page's width."""

    frame: pd.DataFrame
    classes: str = ""

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, border=0, na_rep="", classes=self.classes or None)

    def __repr__(self) -> str:
        return self.frame.to_string(index=False, na_rep="")


Shown = Markdown | Figure | Table


class Report:
    """The records of one profile and seed, and the language to tell them in.

    Attributes:
        sets: (train, hold-out, dataset) of the profile; None where the images are not at hand.
        compared: whether the images are the report's, so that its figures belong beside ours.

    Raises:
        SceneError: for an unknown profile, language or ``SCENE_*`` variable, or a seed that is no number.
    """

    def __init__(self, profile: str | None = None, seed: int = 0, language: str = "en") -> None:
        sentences.template("nothing", language)  # refuses a language that is unknown
        with progress.silent():
            self.profile = course.start(profile, seed)
        self.seed, self.language = settings.seed(seed), language
        self.facts = results.facts()
        plots.use_style("svg")
        self.sets = images(self.profile)
        if self.sets is not None:
            dataset = self.sets[2]
            self.key, self.compared = dataset.key, dataset.commit == data.COMMIT
            self.classes, self.total = list(dataset.test.classes), len(dataset.test)
        else:  # published records can be told without the images
            self.key, self.compared = data.COMMIT, True
            self.classes = self.facts["dataset"]["classes"]
            self.total = sum(self.facts["dataset"]["val_counts"])

    def say(self, key: str, **values: object) -> str:
        """A text in the report's language."""
        return TEXTS[self.language][key].format(**values)

    def term(self, word: str) -> str:
        """A technical term or class name in the report's language."""
        return sentences.term(word, self.language)

    def table(self, frame: pd.DataFrame, classes: str = "") -> Table:
        """A table whose column names and class names are in the report's language."""
        for column in ("class", "set"):
            if column in frame:
                frame = frame.assign(**{column: frame[column].map(self.term)})
        return Table(frame.rename(columns=self.term), classes)

    @cached_property
    def runs(self) -> dict[tuple[str, str, int], Run]:
        """All runs on these images, by (experiment, profile, seed)."""
        found = [run for run in results.records() if run.dataset["key"] == self.key]
        return {(run.experiment, run.profile, run.seed): run for run in found}

    def run(self, name: str) -> Run | None:
        """The run of this profile and seed, finished or diverged; None where there is none."""
        return self.runs.get((name, self.profile, self.seed))

    def done(self, *names: str) -> list[Run]:
        """The finished runs of this profile and seed among ``names``."""
        found = (self.run(name) for name in names)
        return [run for run in found if run is not None and run.status == "finished"]

    def over_seeds(self, name: str) -> list[Run]:
        """The finished runs of this profile with any seed."""
        same = [run for (n, p, _), run in self.runs.items() if (n, p) == (name, self.profile)]
        return [run for run in same if run.status == "finished"]

    def reported(self, name: str) -> dict | None:
        """The report's accuracy and recalls of a model; None where they do not belong beside ours."""
        return self.facts["results"].get(name) if self.compared else None

    def listed(self, names: Sequence[str]) -> str:
        """Names after one another, or the word for none."""
        return ", ".join(names) or self.say("none")


def images(profile: str):
    """(train, hold-out, dataset) of a profile; None where the dataset cannot be fetched.

    Raises:
        SceneError: for images of one's own that cannot be used.
    """
    try:
        with progress.silent():
            return experiments.sets(profile)
    except settings.SceneError:
        if settings.data_dir() or profile == "sample":
            raise
        return None


# --- forms of numbers


def share(value: float | None) -> str:
    """An accuracy as the report prints it: four decimals."""
    return "" if value is None or np.isnan(value) else f"{value:.4f}"


def signed(value: float) -> str:
    """A difference of accuracies: sign and four decimals."""
    text = f"{value:+.4f}"
    return (text.lstrip("+-") if float(text) == 0 else text).replace("-", "−")


def between(interval: Interval, form: Callable[[float], str] = share) -> str:
    """An interval: its two ends."""
    return f"{form(interval[0])}\u00a0…\u00a0{form(interval[1])}"


def of(correct: int, total: int) -> str:
    """How many of how many, on one line."""
    return f"{correct:,}\u00a0/\u00a0{total:,}"


def count(value: float) -> str:
    """A number of images, seconds or parameters."""
    return f"{value:,.0f}"


def origin(run: Run) -> str:
    """The weights that a run started from in a word or two, for tables; the small print has it in full."""
    parts = re.sub(r"\.safetensors| \(sha256 \w+\)", "", run.pretrained_source or "–").split(", ")
    return ", ".join(dict.fromkeys("grown" if " grown from " in part else part for part in parts))


# --- what slides have in common


def command(report: Report, names: Sequence[str], *before: str) -> str:
    """The command that trains experiments, as a Markdown block; ``before`` sets variables."""
    options = [f"--profile {report.profile}"] + [f"--seed {report.seed}"] * (report.seed != 0)
    words = " ".join([*before, "python -m scene_utils train", *map(shlex.quote, names), *options])
    return f"```\n{words}\n```"


def provenance(report: Report, runs: Sequence[Run]) -> Markdown:
    """The small print: one line for runs that differ in nothing but their names and seconds."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        parts = {
            "profile": run.profile,
            "seed": run.seed,
            "epochs": run.epochs,
            "again": report.say("again", count=count(run.refit["images"])) if "refit" in run.record else "",
            "weights": run.pretrained_source or report.say("scratch"),
            "device": run.device,
            "precision": run.precision,
            "date": run.date[:10],
            "torch": run.versions["torch"],
            "engine": run.versions["engine"],
            "images": (run.dataset["commit"] or run.dataset["key"])[:7],
        }
        groups.setdefault(tuple(parts.items()), []).append(run)
    lines = []
    for parts, members in groups.items():
        names = [run.experiment for run in members]
        seconds = ", ".join(count(run.seconds) for run in members)
        if len(names) > 4:
            names = [report.say("many", first=names[0], last=names[-1], count=len(names))]
            seconds = count(sum(run.seconds for run in members))
        lines.append(report.say("provenance", names=", ".join(names), seconds=seconds, **dict(parts)))
    return Markdown("<small>" + "<br>\n".join(lines) + "</small>")


def across(text: str) -> Markdown:
    """A paragraph of a slide that is one column when it is printed."""
    return Markdown(f'<p class="wide">{text}</p>')


def seven(report: Report) -> Markdown:
    """The small print of what is made from the seven models: it stands in the summary."""
    return Markdown(f"<small>{report.say('seven')}</small>")


def per_class(report: Report, run: Run) -> pd.DataFrame:
    """Class, images right, accuracy with its interval and, where it belongs there, the report's."""
    found = evaluation.per_class(run.labels, run.logits, run.classes)
    table = pd.DataFrame({"class": found["class"]})
    theirs = report.reported(run.experiment)
    if theirs is not None:
        table["report"] = [share(recall) for recall in theirs["per_class"]]
    table["ours"] = [share(recall) for recall in found["recall"]]
    table["95 % interval"] = [between(ends) for ends in zip(found["low"], found["high"], strict=True)]
    table["images right"] = [of(row.correct, row.total) for row in found.itertuples()]
    return table


def step(report: Report, first: Run, second: Run) -> str:
    """What the second model fixes and breaks of the first, and what becomes of the report's claim."""
    comparison = evaluation.compare(first.logits, second.logits, first.labels)
    told = [sentences.difference(comparison, first.title, second.title, report.language)]
    if report.compared:
        told.append(course.claim(first, second, report.language))
    return " ".join(told).strip()


def reported_differences(report: Report) -> dict[tuple[str, str], float]:
    """Differences that the report states: (first, second) to second minus first."""
    return {(each["from"], each["to"]): each["difference"] for each in report.facts["reported_differences"]}


def confusion(name: str, base: str | None = None) -> Callable[[Report], list[Shown]]:
    """A slide with a model's confusion matrix, and its difference from another model."""

    def body(report: Report) -> list[Shown]:
        run = report.run(name)
        if run.status == "diverged":
            return [Markdown(report.say("diverged", name=run.title, step=run.diverged_step))]
        accuracy = sentences.accuracy(run.title, run.correct, run.total, report.language)
        told = [course.verdict(run, report.language) if report.compared else accuracy]
        told.append(sentences.confused(evaluation.confused_pairs(run.confusion, run.classes), report.language))
        told += [step(report, first, run) for first in report.done(*filter(None, [base]))]
        if report.sets is not None:
            told.append(course.limits(run, report.language))
        figure = plots.confusion_matrix(run.confusion, run.classes)
        return [figure, report.table(per_class(report, run)), Markdown("\n\n".join(filter(None, told)))]

    return body


def curve(name: str) -> Callable[[Report], list[Shown]]:
    """A slide with a model's curves of loss and accuracy."""

    def body(report: Report) -> list[Shown]:
        run = report.run(name)
        if run.status == "diverged":
            return [Markdown(report.say("diverged", name=run.title, step=run.diverged_step))]
        history = run.history
        best = history["holdout_accuracy"].idxmax()
        told = report.say(
            "curve",
            name=run.title,
            first=f"{history['loss'].iloc[0]:.3f}",
            last=f"{history['loss'].iloc[-1]:.3f}",
            epochs=run.epochs,
            accuracy=share(history["holdout_accuracy"].iloc[-1]),
            best=share(history["holdout_accuracy"][best]),
            at=history["epoch"][best].astype(int),
        )
        return [plots.curves(history), across(told)]

    return body


# --- slides


def data_slide(report: Report) -> list[Shown]:
    """1: the report's two lines and ours; how many images of each class are in each set."""
    facts = report.facts["dataset"]
    folder = facts["repository"].rsplit("/", 1)[1]
    shown = []
    if report.compared:
        theirs = f"```\n!git clone {facts['repository']}\n%cd {folder}\n```"
        shown += [Markdown(f"{report.say('data.report')}\n\n{theirs}")]
    ours = f'```python\ntrain, holdout, dataset = experiments.sets("{report.profile}")\n```'
    shown += [Markdown(f"{report.say('data.ours')}\n\n{ours}")]
    if report.sets is None:
        return [*shown, Markdown(f"{report.say('data.none')}\n\n```\npython -m scene_utils fetch\n```")]
    train, holdout, dataset = report.sets
    removed = len(dataset.train) - len(train) - len(holdout)
    labels = train.labels.numpy()
    some = [train.images[np.flatnonzero(labels == label)[:6]] for label in range(len(report.classes))]
    shown += [report.table(class_counts(report)), Markdown(report.say("data.removed", removed=removed))]
    return [*shown, plots.class_samples(some, report.classes)]


def class_counts(report: Report) -> pd.DataFrame:
    """Images of each class: the report's two folders, our three sets."""
    train, holdout, dataset = report.sets
    table = pd.DataFrame({"class": report.classes})
    if report.compared:
        table["report: train"] = report.facts["dataset"]["train_counts"]
        table["report: val"] = report.facts["dataset"]["val_counts"]
    table["train"], table["hold-out"], table["test"] = train.counts(), holdout.counts(), dataset.test.counts()
    return table.map(lambda value: value if isinstance(value, str) else count(value))


def dimensions(report: Report) -> list[Shown]:
    """2: LeNet's output dimensions, computed and measured."""
    steps = layers.output_steps(models.LeNet(len(report.classes)))
    told = f"{report.say('dimensions')} {report.say('dimensions.reading')}"
    return [Markdown(told), report.table(steps, "text")]


def cliff(report: Report) -> list[Shown]:
    """3: the learning rates from which the loss becomes NaN."""
    sweep = sweep_table(report)
    reported = report.facts["lenet_divergence"]["learning_rate_at_least"] if report.compared else None
    epochs = max(run.epochs for run in map(report.run, RATES) if run is not None)
    ended = sweep["diverged_step"].notna()
    told = [report.say("sweep", runs=len(sweep), epochs=epochs, diverged=int(ended.sum()))]
    if reported is not None:
        told.append(sentences.divergence(sweep, reported, report.language))
    table = pd.DataFrame(
        {
            "learning rate": sweep["learning_rate"].map("{:g}".format),
            "final loss": sweep["loss"].map("{:.3f}".format).where(~ended, ""),
            "diverged at step": sweep["diverged_step"].map("{:.0f}".format).where(ended, ""),
        }
    )
    return [plots.learning_rate_sweep(sweep, reported), report.table(table), Markdown(" ".join(told))]


def sweep_table(report: Report) -> pd.DataFrame:
    """Learning rate, final loss and, where the run diverged, the step: one row a run (see ``course.sweep``)."""
    return course.sweep([run for run in map(report.run, RATES) if run is not None])


def structure(build: Callable, remark: Callable[[Report, pd.DataFrame], str]) -> Callable[[Report], list[Shown]]:
    """A slide with the layer table of a model."""

    def body(report: Report) -> list[Shown]:
        table = layers.layer_table(build(len(report.classes)))
        told = f"{report.say('structure')} {remark(report, table)}"
        return [Markdown(told), report.table(table, "text")]

    return body


def lenet_remark(report: Report, table: pd.DataFrame) -> str:
    """What is unusual about CustomLeNet."""
    return report.say("structure.lenet")


def alexnet_remark(report: Report, table: pd.DataFrame) -> str:
    """What is unusual about the report's AlexNet."""
    row = table["#"][table["type"] == "dropout"].iloc[-1]
    return report.say("structure.alexnet", row=row, classes=len(report.classes))


def code(model: type) -> Callable[[Report], list[Shown]]:
    """A slide with a model's class."""

    def body(report: Report) -> list[Shown]:
        return [Markdown(f"{report.say('code')}\n\n```python\n{inspect.getsource(model)}```")]

    return body


def depth_slide(report: Report) -> list[Shown]:
    """13: hold-out accuracy against depth, one line per number of epochs."""
    shown: list[Shown] = [Markdown(report.say("depth" if report.compared else "depth.own"))]
    runs = report.done(*DEPTHS, *PLAIN)
    if not runs:
        return shown
    table = depth.patience(runs)
    wide = table.pivot_table(index="net", columns="epochs", values="holdout_accuracy", sort=False)
    wide = wide.map(share).rename(columns=lambda epochs: f"{report.term('epoch')} {epochs}")
    wide = wide.rename_axis(columns=None).reset_index(names="model")
    wide["training seconds"] = [count(run.seconds) for run in runs]
    told = depth.findings(report.done(*DEPTHS), report.language)
    return [*shown, plots.accuracy_vs_depth(table), report.table(wide), Markdown(" ".join(told))]


def mixup_slide(report: Report) -> list[Shown]:
    """15: the confusion matrix, and Mixup's trade: images gained and lost per class."""
    shown = confusion("resnet18_mixup", "resnet18")(report)
    runs = report.done("resnet18", "resnet18_mixup")
    if len(runs) < 2:
        return shown
    first, second = runs
    changes = evaluation.class_changes(first.logits, second.logits, first.labels, first.classes)
    theirs = None
    if report.compared and experiments.is_report_data(second):
        theirs = plots.report_changes(report.facts, "resnet18", "resnet18_mixup")
    told = Markdown(sentences.changes(changes, report.language))
    return [*shown, plots.class_changes(changes, theirs), told]


def final_model(report: Report) -> list[Shown]:
    """17: the members of the ensemble, each alone and together."""
    shown: list[Shown] = [Markdown(report.say("final"))]
    members, together = report.done(*catalogue.MEMBERS), report.done("ensemble")
    if not members + together:
        return shown
    shown.append(report.table(reached(members + together, ("parameters", "training seconds", "weights")), "wide"))
    if together and len(members) == len(catalogue.MEMBERS):
        best = int(np.argmax([holdout_accuracy(run) for run in members]))
        logits = [run.logits for run in members]
        analysis = ensembles.analyse_ensemble(logits, together[0].logits, together[0].labels, best)
        told = sentences.ensemble(analysis, [run.title for run in members], report.language)
        shown.append(Markdown(told))
    return shown


def holdout_accuracy(run: Run) -> float:
    """Accuracy of the finished model on the hold-out."""
    return float((run.arrays["holdout_logits"].argmax(1) == run.arrays["holdout_labels"]).mean())


def reached(runs: Sequence[Run], more: Sequence[str] = ()) -> pd.DataFrame:
    """Model, accuracy on the test set with its interval, and what more is asked for."""
    columns = {
        "model": [run.title for run in runs],
        "accuracy": [share(run.accuracy) for run in runs],
        "95 % interval": [between(wilson_interval(run.correct, run.total)) for run in runs],
        "parameters": [count(run.parameters) for run in runs],
        "training seconds": [count(run.seconds) for run in runs],
        "weights": [origin(run) for run in runs],
    }
    return pd.DataFrame({name: columns[name] for name in [*list(columns)[:3], *more]})


CONDITIONS = ("epochs", "learning_rate", "optimizer", "schedule", "milestones", "gamma", "mixup", "batch_size")
CONDITIONS += ("momentum", "weight_decay", "augmentation", "input_size", "label_smoothing")


def conditions(report: Report) -> list[Shown]:
    """18: the conditions of the final model, and the schedule in both readings."""
    theirs = catalogue.get(catalogue.REPORTED_MEMBERS[0]).recipe("full")
    stages = course.schedule_table(theirs)
    stages["epochs"] = stages["epochs"].str.replace(" to ", " … ")
    stages[stages.columns[1:]] = stages[stages.columns[1:]].map("{:.3g}".format)
    rates = {"MultiStepLR": learning_rates(theirs), "as written": literal_rates(theirs)}
    shown = [Markdown(report.say("conditions")), report.table(conditions_table(report), "text")]
    if not report.compared:
        return shown
    return [*shown, Markdown(report.say("formula")), report.table(stages, "text"), plots.schedule(rates)]


def conditions_table(report: Report) -> pd.DataFrame:
    """One row a condition: the report's reading (what it leaves open is assumed), and our members'."""
    ours = [member_recipe(report, name) for name in catalogue.MEMBERS]
    theirs = catalogue.get(catalogue.REPORTED_MEMBERS[0]).recipe("full")
    rows = []
    for name in CONDITIONS:
        reported, own = listed(getattr(theirs, name)), [listed(getattr(recipe, name)) for recipe in ours]
        if name in catalogue.ASSUMED or name in ("input_size", "label_smoothing"):
            reported = report.say("assumed", value=reported)
        if name in ("milestones", "gamma"):
            own = [value if recipe.schedule == "multistep" else "–" for recipe, value in zip(ours, own, strict=True)]
        rows.append((report.term(name.replace("_", " ")), reported, " / ".join(dict.fromkeys(own))))
    table = pd.DataFrame(rows, columns=["condition", "report", "ours"])
    return table if report.compared else table.drop(columns="report")


def listed(value: object) -> str:
    """Write a recipe's value as text."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def member_recipe(report: Report, name: str) -> Recipe:
    """The recipe with which a member of our final model was trained, or would be."""
    run = report.run(name)
    return catalogue.get(name).recipe(report.profile, report.seed) if run is None else Recipe(**run.recipe)


def final_curve(report: Report) -> list[Shown]:
    """19: hold-out accuracy of the members and of the ensemble, epoch by epoch."""
    members, together = report.done(*catalogue.MEMBERS), report.done("ensemble")
    lines = {depth.name(run): run.history["holdout_accuracy"].tolist() for run in members}
    lines |= {run.title: run.history["holdout_accuracy"].tolist() for run in together}
    goal = report.facts["target_accuracy"]
    level = (f"{goal:.0%}", goal) if report.compared else None
    shown: list[Shown] = [plots.lines(lines, percent=True, level=level)]
    if members and together:
        best = max(members, key=holdout_accuracy)
        logits = [run.arrays["holdout_logits"] for run in (best, together[0])]
        comparison = evaluation.compare(*logits, best.arrays["holdout_labels"])
        told = sentences.difference(comparison, best.title, together[0].title, report.language)
        shown.append(across(f"{report.say('holdout')} {told}"))
    return shown


def final_confusion(report: Report) -> list[Shown]:
    """20: the final model's confusion matrix, and whether the goal is reached."""
    shown = confusion("ensemble")(report)
    run, goal = report.run("ensemble"), report.facts["target_accuracy"]
    if report.compared and run.status == "finished":
        shown.append(Markdown(sentences.target(run.title, run.correct, run.total, goal, report.language)))
    return shown


def questions(report: Report) -> list[Shown]:
    """21: the three questions, each with an answer from records."""
    shown: list[Shown] = []
    for letter, answer in (("a", answer_schedule), ("b", answer_tuning), ("c", answer_second_layer)):
        shown += [Markdown(f"### {report.say(f'question.{letter}')}"), *answer(report)]
    return shown


def answer_schedule(report: Report) -> list[Shown]:
    """(a): one model and budget, four schedules, judged on the hold-out, over seeds where there are some."""
    runs = report.done(*SCHEDULES)
    if not runs:
        return [Markdown(report.say("nothing"))]
    names = {run.experiment: run.recipe["schedule"] for run in runs}
    table = pd.DataFrame(
        {
            "schedule": list(names.values()),
            "hold-out accuracy": [share(run.accuracy) for run in runs],
            "95 % interval": [between(wilson_interval(run.correct, run.total)) for run in runs],
        }
    )
    over_seeds = {names[name]: [run.accuracy for run in report.over_seeds(name)] for name in names}
    if len(runs) == len(SCHEDULES) and min(map(len, over_seeds.values())) > 1:
        table["seeds"] = [f"{share(np.mean(v))} ± {share(np.std(v, ddof=1))}" for v in over_seeds.values()]
        return [report.table(table), Markdown(" ".join(sentences.schedules(over_seeds, report.language)))]
    best = max(runs, key=lambda run: run.accuracy)
    apart, same = told_apart(best, runs)
    told = report.say(
        "answer.a",
        best=names[best.experiment],
        accuracy=share(best.accuracy),
        apart=report.listed([names[run.experiment] for run in apart]),
        same=report.listed([names[run.experiment] for run in same]),
    )
    return [report.table(table), Markdown(told)]


def told_apart(best: Run, runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Which of the other runs are less accurate than ``best``, and which cannot be told from it."""
    others = [run for run in runs if run.name != best.name]
    same = [r for r in others if evaluation.compare(best.logits, r.logits, best.labels).verdict != "lower"]
    return [run for run in others if run not in same], same


def answer_tuning(report: Report) -> list[Shown]:
    """(b): which hyperparameters mattered in the study, and whether the order of tuning did."""
    table = trials(report)
    found = {name: rows for name, rows in table.groupby("search", sort=False)}
    if "study" not in found:
        return [Markdown(f"{report.say('not run')}\n\n```\nmake report PROFILE={report.profile}\n```")]
    shares = tuning.importances(found["study"], report.seed)
    told = [sentences.importance(shares, len(found["study"]), report.language)]
    searches = [name for name in (MOST, LEAST, "study") if name in found]
    anew = {name: found[f"{name}, again"]["accuracy"] for name in searches if f"{name}, again" in found}
    if {MOST, LEAST} <= set(anew) and min(map(len, anew.values())) > 1:
        race = intervals.compare_seeds(anew[LEAST], anew[MOST])
        told.append(sentences.seeds(race, report.term(LEAST), report.term(MOST), report.language))
        told.append(sentences.order(list(shares), race, report.language))
    shown = pd.DataFrame(
        {
            "search": [report.term(name) for name in searches],
            "trainings": [min(len(found[name]), tuning.BUDGET) for name in searches],
            "best": [share(found[name]["accuracy"].head(tuning.BUDGET).max()) for name in searches],
            "with new seeds": [share(anew[name].mean()) if name in anew else "" for name in searches],
        }
    )
    figure = plots.bars(shares, "share of the differences explained", percent=True)
    return [figure, report.table(shown), Markdown(" ".join(told)), study_provenance(report, table)]


def study_provenance(report: Report, table: pd.DataFrame) -> Markdown:
    """The small print of the tuning study: every training once, though several searches may have asked for it."""
    recipe = tuning.RECIPES[report.profile]
    once = table.drop_duplicates([*tuning.LEVELS, "training_seed"])
    told = report.say(
        "provenance.study",
        profile=report.profile,
        seed=report.seed,
        epochs=recipe.epochs,
        images=count(recipe.images) if recipe.images else report.say("all"),
        trainings=len(once),
        seconds=count(once["seconds"].sum()),
    )
    return Markdown(f"<small>{told}</small>")


def trials(report: Report) -> pd.DataFrame:
    """The trials of the tuning study on these images; none where it was stopped on its way."""
    key = None if report.sets is None else tuning.study_key(report.profile, report.seed)
    table = tuning.trials(report.profile, report.seed, key)
    complete = (table["search"] == "study").sum() >= tuning.TRIALS[report.profile]
    return table if complete else table.head(0)


def answer_second_layer(report: Report) -> list[Shown]:
    """(c): AlexNet with one fully connected layer of 4096, and with two."""
    runs = report.done(*TWO_FC)
    if len(runs) < 2:
        return [Markdown(report.say("nothing"))]
    one, two = runs
    comparison = evaluation.compare(one.logits, two.logits, one.labels)
    told = [
        sentences.cost(one, two, report.language),
        sentences.difference(comparison, one.title, two.title, report.language),
        sentences.second_layer(comparison, two.parameters - one.parameters, report.language),
    ]
    return [report.table(reached(runs, ("parameters", "training seconds"))), Markdown(" ".join(told))]


@dataclass(frozen=True)
class Slide:
    """A slide of the report.

    Attributes:
        needs: experiments that it shows; it is missing where none of them has run.
        beside: experiments that it compares with.
        always: show the slide's own part even where nothing has run.
    """

    body: Callable[[Report], list[Shown]]
    needs: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    always: bool = False


FINAL = (*catalogue.MEMBERS, "ensemble")
SLIDES = {
    1: Slide(data_slide),
    2: Slide(dimensions),
    3: Slide(cliff, RATES),
    4: Slide(curve("lenet"), ("lenet",)),
    5: Slide(confusion("lenet"), ("lenet",)),
    6: Slide(structure(models.CustomLeNet, lenet_remark)),
    7: Slide(code(models.CustomLeNet)),
    8: Slide(curve("custom_lenet"), ("custom_lenet",)),
    9: Slide(confusion("custom_lenet", "lenet"), ("custom_lenet",), ("lenet",)),
    10: Slide(structure(models.AlexNet, alexnet_remark)),
    11: Slide(code(models.AlexNet)),
    12: Slide(confusion("alexnet"), ("alexnet",)),
    13: Slide(depth_slide, (*DEPTHS, *PLAIN), always=True),
    14: Slide(confusion("resnet18"), ("resnet18",)),
    15: Slide(mixup_slide, ("resnet18_mixup",), ("resnet18",)),
    16: Slide(confusion("resnet18_transfer", "resnet18"), ("resnet18_transfer",), ("resnet18",)),
    17: Slide(final_model, FINAL, always=True),
    18: Slide(conditions, ("ensemble",), always=True),
    19: Slide(final_curve, FINAL),
    20: Slide(final_confusion, ("ensemble",)),
    21: Slide(questions, (*SCHEDULES, "tuning", *TWO_FC), always=True),
}


def missing_runs(number: int, report: Report) -> list[str]:
    """The experiments of a slide that have not run."""
    missing = [name for name in SLIDES[number].needs if report.run(name) is None]
    if "tuning" in missing and len(trials(report)):
        missing.remove("tuning")  # no run of one model but a table of many
    return missing


def slide(number: int, report: Report) -> list[Shown]:
    """A slide of the report: its number and title, content, what has not run, the small print."""
    page = SLIDES[number]
    missing = missing_runs(number, report)
    ran = [name for name in page.needs if name not in missing]
    shown: list[Shown] = [Markdown(f"## {number}. {report.say(f'slide.{number}')}")]
    if ran or page.always or not page.needs:
        shown += page.body(report)
    commanded = [name for name in missing if name != "tuning"]
    if commanded:
        names = ["ensemble"] if set(commanded) <= set(FINAL) else commanded  # its members come with it
        note = report.say("part not run" if ran else "not run")
        shown.append(Markdown(f"{note}\n\n{command(report, names)}"))
    runs = [report.run(name) for name in (*page.beside, *ran)]
    if ran:
        shown.append(provenance(report, [run for run in runs if run is not None]))
    return shown


# --- before the slides


def opening(report: Report) -> list[Shown]:
    """Title, what this page is, how to read it, which edition it is."""
    known = {"models": len(SEVEN), "slides": len(SLIDES), "classes": len(report.classes)}
    told = [f"# {report.say('title')}"]
    told.append(report.say("intro" if report.compared else "intro.own", **known))
    told.append(report.say("reading", total=count(report.total)))
    if report.compared:
        told[-1] += " " + report.say("reading.again")
    source = report.facts["dataset"]["repository"]
    commit = data.COMMIT
    if report.sets is not None:
        source, commit = report.sets[2].source, report.sets[2].commit
    if commit:
        source = report.say("commit", source=source, commit=commit[:7])
    told.append(report.say("edition", profile=report.profile, seed=report.seed, source=source))
    if report.profile == "sample" and report.compared:
        told.append(report.say("rehearsal", train=count(len(report.sets[0]))))
    return [Markdown("\n\n".join(told))]


def summary(report: Report) -> list[Shown]:
    """The summary: three sentences, one table, one figure (the ladder)."""
    told = "\n".join(f"- {sentence}" for sentence in summary_sentences(report))
    shown: list[Shown] = [Markdown(f"## {report.say('summary')}"), Markdown(told), report.table(summary_table(report))]
    runs = report.done(*SEVEN)
    if report.compared:
        ours = {run.experiment: (run.correct, run.total) for run in runs}
        titles = {name: catalogue.get(name).title for name in SEVEN}
        shown.append(plots.ladder(plots.ladder_table(ours, report.facts, titles)))
    elif runs:
        shown.append(plots.bars({run.title: run.accuracy for run in runs}, "accuracy", percent=True))
    return [*shown, provenance(report, runs)] if runs else shown


def summary_table(report: Report) -> pd.DataFrame:
    """The seven models: the report's accuracy, ours with its interval, the difference, the verdict."""
    rows = []
    for name in SEVEN:
        row = {"model": catalogue.get(name).title}
        run, theirs = next(iter(report.done(name)), None), report.reported(name)
        if theirs is not None:
            row["report"] = share(theirs["accuracy"])
        row["ours"] = share(run.accuracy) if run else ""
        row["95 % interval"] = between(wilson_interval(run.correct, run.total)) if run else ""
        if theirs is not None:
            images = run.correct - round(theirs["accuracy"] * run.total) if run else None
            row["± images"] = f"{images:+,}".replace("-", "−") if run else ""
            row["± points"] = sentences.points(run.accuracy - theirs["accuracy"]) if run else ""
        if theirs is not None or not run:
            row["verdict"] = report.say(f"against.{against(report, name)}")
        rows.append(row)
    table = pd.DataFrame(rows)
    return table if report.compared else table.rename(columns={"ours": "accuracy"})


def against(report: Report, name: str) -> str:
    """``higher``, ``lower``, ``same`` against the report's figure, or ``missing``."""
    run, theirs = next(iter(report.done(name)), None), report.reported(name)
    if run is None or theirs is None:
        return "missing"
    low, high = wilson_interval(run.correct, run.total)
    return intervals.verdict((low - theirs["accuracy"], high - theirs["accuracy"]))


def summary_sentences(report: Report) -> list[str]:
    """Three sentences: the goal, the seven models, the claims (for own images: the best model)."""
    runs = report.done(*SEVEN)
    if not report.compared:
        if not runs:
            return [report.say("choice.none")]
        best = max(runs, key=lambda run: run.accuracy)
        same = report.listed([run.title for run in told_apart(best, runs)[1]])
        return [report.say("summary.own", all=len(runs), best=best.title, accuracy=share(best.accuracy), same=same)]
    final, goal = report.done("ensemble"), report.facts["target_accuracy"]
    told = [
        sentences.target(run.title, run.correct, run.total, goal, report.language) for run in final
    ] or [report.say("summary.final")]
    forms = [against(report, name) for name in SEVEN]
    counts = {form: forms.count(form) for form in ("higher", "lower", "same", "missing")}
    told.append(report.say("summary.count", all=len(forms), **counts))
    verdicts = claims_table(report)["verdict"].tolist()
    counts = {form: verdicts.count(form) for form in ("survives", "opposite", "open", "missing")}
    return [*told, report.say("summary.claims", all=len(verdicts), **counts)]


# --- after the slides


def wall(report: Report) -> list[Shown]:
    """The wall: test images by models, and pictures of those that none gets."""
    shown: list[Shown] = [Markdown(f"## {report.say('wall.title')}")]
    runs = report.done(*SEVEN)
    if len(runs) < 2:
        return [*shown, Markdown(report.say("wall.few"))]
    labels = runs[0].labels
    right = {run.title: run.logits.argmax(1) == labels for run in runs}
    solved = plots.wall_table(right)[1]
    pictures, titles = None, ()
    if report.sets is not None:
        pictures = report.sets[2].test.images
        titles = [report.classes[label] for label in labels]
    told = report.say(
        "wall",
        none=count((solved == 0).sum()),
        all=count((solved == len(runs)).sum()),
        total=count(len(labels)),
        models=len(runs),
    )
    return [*shown, across(told), plots.wall(right, pictures, titles), seven(report)]


def confused(report: Report) -> list[Shown]:
    """The pairs of classes that are confused most, and what Mixup, transfer and the ensemble change in that."""
    shown: list[Shown] = [Markdown(f"## {report.say('confused.title')}")]
    runs = report.done(*CONFUSED)
    if len(runs) < 2:
        return [*shown, Markdown(report.say("wall.few"))]
    matrices = {run.title: run.confusion for run in runs}
    table = evaluation.confused_by(matrices, [report.term(name) for name in report.classes])
    pairs = [
        report.say("confused.pair", pair=pair, before=row.iloc[0], after=row.iloc[-1])
        for pair, row in table.head(3).iterrows()
    ]
    told = report.say("confused", first=runs[0].title, last=runs[-1].title, pairs="; ".join(pairs))
    drawn = plots.confused(evaluation.confused_by(matrices, report.classes))
    return [*shown, across(told), drawn, seven(report)]


def beyond(report: Report) -> list[Shown]:
    """Appendix: the small student, everything together, what models cost, and the labels that the best contradicts."""
    shown: list[Shown] = [Markdown(f"## {report.say('beyond.title')}"), Markdown(report.say("beyond"))]
    missing = [name for name in BEYOND if not report.done(name)]
    if missing:
        shown.append(Markdown(f"{report.say('not run')}\n\n{command(report, missing)}"))
    runs = report.done(*BEYOND)
    if not runs:
        return shown
    shown.append(report.table(reached(runs, ("parameters", "training seconds", "weights")), "wide"))
    costs = course.costs(report.done(*SEVEN, *BEYOND)).dropna()
    shown += [Markdown(report.say("beyond.cost")), plots.cost(costs)]
    best = max(runs, key=holdout_accuracy)
    if report.sets is not None and report.compared:
        shown += [Markdown(course.ceiling(best, report.language)), Markdown(report.say("beyond.ceiling"))]
        shown.append(course.contradictions(best))
    return [*shown, provenance(report, runs)]


def claims(report: Report) -> list[Shown]:
    """Which of the report's claims survive an interval."""
    shown: list[Shown] = [Markdown(f"## {report.say('claims')}")]
    if not report.compared:
        return [*shown, Markdown(report.say("claims.own"))]
    found = claims_table(report)
    weak = found["claim"][found["firm"].eq(False)].tolist()
    told = report.say("claims.weak", names="; ".join(weak)) if weak else report.say("claims.firm")
    table = found.drop(columns="firm").assign(verdict=[report.say(form) for form in found["verdict"]])
    return [*shown, Markdown(report.say("claims.how")), report.table(table, "text wide"), Markdown(told)]


def claims_table(report: Report) -> pd.DataFrame:
    """One row a claim of the report.

    Returns:
        Columns claim, report, its interval, ours, our interval, verdict (``survives``, ``opposite``, ``open``,
        ``missing``) and firm: whether the report's own interval bears its claim out (None where it has none).
    """
    rows = [claim_divergence(report)]
    rows += [claim_difference(report, *pair, told) for pair, told in reported_differences(report).items()]
    rows += [claim_depth(report), claim_longer(report), claim_goal(report)]
    columns = ["claim", "report", "report: interval", "ours", "ours: interval", "verdict", "firm"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"firm": object})


VERDICTS = {"confirmed": "survives", "contradicted": "opposite", "open": "open"}


def claim_divergence(report: Report) -> tuple:
    """The row about LeNet's learning rate; a run either ends or not, so there is no interval."""
    rate = report.facts["lenet_divergence"]["learning_rate_at_least"]
    claim, sweep = report.say("claim.divergence", rate=rate), sweep_table(report)
    if not len(sweep):
        return claim, f"{rate:g}", "", "", "", "missing", None
    lowest = sweep["learning_rate"][sweep["diverged_step"].notna()].min()
    form = "survives" if sentences.divergence_form(sweep, rate) == "confirmed" else "opposite"
    return claim, f"{rate:g}", "", f"{lowest:g}" if lowest == lowest else "–", "", form, None


def claim_difference(report: Report, first: str, second: str, told: float) -> tuple:
    """The row about a difference between two models of the report."""
    titles = {"first": catalogue.get(first).title, "second": catalogue.get(second).title}
    claim = report.say("claim.higher" if told > 0 else "claim.lower", **titles)
    total = sum(report.facts["dataset"]["val_counts"])
    right = [report_facts.total(report.facts, name) for name in (second, first)]
    own = intervals.newcombe_interval(right[0], total, right[1], total)
    firm = report_facts.claim_verdict(told, own) == "confirmed"
    runs = report.done(first, second)
    if len(runs) < 2:
        return claim, signed(told), between(own, signed), "", "", "missing", firm
    compared = evaluation.compare(runs[0].logits, runs[1].logits, runs[0].labels)
    form = VERDICTS[report_facts.claim_verdict(told, compared.interval)]
    ours = (signed(compared.difference), between(compared.interval, signed))
    return claim, signed(told), between(own, signed), *ours, form, firm


def claim_depth(report: Report) -> tuple:
    """The row that deeper ResNets do worse: accuracy per doubling of the depth, at the end."""
    return (report.say("claim.depth"), *claim_slope(report, -1, lambda runs, ends: depth.slopes(runs, ends[-1])))


def claim_longer(report: Report) -> tuple:
    """The row that deeper ResNets must train longer: by how much that slope rises with more epochs."""

    def rise(runs: list[Run], ends: list[int]) -> np.ndarray:
        return depth.slopes(runs, ends[-1]) - depth.slopes(runs, ends[0])

    return (report.say("claim.longer"), *claim_slope(report, 1, rise))


def claim_slope(report: Report, told: int, values: Callable[[list[Run], list[int]], np.ndarray]) -> tuple:
    """What the depths of slide 13 say of a claim whose sign is ``told``; the report gives no figure."""
    runs = report.done(*DEPTHS)
    if len(runs) < 2:
        return "", "", "", "", "missing", None
    slope, *interval = depth.mean(values(runs, depth.lengths(min(run.epochs for run in runs))))
    form = VERDICTS[report_facts.claim_verdict(told, interval)]
    return "", "", signed(slope), between(interval, signed), form, None


def claim_goal(report: Report) -> tuple:
    """The row that the final model reaches the goal."""
    goal, total = report.facts["target_accuracy"], sum(report.facts["dataset"]["val_counts"])
    claim = report.say("claim.goal", goal=f"{goal:.0%}")
    told = report.facts["results"]["ensemble"]["accuracy"]
    own = wilson_interval(report_facts.total(report.facts, "ensemble"), total)
    run, firm = next(iter(report.done("ensemble")), None), own[0] > goal
    if run is None:
        return claim, share(told), between(own), "", "", "missing", firm
    low, high = wilson_interval(run.correct, run.total)
    form = VERDICTS[report_facts.claim_verdict(1, (low - goal, high - goal))]
    return claim, share(told), between(own), share(run.accuracy), between((low, high)), form, firm


def choice(report: Report) -> list[Shown]:
    """Which model to choose: what each reaches and costs, advice, the price of a point."""
    shown: list[Shown] = [Markdown(f"## {report.say('choice')}")]
    runs = report.done(*SEVEN)
    if not runs:
        return [*shown, Markdown(report.say("choice.none"))]
    named = {run.experiment: run.title for run in runs}
    reported = {named[name]: report.reported(name)["accuracy"] for name in named} if report.compared else None
    figure = plots.accuracy_vs_time(
        {run.title: run.history for run in runs}, {run.title: run.accuracy for run in runs}, reported
    )
    table = reached(runs, ("parameters", "training seconds"))
    table["pretrained"] = [run.weights_choice or "–" for run in runs]
    shown += [Markdown(report.say("choice.how" if report.compared else "choice.how.own"))]
    shown += [report.table(table), report.table(advice_table(report), "text")]
    told = [price(report, runs)]
    devices = sorted({run.device for run in runs})
    if len(devices) > 1:
        told.append(report.say("choice.devices", devices="; ".join(devices)))
    return [*shown, Markdown(" ".join(filter(None, told))), figure, seven(report)]


def advice_table(report: Report) -> pd.DataFrame:
    """What matters most, the model to take then, and why."""
    runs = report.done(*SEVEN)
    best = max(runs, key=lambda run: run.accuracy)
    same = told_apart(best, runs)[1]
    low, high = wilson_interval(best.correct, best.total)
    close = report.listed([run.title for run in same])
    told = report.say("advice.accurate", accuracy=share(best.accuracy), low=share(low), high=share(high), same=close)
    rows = [(report.say("aim.accurate"), best.title, told)]
    cheap = min([best, *same], key=lambda run: run.seconds)
    timed = results.same_processor(*runs)
    if not timed:
        pass  # which of them took the least time is not known
    elif cheap is best:
        rows.append((report.say("aim.cheap"), best.title, report.say("advice.cheap.none")))
    else:
        seconds = {"seconds": count(cheap.seconds), "best_seconds": count(best.seconds)}
        rows.append((report.say("aim.cheap"), cheap.title, report.say("advice.cheap", **seconds)))
    for run in sorted((r for r in runs if not r.weights), key=lambda run: -run.accuracy)[:1]:
        rows.append((report.say("aim.scratch"), run.title, report.say("advice.scratch", accuracy=share(run.accuracy))))
    small, quick = min(runs, key=lambda run: run.parameters), min(runs, key=lambda run: run.seconds)
    told = report.say("advice.small", parameters=count(small.parameters), accuracy=share(small.accuracy))
    rows.append((report.say("aim.small"), small.title, told))
    if timed:
        told = report.say("advice.quick", seconds=count(quick.seconds), accuracy=share(quick.accuracy))
        rows.append((report.say("aim.quick"), quick.title, told))
    return pd.DataFrame(rows, columns=["what matters", "model", "why"])


def price(report: Report, runs: Sequence[Run]) -> str:
    """The price of a point between the quickest and the most accurate model; empty where that cannot be told."""
    quick = min(runs, key=lambda run: run.seconds)
    best = max(runs, key=lambda run: run.accuracy)
    if quick is best or best.accuracy == quick.accuracy or not results.same_processor(quick, best):
        return ""
    gain, seconds = best.accuracy - quick.accuracy, best.seconds - quick.seconds
    return report.say(
        "price",
        quick=quick.title,
        best=best.title,
        seconds=count(seconds),
        points=sentences.points(gain, sign=False),
        price=count(seconds / (gain * 100)),
    )


def missing_slides(report: Report) -> list[Shown]:
    """The slides that wait for a run, each with the experiments to come."""
    shown: list[Shown] = [Markdown(f"## {report.say('missing.title')}")]
    table = missing_table(report)
    if table.empty:
        return [*shown, Markdown(report.say("missing.none"))]
    told = report.say("missing.slides", count=len(table), all=len(SLIDES), profile=report.profile)
    return [*shown, Markdown(told), report.table(table, "text")]


def missing_table(report: Report) -> pd.DataFrame:
    """One row a slide with experiments that have not run."""
    rows = []
    for number in SLIDES:
        names = missing_runs(number, report)
        if names:
            rows.append((number, report.say(f"slide.{number}"), ", ".join(names)))
    return pd.DataFrame(rows, columns=["#", "slide", "experiments to come"])


def readings(report: Report) -> list[Shown]:
    """Appendix: the other readings of the seven models and the ensemble's members."""
    shown: list[Shown] = [Markdown(f"## {report.say('readings')}")]
    table = readings_table(report)
    if table.empty:
        return [*shown, Markdown(report.say("nothing"))]
    again = command(report, ("resnet18_transfer", "ensemble"), "SCENE_WEIGHTS=imagenet")
    weights_told = Markdown(f"{report.say('readings.weights')}\n\n{again}")
    return [*shown, Markdown(report.say("readings.how")), report.table(table, "wide"), weights_told]


def readings_table(report: Report) -> pd.DataFrame:
    """One row a reading: experiment, profile, seed, how it is read, accuracy and interval, weights."""
    rows = []
    for base in (*SEVEN, *catalogue.MEMBERS):
        for run in report.runs.values():
            if run.experiment.removesuffix("-reported") != base or run.status != "finished":
                continue
            headline = base in SEVEN and (run.experiment, run.profile, run.seed) == (base, report.profile, report.seed)
            if not headline:
                rows.append(reading(run, report.say("plain"), run.logits))
            if "test_logits_mirror" in run.arrays:
                rows.append(reading(run, report.say("mirror"), run.arrays["test_logits_mirror"]))
    columns = ["experiment", "profile", "seed", "reading", "accuracy", "95 % interval", "images right", "weights"]
    return pd.DataFrame(rows, columns=columns)


def reading(run: Run, how: str, logits: np.ndarray) -> tuple:
    """A row of the table of other readings."""
    correct = int((logits.argmax(1) == run.labels).sum())
    ends = between(wilson_interval(correct, run.total))
    told = (share(correct / run.total), ends, of(correct, run.total))
    return run.experiment, run.profile, run.seed, how, *told, origin(run)


def all_runs(report: Report) -> list[Shown]:
    """Appendix: every run on these images."""
    shown: list[Shown] = [Markdown(f"## {report.say('runs')}")]
    if not report.runs:
        return [*shown, Markdown(report.say("nothing"))]
    table = results.summary(list(report.runs.values()))
    table = pd.DataFrame(
        {
            "experiment": table["experiment"],
            "profile": table["profile"],
            "seed": table["seed"],
            "status": table["status"],
            "judged on": table["evaluated_on"],
            "accuracy": [share(value) for value in table["accuracy"].astype(float)],
            "epochs": table["epochs"],
            "seconds": [count(value) for value in table["seconds"]],
            "device": table["device"],
            "precision": table["precision"],
            "date": table["date"].str[:10],
            "weights": [origin(run) for run in report.runs.values()],
        }
    )
    return [*shown, Markdown(report.say("runs.how", count=len(table))), report.table(table, "wide")]


def bench(report: Report) -> list[Shown]:
    """Appendix: training speed beside the usual loop's, where it has been measured; else nothing."""
    shown: list[Shown] = []
    for path in sorted((settings.project_dir() / "report").glob("bench*.json")):
        measured = json.loads(path.read_text(encoding="utf-8"))
        machine, table = measured["machine"], bench_table(measured)
        told = report.say("bench.how", device=machine["name"], repeats=measured["repeats"], date=measured["date"][:10])
        if "decoding_seconds" in measured:
            told += " " + bench_checks(report, measured)
        ratios = {name: row["ratio"] for name, row in zip(table["model"], measured["models"], strict=True)}
        figure = plots.bars(ratios, "images per second, times the usual loop's")
        shown += [Markdown(told), figure, report.table(table, "wide")]
    return [Markdown(f"## {report.say('bench')}"), *shown] if shown else []


def bench_table(measured: dict) -> pd.DataFrame:
    """One row a model: images per second of both sides, their ratio, peak memory, share of the machine's rate."""
    rows = [
        (
            catalogue.TITLES.get(row["model"], row["model"].replace("resnet", "ResNet")),
            count(row["images_per_second"]["usual"]),
            count(row["images_per_second"]["ours"]),
            f"{row['ratio']:.2f}",
            f"{row['peak_gb']['usual']:.1f} / {row['peak_gb']['ours']:.1f}",
            f"{row['first_batch_seconds']:.1f}",
            f"{row['share_of_matrix_rate']:.0%}",
            f"{row['shares_of_time']['arithmetic']:.0%}",
            f"{row['share_of_matrix_rate_in_arithmetic']:.0%}",
        )
        for row in measured["models"]
    ]
    columns = ["model", "usual: images/s", "ours: images/s", "ratio", "peak GB", "first batch, s"]
    columns += ["of the matrix rate", "time in arithmetic", "its share of the rate"]
    table = pd.DataFrame(rows, columns=columns)
    if all("careful_ratio" in row for row in measured["models"]):
        careful = [count(row["images_per_second"]["careful"]) for row in measured["models"]]
        table.insert(2, "careful: images/s", careful)
        table.insert(5, "ratio to careful", [f"{row['careful_ratio']:.2f}" for row in measured["models"]])
    return table


def bench_checks(report: Report, measured: dict) -> str:
    """What makes a benchmark fair: the loss after the same steps, and what decoding takes, which is done once."""
    spread = max(max(row["losses"].values()) - min(row["losses"].values()) for row in measured["models"])
    seconds = f"{measured['decoding_seconds']:.1f}"
    return report.say("bench.checks", steps=measured["same_steps"], spread=f"{spread:.3f}", seconds=seconds)


SECTIONS = {
    "opening": opening,
    "summary": summary,
    "wall": wall,
    "confused": confused,
    "claims": claims,
    "choice": choice,
    "beyond": beyond,
    "missing": missing_slides,
    "readings": readings,
    "runs": all_runs,
    "bench": bench,
}


def show(what: int | str, report: Report) -> None:
    """Display a slide by its number, or a section by its name (``SECTIONS``)."""
    for shown in slide(what, report) if isinstance(what, int) else SECTIONS[what](report):
        display(shown)
