"""Slide 21: the three questions, each answered from runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scene_utils import evaluation, plots
from scene_utils.lessons import tuning, verdicts
from scene_utils.lessons.course import by_significance
from scene_utils.lessons.slides import between, interval_figure, reached, share
from scene_utils.results import Run
from scene_utils.support.intervals import wilson_interval
from scene_utils.text import Text, say, sentences
from scene_utils.text.shown import Paragraph, Table, shown

MOST, LEAST = "most important first", "least important first"  # searches of the tuning study


def schedule(accuracies: Mapping[str, Sequence[float]], runs: Sequence[Run]) -> None:
    """21 (a): one model and budget, four schedules, judged on the hold-out, over seeds where there are some.

    Args:
        accuracies: hold-out accuracies, one per seed, of each schedule; ``runs``: one run per schedule.
    """
    names = list(accuracies)
    table = pd.DataFrame(
        {
            "schedule": names,
            "hold-out accuracy": [share(run.accuracy) for run in runs],
            "95 % interval": [between(wilson_interval(run.correct, run.total)) for run in runs],
        }
    )
    if min(map(len, accuracies.values())) > 1:
        table = table.rename(columns={"hold-out accuracy": "one seed, on the hold-out"})
        spreads = [f"{share(np.mean(each))} ± {share(np.std(each, ddof=1))}" for each in accuracies.values()]
        table["all seeds, mean ± SD"] = spreads
        told = sentences.schedules(accuracies)
    else:
        best = max(runs, key=lambda run: run.accuracy)
        apart, same = ([names[runs.index(run)] for run in group] for group in by_significance(best, runs))
        values = {"best": names[runs.index(best)], "accuracy": best.accuracy}
        told = [say("answer.a", apart=apart or say("none"), same=same or say("none"), **values)]
    told.append(verdicts.said("schedule"))
    figure = plots.seeds(accuracies, "hold-out accuracy")
    shown(Paragraph([say("question.a")], "question"), figure, Table(table), Paragraph(told), runs=runs)


def tuning_order(trials: pd.DataFrame, profile: str, seed: int) -> None:
    """21 (b): which hyperparameters mattered in the study, and whether the order of tuning did."""
    found = {name: rows for name, rows in trials.groupby("search", sort=False)}
    shares = tuning.importances(found["study"], seed)
    told = [sentences.importance(shares, len(found["study"])), *without_diverged(found["study"], seed)]
    searches = [name for name in (MOST, LEAST, "study") if name in found]
    anew = {name: found[f"{name}, again"]["accuracy"] for name in searches if f"{name}, again" in found}
    told += [say("order.one"), verdicts.said("order")]
    table = pd.DataFrame(
        {
            "search": [say("study.first", trials=tuning.BUDGET) if name == "study" else name for name in searches],
            "trainings": [str(min(len(found[name]), tuning.BUDGET)) for name in searches],
            "best": [share(found[name]["accuracy"].head(tuning.BUDGET).max()) for name in searches],
            "with new seeds": [share(anew[name].mean()) if name in anew else "" for name in searches],
        }
    )
    figure = plots.bars(shares, "importance (adds up to 100%)", percent=True)
    small = Paragraph([study_provenance(trials, profile, seed)], "small")
    shown(Paragraph([say("question.b")], "question"), figure, Table(table), Paragraph(told), small)


def without_diverged(study: pd.DataFrame, seed: int) -> list[Text]:
    """What the study says of trials that diverge, which count as chance: how many, and the importances without them."""
    chance = study["accuracy"].min()
    diverged = study["accuracy"] <= chance if (study["accuracy"] == chance).sum() > 1 else study["accuracy"] < 0
    distinct = len(study.drop_duplicates(list(tuning.LEVELS)))
    if not diverged.any() or diverged.all():
        return []
    rest = sentences.importance(tuning.importances(study[~diverged], seed), int((~diverged).sum()))
    return [say("importance.diverged", diverged=int(diverged.sum()), trials=len(study), distinct=distinct, rest=rest)]


def study_provenance(trials: pd.DataFrame, profile: str, seed: int) -> Text:
    """The small print of the tuning study: every training once, though several searches may have asked for it."""
    recipe = tuning.RECIPES[profile]
    once = trials.drop_duplicates([*tuning.LEVELS, "training_seed"])
    images = f"{recipe.images:,}" if recipe.images else say("all")
    done = {"images": images, "trainings": len(once), "seconds": once["seconds"].sum()}
    return say("provenance.study", profile=profile, seed=seed, epochs=recipe.epochs, **done)


def second_layer(one: Run, two: Run) -> None:
    """21 (c): AlexNet with one fully connected layer of 4096, and with two."""
    comparison = evaluation.compare(one.logits, two.logits, one.labels)
    told = [
        sentences.cost(one, two),
        sentences.difference(comparison, one.title, two.title),
        sentences.second_layer(comparison, two.parameters - one.parameters),
    ]
    table = reached([one, two], ("parameters", "training seconds"))
    figure = interval_figure([one, two])
    shown(Paragraph([say("question.c")], "question"), figure, table, Paragraph(told), runs=[one, two])
