"""Which model should I choose: every model that has run, what it reaches, what it costs, and advice with a margin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scene_utils import cases, data, plots, results
from scene_utils.lessons.slides import between, share
from scene_utils.results import Run
from scene_utils.support import intervals
from scene_utils.support.intervals import wilson_interval
from scene_utils.text import join, say
from scene_utils.text.shown import Paragraph, Table, shown

FEW = 12  # models that one figure can tell apart


@dataclass(frozen=True)
class Reading:
    """A model as it predicts: as it is, or averaged with the mirror image.

    Attributes:
        timed: whether all that was on the kind of device that most models here were trained on; else it costs NaN.
    """

    run: Run
    mirrored: bool
    timed: bool = True

    @property
    def seconds(self) -> float:
        """Of all trainings that it takes, its members' and its teacher's included, each once; NaN unless ``timed``."""
        return sum(each.seconds for each in trainings(self.run)) if self.timed else float("nan")

    @property
    def title(self) -> str:
        """The model's name, and how it predicts."""
        return join([self.run.title, say("mirrored")], ", ") if self.mirrored else self.run.title

    @property
    def right(self) -> np.ndarray:
        """Which test images are correct."""
        return self._correct("test")

    @property
    def holdout_accuracy(self) -> float:
        """By which choices are made."""
        return float(self._correct("holdout").mean())

    @property
    def milliseconds(self) -> float:
        """Per image; a mirror image costs as much again. NaN where they were not measured, and unless ``timed``."""
        return ((self.timed and self.run.record.get("inference_ms")) or float("nan")) * (1 + self.mirrored)

    def _correct(self, of: str) -> np.ndarray:
        logits = self.run.arrays[f"{of}_logits" + "_mirror" * self.mirrored]
        return logits.argmax(1) == self.run.arrays[f"{of}_labels"]


def trainings(run: Run) -> list[Run]:
    """Return the runs that a model takes: itself, its members that count, their teachers, each once."""
    needed = [each for each in run.counted if each is not run]
    own = [] if needed else [run]
    if teacher := run.record.get("teacher"):
        needed.append(results.find(teacher.split(".")[0], run.profile, run.seed))
    every = own + [training for each in needed if each for training in trainings(each)]
    return list({each.name: each for each in every}.values())


def every(profile: str, seed: int, key: str, published: bool = False) -> list[Run]:
    """Return all finished runs of a profile and seed that were judged on the test set of these images (``key``)."""
    mine = [run for run in results.records(profile, published) if run.seed == seed and run.dataset["key"] == key]
    return [run for run in mine if run.evaluated_on == "test" and run.status == "finished"
            and not run.experiment.endswith("-reported")]  # fmt: skip


def readings(runs: Sequence[Run]) -> list[Reading]:
    """Return every way in which finished models predict the test set."""
    usual = Counter(run.kind for run in runs).most_common(1)
    return [Reading(run, mirrored, {each.kind for each in trainings(run)} == {usual[0][0]})
            for run in runs for mirrored in (False, True)
            if not mirrored or {"test_logits_mirror", "holdout_logits_mirror"} <= run.arrays.keys()]  # fmt: skip


def costs(known: Sequence[Reading]) -> pd.DataFrame:
    """Return one row per reading: accuracy and its interval, parameters, seconds, milliseconds; by accuracy."""
    rows = {each.title: {"accuracy": each.right.mean(), **_interval(each), "parameters": each.run.parameters,
                         "seconds": each.seconds, "inference_ms": each.milliseconds} for each in known}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("accuracy", ascending=False)


def _interval(each: Reading) -> dict[str, float]:
    return dict(zip(("low", "high"), wilson_interval(int(each.right.sum()), len(each.right)), strict=True))


def published() -> pd.DataFrame:
    """Return ``costs`` of the published models, which are the same in every profile."""
    return costs(readings(every("short", 0, data.COMMIT, published=True)))


def table(known: pd.DataFrame) -> Table:
    """Return ``costs`` as a page shows it."""
    frame = pd.DataFrame({
        "model": list(known.index),
        "accuracy": [share(value) for value in known["accuracy"]],
        "95 % interval": [between(ends) for ends in zip(known["low"], known["high"], strict=True)],
        "parameters": [f"{value:,.0f}" for value in known["parameters"]],
        "seconds of all trainings": ["" if np.isnan(value) else f"{value:,.0f}" for value in known["seconds"]],
        "ms per image": ["" if np.isnan(value) else f"{value:.1f}" for value in known["inference_ms"]],
    })  # fmt: skip
    return Table(frame, "wide")


def as_good(best: Reading, known: Sequence[Reading]) -> list[Reading]:
    """Return ``best`` and the readings equivalent to it: two one-sided tests, the margin of case ``student``."""
    margin = cases.design("student")["margin"]

    def within(other: Reading) -> bool:
        return intervals.equivalence(best.right, other.right, margin).p_value < 1 - intervals.LEVEL

    return [each for each in known if each is best or within(each)]


def advice(known: Sequence[Reading]) -> pd.DataFrame:
    """Return what matters most, the model to take then, and why. The hold-out chooses the most accurate one.

    Of equally small ones those with times come first, then the one that is better by the hold-out.
    """
    best = max(known, key=lambda each: each.holdout_accuracy)
    good = as_good(best, known)
    timed = [each for each in good if not np.isnan(each.milliseconds)] or [best]
    trained = [each for each in known if each.timed] or [best]
    scratch = [each for each in known if not each.run.weights]

    def size(each: Reading) -> tuple:
        return each.run.parameters, not each.timed, -each.holdout_accuracy

    chosen = {
        "accurate": best,
        "small": min(good, key=size),
        "quick": min(timed, key=lambda each: each.milliseconds),
        "cheap": min([each for each in good if each.timed] or [best], key=lambda each: each.seconds),
        "smallest": min(known, key=size),
        "soon": min(trained, key=lambda each: (each.seconds, -each.holdout_accuracy)),
        **({"scratch": max(scratch, key=lambda each: each.holdout_accuracy)} if scratch else {}),
    }
    rows = []
    for aim, each in chosen.items():
        values = {"accuracy": each.right.mean(), "parameters": each.run.parameters / 1e6, "seconds": each.seconds}
        told = say("advice" if each.timed else "advice.untimed", ms=each.milliseconds, **values)
        rows.append((say(f"aim.{aim}"), each.title, told))
    return pd.DataFrame(rows, columns=["what matters", "model", "why"])


def show(runs: Sequence[Run], drawn: Sequence[str]) -> None:
    """Show advice, table and figure; ``drawn`` names the experiments of the figure."""
    known = readings(runs)
    if not known:
        return shown(say("choice.none"))
    every, plain = costs(known), [each for each in known if each.run.experiment in drawn and not each.mirrored]
    best = max(known, key=lambda each: each.holdout_accuracy)
    good = [each.title for each in as_good(best, known) if each is not best] or say("none")
    told = [say("choice.good", best=best.title, margin=cases.design("student")["margin"], same=good)]
    if not results.same_processor(*runs):
        told.append(say("choice.devices"))
    figure = plots.cost(costs(plain).dropna().head(FEW)) if plain else None
    folded = Table(table(every).frame, "wide fold")
    shown(say("choice.how"), Table(advice(known), "text wide"), Paragraph(told, "blocks"), folded, figure,
          runs=[each.run for each in known if not each.mirrored])  # fmt: skip
