"""Sentences made from results; the interval picks the form, no number is typed by hand.

Every sentence about a difference has three forms: higher, lower, not to be told apart. The templates stand in
``en.toml`` and ``ko.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from scene_utils.averaging import EnsembleAnalysis
from scene_utils.data import SIDE
from scene_utils.results import Run, facts, same_processor
from scene_utils.support import report_facts
from scene_utils.support.intervals import Comparison, SeedComparison, compare_seeds, counted, newcombe_interval, verdict
from scene_utils.support.settings import escaped
from scene_utils.text import Text, join, say


def accuracy(name: str, correct: int, total: int) -> Text:
    """How many images a model has right, and its accuracy with Wilson's interval."""
    return say("accuracy", name=name, **counted(correct, total))


def difference(comparison: Comparison, first: str, second: str) -> Text:
    """What the second model fixes and breaks of the first, the difference, and the form that fits."""
    form, told = say(f"difference.{comparison.verdict}", second=second), vars(comparison)
    return say("difference", first=first, second=second, form=form, points=comparison.difference, **told)


def seeds(comparison: SeedComparison, first: str, second: str) -> Text:
    """Two recipes over several seeds: means, spreads, difference."""
    form, told = say(f"seeds.{comparison.verdict}", second=second), vars(comparison)
    return say("seeds", first=first, second=second, form=form, points=comparison.difference, **told)


def against_report(name: str, correct: int, total: int, reported: float) -> Text:
    """Ours beside the report's figure, of which only the total is known; both are accuracies of a sample."""
    low, high = beside_report(correct, total, reported)
    points = correct / total - reported
    values = {"name": name, "reported": reported, "points": points, "low": low, "high": high}
    return say("report", form=say(f"report.{verdict((low, high))}"), **values)


def beside_report(correct: int, total: int, reported: float) -> tuple[float, float]:
    """Newcombe's interval of our accuracy minus the report's, as if on different images: it names none."""
    theirs = sum(facts()["dataset"]["val_counts"])
    return newcombe_interval(correct, total, round(reported * theirs), theirs)


def target(name: str, correct: int, total: int, goal: float) -> Text:
    """Whether a goal is reached, by the interval."""
    values = counted(correct, total)
    form = verdict((values["low"] - goal, values["high"] - goal))
    return say(f"target.{form}", name=name, target=goal, **values)


def calibration(errors: tuple[float, float], interval: tuple[float, float], first: str, second: str) -> Text:
    """Two calibration errors and the interval of their difference (``evaluation.compare_calibration``)."""
    form = say(f"calibration.{verdict(interval)}", second=second)
    values = {"first_error": errors[0], "second_error": errors[1], "points": errors[1] - errors[0]}
    return say("calibration", first=first, second=second, low=interval[0], high=interval[1], form=form, **values)


def ensemble(analysis: EnsembleAnalysis, members: list[str]) -> Text:
    """Where the members disagree, and what the vote rescues and loses."""
    return say("ensemble", **vars(analysis) | {"best": members[analysis.best]})


def ceiling(name: str, mistakes: int, judged: int, agree: int, both: int) -> Text:
    """How many of a model's mistakes are labels that the rater rejects too.

    Args:
        agree: judged mistakes whose label the rater rejects; ``both``: those where label and answer fit.
    """
    if judged == 0:
        return say("ceiling.none", name=name, mistakes=mistakes)
    share = counted(agree, judged)
    rest = {"share": share["accuracy"], "low": share["low"], "high": share["high"]}
    return say("ceiling", name=name, mistakes=mistakes, judged=judged, agree=agree, both=both, **rest)


def limits(run: Run, reported: float, verdicts: pd.Series) -> Text:
    """What is known of why a model stays below the report's accuracy.

    Args:
        verdicts: of the rater on its mistakes, one of ``labels.VERDICTS`` each, NaN where not judged.
    """
    curve = run.history.set_index("epoch")["holdout_accuracy"]
    middle = max(1, round(0.75 * run.epochs))
    mirrored = (run.arrays["test_logits_mirror"].argmax(1) == run.labels).mean()
    counts = {each: int((verdicts == each).sum()) for each in ("label", "answer", "both", "neither")}
    accuracies = {"before": curve[middle], "after": curve[run.epochs], "mirrored": mirrored}
    weights = re.sub(r" \(sha256 \w+\)", "", run.pretrained_source) or "nothing"
    judged = {"judged": int(verdicts.notna().sum()), "mistakes": len(verdicts), "weights": weights, "tried": tried(run)}
    values = accuracies | judged | counts | {"short": round(reported * run.total) - run.correct}
    return say("limits", name=run.title, epochs=run.epochs, middle=middle, **values)


def added(run: Run) -> Text:
    """What a headline recipe adds to what the report names for that model; a dash where it adds nothing."""
    return join(_means(run, SIDE + 1, run.experiment == "resnet18_transfer") or ["–"], ", ")


def tried(run: Run) -> Text:
    """What a run's recipe, or its members', adds to plain training on the images as they are."""
    return join(_means(run), ", ")


def _means(run: Run, smallest: int = 0, mixup: bool = True) -> list[str]:
    """What a run's recipe, or its members', adds; input sizes from ``smallest`` on, and Mixup only with ``mixup``."""
    recipes = run.recipe.get("members", [run.recipe])
    weights = run.recipe.get("weights", [1] * len(recipes))
    recipes = [recipe for recipe, weight in zip(recipes, weights, strict=True) if weight]
    sizes = dict.fromkeys(recipe["input_size"] for recipe in recipes if recipe["input_size"] >= smallest)
    means: list[str] = [say("tried.size", sizes=list(sizes))] if sizes else []
    means += ["Mixup"] * (mixup and any(recipe["mixup"] for recipe in recipes))
    means += ["CutMix"] * any("cutmix" in recipe["augmentation"] for recipe in recipes)
    means += ["distillation"] * any(recipe["distillation"] for recipe in recipes)
    again = [each.refit["images"] for each in run.counted if "refit" in each.record]
    form = "again" if len(again) == len(run.counted) else "some"
    return means + [say(f"tried.{form}", images=each, some=len(again), all=len(recipes)) for each in again[:1]]


def grown(first_answers, second_answers, labels, first: str, second: str) -> Text:
    """How far a member grown from another has come to disagree with it; answers and labels are integers (N,)."""
    differ = first_answers != second_answers
    first_right, second_right = (int((differ & (each == labels)).sum()) for each in (first_answers, second_answers))
    values = {"first_right": first_right, "second_right": second_right, "images": int(differ.sum())}
    return say("grown", first=first, second=second, total=len(labels), share=differ.mean(), **values)


def changes(table: pd.DataFrame) -> Text:
    """Which class gains and which loses most images (``evaluation.class_changes``)."""

    def told(row: pd.Series, worth_telling: bool) -> Text:
        return say("change", name=escaped(row["class"]), images=row["net"]) if worth_telling else say("no_class")

    best, worst = table.loc[table["net"].idxmax()], table.loc[table["net"].idxmin()]
    return say("changes", gained=told(best, best["net"] > 0), lost=told(worst, worst["net"] < 0))


def confused(pairs: pd.DataFrame) -> Text:
    """The two classes that are most often confused (``evaluation.confused_pairs``)."""
    row = pairs.iloc[0].to_dict()
    if row["images"] == 0:
        return say("confused.never")
    return say("confused", **(row | {side: escaped(row[side]) for side in ("first", "second")}))


def claim(reported: float, comparison: Comparison) -> Text:
    """Whether a pair of ours points in the direction of a difference that the report states."""
    form = report_facts.claim_verdict(reported, (comparison.low, comparison.high))
    return say(f"claim.{form}", reported=reported, points=comparison.difference, **vars(comparison))


def cost(first: Run, second: Run) -> Text:
    """What a second run costs beyond the first: weights and, where both had one processor, training time."""
    timed = same_processor(first, second)
    values = {
        "weights": (second.parameters - first.parameters) / 1e6,
        "weights_share": (second.parameters / first.parameters - 1) * 100,
        "seconds": second.seconds - first.seconds,
        "seconds_share": (second.seconds / first.seconds - 1) * 100,
    }
    return say("cost" if timed else "cost.weights", first=first.title, second=second.title, **values)


def divergence(sweep: pd.DataFrame, reported: float | None) -> Text:
    """Whether the loss becomes NaN from the report's learning rate on, and only from there.

    Args:
        sweep: columns learning_rate and diverged_step, as ``plots.learning_rate_sweep`` takes it.
        reported: the report's learning rate; None on other images than the report's.
    """
    ended, rates = pd.to_numeric(sweep["diverged_step"]).notna(), sweep["learning_rate"]
    finished = say("none") if ended.all() else f"{rates[~ended].max():g}"
    diverged = f"{rates[ended].min():g}" if ended.any() else say("none")
    if reported is None:
        form = "own"
    elif not ended.any():
        form = "never"
    elif rates[ended].min() < reported:
        form = "lower"
    else:
        form = "higher" if (rates[~ended] >= reported).any() else "confirmed"
    return say(f"divergence.{form}", finished=finished, diverged=diverged, reported=reported)


SIMPLEST_FIRST = ("constant", "cosine", "one-cycle", "multistep")  # by how much there is to set, beside the rate


def schedules(accuracies: Mapping[str, Sequence[float]]) -> list[Text]:
    """Which schedule is best over seeds, which cannot be told from it, and which to choose.

    Args:
        accuracies: hold-out accuracies, one a seed, of each of ``SIMPLEST_FIRST`` (at least two seeds each).
    """
    means = {name: float(np.mean(values)) for name, values in accuracies.items()}
    best, worst = max(means, key=means.get), min(means, key=means.get)
    others = [name for name in accuracies if name != best]
    apart = [name for name in others if compare_seeds(accuracies[best], accuracies[name]).verdict == "lower"]
    same = [name for name in others if name not in apart]
    choice = min([best, *same], key=SIMPLEST_FIRST.index)
    told = {"best": best, "worst": worst, "seeds": min(map(len, accuracies.values()))}
    for place, name in (("best", best), ("worst", worst)):
        told |= {f"{place}_mean": means[name], f"{place}_spread": float(np.std(accuracies[name], ddof=1))}
    apart_text = say("schedules.apart", best=best, apart=apart or say("none"), same=same or say("none"))
    return [say("schedules", **told), apart_text, say("schedules.choice", choice=choice)]


def importance(shares: Mapping[str, float], trials: int) -> Text:
    """What matters most and least in a hyperparameter study (``tuning.importances``, largest first)."""
    names = list(shares)
    places = {"first": names[0], "second": names[1], "last": names[-1]}
    told = {place: setting(name) for place, name in places.items()}
    return say("importance", trials=trials, **told, **{f"{place}_share": shares[n] for place, n in places.items()})


def setting(name: str) -> str:
    """A hyperparameter's name in words."""
    return "Mixup strength" if name == "mixup" else name.replace("_", " ")


def second_layer(comparison: Comparison, weights: int) -> Text:
    """Whether AlexNet's second fully connected layer earns its ``weights`` (one layer against two)."""
    return say(f"second_layer.{comparison.verdict}", total=comparison.total, weights=weights / 1e6)


CLEAR = 0.9  # fraction of recorded pairs that must agree in direction, else one pair shows nothing


def live(names: Sequence[str], pairs: Sequence[Sequence[float]], known: int, own: bool, expected: float | None,
         measure: str) -> list[Text]:  # fmt: skip
    """What the recorded pairs of a live experiment show, and what the reader's own does beside the prediction.

    Args:
        names: titles of the two sides.
        pairs: values of both sides: ``known`` recorded pairs, those of a class, with ``own`` the reader's as the last.
    """
    def size(value: float) -> Text:
        return say("live.loss" if measure.endswith("loss") else "live.points", value=float(value))

    differences = [second - first for first, second in pairs]
    texts = [] if known else [say("live.none")]
    if known:
        mean = np.mean(differences[:known])
        agree = sum(np.sign(differences[:known]) == np.sign(mean))
        form = say("live.higher" if mean > 0 else "live.lower")
        ends = {"low": size(min(differences[:known])), "high": size(max(differences[:known]))}
        texts += [say("live.recorded", first=names[0], second=names[1], measure=measure, form=form, agree=int(agree),
                      pairs=known, mean=size(mean), **ends),
                  say("live.clear" if agree >= CLEAR * known else "live.unclear")]  # fmt: skip
    if len(pairs) > known + 1:
        mean = np.mean(differences[known:])
        agree = int(sum(np.sign(differences[known:]) == np.sign(mean)))
        texts.append(say("live.pooled", pairs=len(pairs) - known, agree=agree, mean=size(mean)))
    if own:
        guessed = say("live.expected", expected=size(expected)) if expected is not None else ""
        texts.append(say("live.own", own=size(differences[-1]), guessed=guessed))
    return texts


def origin(run: Run) -> dict[str, object]:
    """What the small print says of a run beside its name and seconds; of an ensemble, what its members have."""
    def each(value: Callable[[Run], object]) -> str:
        return ", ".join(dict.fromkeys(str(value(member)) for member in run.counted))

    return {
        "profile": run.profile,
        "seed": run.seed,
        "epochs": each(lambda member: member.epochs),
        "again": say("again", count=int(run.refit["images"])) if "refit" in run.record else "",
        "weights": run.pretrained_source or say("scratch"),
        "device": run.device,
        "precision": run.precision,
        "date": run.date[:10],
        "torch": each(lambda member: member.versions["torch"]),
        "engine": run.versions["engine"],
        "images": (run.dataset["commit"] or run.dataset["key"])[:7],
    }


def provenance(run: Run) -> Text:
    """Where a run's numbers come from: conditions, machine, date and versions."""
    return say("provenance", names=run.experiment, seconds=f"{run.seconds:,.0f}", **origin(run))
