"""The cases judged: each once, when all its runs exist; every page shows the same sentence of the same table.

``judge`` reads test set and sealed set, by the ledger, and writes what it finds into ``cases.<profile>.csv`` beside the
records. Everything else here reads that table.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scene_utils import averaging, cases, catalogue, data, durations, evaluation, experiments, results
from scene_utils.cases import PROFILE
from scene_utils.lessons import limits, luck, orders
from scene_utils.lessons.trials import Trials
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import intervals, ledger, settings
from scene_utils.support.intervals import Estimate, wilson_interval
from scene_utils.support.settings import SceneError
from scene_utils.text import Text, join, number, say
from scene_utils.text.shown import Paragraph, Table, shown

JUDGE = "python -m scene_utils case --judge"
COMMITTED = "2026-11-26T09:53"  # when the designs were
PRIMARY = ("custom_lenet", "deeper", "longer", "mixup", "transfer", "ensemble")
OURS = ("relu", "schedule", "order", "calibration", "student")
DESCRIBED = ("nan", "goal")
COLUMNS = ("case", "quantity", "estimate", "low", "high", "p_value", "date", "key")
DEVICES = ("experiment", "seed", "device", "status", "diverged_step", "holdout_accuracy", "date", "key")
SETS = {"val": "test", "sealed": "sealed"}
SIZES = {"val": luck.IMAGES, "sealed": luck.CLASSES * data.SEALED}  # images

Rows = dict[str, Estimate | float]


# --- which runs a case has


def arms_of(case: str) -> list[cases.Arm]:
    """Return the arms by which a case is decided; none where its design names runs or trials of its own."""
    design = cases.design(case)
    return [cases.arm(name, case) for name in (*design.get("contrast", {}), *design.get("against", ()))]


def runs_of(arm: cases.Arm) -> list[Run | None]:
    """Return an arm's run of each seed, finished or diverged; None where it is missing or follows another design."""
    told = f"{arm.name.split('.')[0]} {cases.digest(arm.name.split('.')[0])}"
    found = [results.find(arm.experiment, PROFILE, seed) for seed in arm.seeds]
    return [run if run and run.record.get("design") == told else None for run in found]


def finished_of(arm: cases.Arm) -> list[Run]:
    """Return the runs of an arm that did not diverge."""
    return [run for run in runs_of(arm) if run and run.status == "finished"]


def diverged(runs: Sequence[Run | None]) -> int:
    """Return how many of these runs diverged: where one did, its case has no verdict, whatever else is run."""
    return sum(run is not None and run.status == "diverged" for run in runs)


def complete(case: str) -> bool:
    """Whether everything exists by which a case is decided."""
    done, every = progress(case)
    return done == every


def deciding(case: str) -> list[Run | None]:
    """Return the runs by which a case is decided, None for each that is missing; none where trials decide it."""
    design = cases.design(case)
    named = design.get("contrast_of", design.get("experiments", [])[:1])
    return [results.find(name, PROFILE) for name in named] + [run for arm in arms_of(case) for run in runs_of(arm)]


def progress(case: str) -> tuple[int, int]:
    """Return how many of the runs that decide a case exist, and how many there are to be."""
    if case in ("nan", "order"):
        return {"nan": limits, "order": orders}[case].progress(PROFILE)
    found = deciding(case)
    return sum(run is not None for run in found), len(found)


def key(case: str) -> str:
    """Return the hash of the design and the runs, or the trials, by which a case was judged."""
    runs = [run.key for run in deciding(case) if run]
    runs += [orders.kept(PROFILE).rows().to_csv(index=False)] * (case == "order")
    return results.run_key(design=cases.digest(case), runs=runs)


def waiting() -> list[str]:
    """Return the cases to be judged that wait for runs; one with a diverged run waits for nothing."""
    return [name for name in (*PRIMARY, *OURS) if not complete(name) and not diverged(deciding(name))]


def status(names: Sequence[str]) -> pd.DataFrame:
    """Return one row per arm: runs that are done and to be done, what its grid chose, core-hours left (about).

    The hours come from the seconds of the runs that there are, and what experiments cost beside one another.
    """
    declared = [run for run in results.records(PROFILE) if run.experiment in catalogue.EXPERIMENTS]
    finished = [run for run in declared if run.experiment.startswith("case-") and run.seconds]
    pace = sum(run.seconds for run in finished) / max(sum(work(cases.arm_of(run.experiment)) for run in finished), 1)
    rows: list[tuple] = []
    for case in names:
        arms = cases.arms(case)
        rows += [] if arms else [(case, "", "{} of {}".format(*progress(case)), "", None)]
        for arm in arms:
            runs, known = runs_of(arm), cases.chosen().get(arm.name, {})
            missed, lost = runs.count(None), diverged(runs)
            tried = [results.find(each, PROFILE) is not None for each in arm.grid_experiments().values()]
            waits = [other for other in arm.missing if other != arm.name]
            choice = f"waits for {', '.join(waits)}" if waits else ""
            choice = f"{sum(tried)} of {len(tried)} tried" if tried and not waits else choice
            choice = f"{known['field']} {known['value']:g}" if "value" in known else choice
            hours = (missed + ("value" not in known) * tried.count(False)) * work(arm) * pace / 3600
            done = f"{len(runs) - missed - lost} of {len(runs)}" + f", {lost} diverged" * bool(lost)
            rows.append((case, arm.name.split(".")[1], done, choice, hours))
    table = pd.DataFrame(rows, columns=["case", "arm", "runs", "grid", "core-hours left"])
    table.loc[len(table)] = ("all", "", "", "", table["core-hours left"].sum())
    return table.round(1).astype(object).fillna("")


def work(arm: cases.Arm) -> float:
    """Return about how long one training of an arm takes, beside others."""
    recipe = Recipe(**arm.recipe)
    return recipe.epochs * recipe.input_size**2 * durations.COST[arm.model]


# --- judging


def kept() -> Trials:
    """Return the table of what was found."""
    return Trials(f"cases.{PROFILE}.csv", COLUMNS, {})


def judge(unfinished: bool = False) -> list[str]:
    """Judge every case whose runs are complete, none diverged, and that was not judged with them; return their names.

    The sealed set is opened here, for all cases with arms together: so all must be complete, unless it is certain that
    no further run will be made (``unfinished``).

    Raises:
        SceneError: where there is nothing to judge yet, naming the cases that still wait for runs.
    """
    judged, table, missing = [], kept().rows(), waiting()
    known = dict(zip(table["case"], table["key"], strict=True))
    for name in (*PRIMARY, *OURS):
        ready = name not in missing and (unfinished or not missing or not arms_of(name))
        if ready and known.get(name) != key(name) and not diverged(deciding(name)):
            found = {what: value if isinstance(value, Estimate) else Estimate(value, *[float("nan")] * 3)
                     for what, value in SPECIAL.get(name, USUAL)[0](name).items()}  # fmt: skip
            rows = [(name, what, e.difference, e.low, e.high, e.p_value, results.now(), key(name))
                    for what, e in found.items()]  # fmt: skip
            table = pd.concat([table[table["case"] != name], pd.DataFrame(rows, columns=COLUMNS)], ignore_index=True)
            kept().write(table)
            judged.append(name)
    if missing and not unfinished and not judged:
        raise SceneError(f"cases that still wait for runs: {', '.join(missing)}; --judge --unfinished judges the rest")
    return judged


def judged_on(case: str) -> str:
    """Say on which sets a case is judged."""
    return "the hold-out" if case == "order" else "test set and sealed set" if arms_of(case) else "the test set"


def labels_of_sets() -> dict[str, np.ndarray]:
    """Return the labels of test set and sealed set."""
    return {"val": experiments.sets(PROFILE)[2].test.labels.numpy(),
            "sealed": experiments.sealed_sets(PROFILE)[1].labels.numpy()}  # fmt: skip


def read(case: str, run: Run, of: str, labels: np.ndarray, logits: np.ndarray | None = None, reading: str = "plain"):
    """Return which images of a set a run has correct, by its predictions or these logits; the ledger enters it."""
    predicted = run.answers(SETS[of]) if logits is None else logits
    return ledger.hand_out(run.record, predicted, labels, of, reading, f"the case {case} is judged")


def contrast(case: str) -> Rows:
    """Estimate the contrast of a case's arms on both sets together, on each alone, and each arm's accuracies."""
    coefficients = {cases.arm(name, case).name: c for name, c in cases.design(case)["contrast"].items()}
    correct = {of: {arm.name: np.stack([read(case, run, of, labels) for run in runs_of(arm)]) for arm in arms_of(case)}
               for of, labels in labels_of_sets().items()}  # fmt: skip
    return estimated(correct, coefficients)


def estimated(correct: Mapping[str, Mapping[str, np.ndarray]], contrast: Mapping[str, float], suffix: str = "") -> Rows:
    """Return the estimates of a contrast: ``correct`` has for each set and arm booleans (seeds, images)."""
    both = {name: np.hstack([correct[of][name] for of in correct]) for name in contrast}
    found: Rows = {f"difference{suffix}": intervals.estimate(both, contrast)}
    for of, arms in correct.items():
        found[f"difference{suffix} on {of}"] = intervals.estimate(arms, contrast)
        found |= {f"accuracy of {name} on {of}": float(arms[name].mean()) for name in contrast}
    return found


def trios(case: str) -> Rows:
    """Estimate an ensemble's accuracy minus that of each member, trio by trio; the largest p-value decides.

    Beside it: minus that of the member with the highest hold-out accuracy, each with its mirror image averaged.
    """
    members = [arm.name for arm in arms_of(case)]
    gained: dict[str, dict[str, list]] = {}  # by the ensemble, against whom, on which set
    for trio in zip(*map(runs_of, arms_of(case)), strict=True):
        best = int(np.argmax([run.accuracy for run in trio]))
        for of, labels in labels_of_sets().items():
            for mirror, reading in (("", "plain"), ("_mirror", "mirrored")):
                logits = [run.arrays[f"{SETS[of]}_logits{mirror}"] for run in trio]
                right = [read(case, run, of, labels, each, reading) for run, each in zip(trio, logits, strict=True)]
                mean = averaging.average_probabilities(logits)
                together = read(case, trio[0], of, labels, mean, f"{reading} mean of a trio").astype(int)
                others = {} if mirror else dict(zip(members, right, strict=True))
                for name, each in (others | {f"the best on the hold-out, {reading}": right[best]}).items():
                    gained.setdefault(name, {}).setdefault(of, []).append(together - each)
    found: Rows = {}
    for name, sides in gained.items():
        each = {of: {"d": np.stack(rows)} for of, rows in sides.items()}
        found |= {what: value for what, value in estimated(each, {"d": 1}, f" against {name}").items()
                  if what.startswith("difference")}  # fmt: skip
    weakest = max(members, key=lambda name: found[f"difference against {name}"].p_value)
    return {f"difference{tail}": found[f"difference against {weakest}{tail}"]
            for tail in ("", " on val", " on sealed")} | found  # fmt: skip


def calibration(case: str) -> Rows:
    """Compare the arms' expected calibration errors, one per seed, on both sets together."""
    labels = labels_of_sets()

    def error(run: Run) -> float:
        for of in SETS:
            read(case, run, of, labels[of])
        logits = np.concatenate([run.arrays[f"{array}_logits"] for array in SETS.values()])
        return evaluation.calibration_error(logits, np.concatenate(list(labels.values())))

    errors = {arm.name: [error(run) for run in runs_of(arm)] for arm in arms_of(case)}
    means = {f"calibration error of {name}": float(np.mean(each)) for name, each in errors.items()}
    return {"difference": intervals.welch(*errors.values())} | means


def student(case: str) -> Rows:
    """Test whether the student is as accurate as its teacher, within the design's margin, on the test set."""
    told = cases.design(case)
    right = [read(case, run, "val", run.labels) for run in deciding(case)]
    return {"difference": intervals.equivalence(*right, told["margin"])}


def order(case: str) -> Rows:
    """Compare both orders of tuning by the accuracies of their winners, trained again with a new seed."""
    names = cases.design(case)["orders"]
    first, second = (orders.winners(each, PROFILE) for each in names)
    diverged = {f"diverged trials, {each}": float(orders.diverged(each, PROFILE)) for each in names}
    return {"difference": intervals.welch(second, first)} | diverged


# --- what a page shows


@dataclass(frozen=True)
class Verdict:
    """What is known of a case.

    Attributes:
        word: ``holds``, ``fails`` (does not hold), ``open`` or ``missing`` (open: not run).
        found: one sentence with the estimate, or the command that runs what is missing.
        estimate, interval, p_value: as a table shows them, empty where there are none.
    """

    case: str
    word: str
    found: Text
    estimate: str = ""
    interval: str = ""
    p_value: str = ""

    @property
    def claim(self) -> Text:
        """The claim in words."""
        return say(f"case.claim.{self.case.removesuffix('-reported')}")


def rows_of(case: str) -> dict[str, Estimate]:
    """Return what was found when a case was judged, by quantity; nothing where it has not been."""
    table = kept().rows()
    mine = table[table["case"] == case]
    return {row.quantity: Estimate(row.estimate, row.low, row.high, row.p_value) for row in mine.itertuples()}


def adjusted(case: str) -> float:
    """Return a case's p-value, adjusted over its family (Holm); a case that has not been judged counts as 1."""
    family = PRIMARY if case in PRIMARY else OURS
    raw = [found["difference"].p_value if (found := rows_of(name)) else 1.0 for name in family]
    return intervals.holm(tuple(raw))[family.index(case)]


def verdict(case: str) -> Verdict:
    """Return what is known of a case; ``goal-reported`` is the goal under the report's own conditions."""
    if case in ("goal", "goal-reported"):
        return goal(case)
    if case == "nan":
        return ladder() if complete(case) else missing(case)
    runs, found = deciding(case), rows_of(case)
    if diverged(runs):
        return undecided(case, runs)
    if not found:
        return missing(case)
    whole, p = found["difference"], adjusted(case)
    told = {"points": whole.difference, "low": whole.low, "high": whole.high, "p": p}
    between = f"{number(whole.low, '+pp')} … {number(whole.high, '+pp')}"
    word, sentence = SPECIAL.get(case, USUAL)[1](case, found, told)
    sentence = join([sentence, excluded(case, told)]) if word == "open" else sentence
    cell = number(p, "p").removeprefix("= ")
    word = "fails" if word == "does not hold" else word
    return Verdict(case, word, sentence, number(whole.difference, "+pp"), between, cell)


def usual(case: str, found: Mapping[str, Estimate], told: dict) -> tuple[str, Text]:
    """Apply the rule to a contrast on both sets; the sealed set alone must agree in sign."""
    sealed = found["difference on sealed"].difference
    word = cases.verdict(cases.design(case)["direction"], told["points"], told["p"], sealed)
    seeds = min(len(arm.seeds) for arm in arms_of(case))
    if case == "ensemble":
        member = max(arms_of(case), key=lambda arm: found[f"difference against {arm.name}"].p_value)
        return word, say("case.found.trios", trios=seeds, member=member.title, sealed=sealed, **told)
    parts = [deficits(found)] if case == "longer" else []
    parts.append(say("case.found", seeds=seeds, sealed=sealed, **told))
    return word, join([*parts, *([by_pair(found)] if case == "deeper" else [])])


def accuracy(arm: cases.Arm, found: Mapping[str, Estimate]) -> float:
    """Return an arm's accuracy on both sets together."""
    right = sum(found[f"accuracy of {arm.name} on {of}"].difference * size for of, size in SIZES.items())
    return right / sum(SIZES.values())


def by_pair(found: Mapping[str, Estimate]) -> Text:
    """Say what depth changes with either kind of block, and at how many epochs the rates were chosen."""
    arms = arms_of("deeper")
    pairs = [say("case.found.pair", first=first.title, second=second.title,
                 points=accuracy(second, found) - accuracy(first, found))
             for first, second in zip(arms[::2], arms[1::2], strict=True)]  # fmt: skip
    return say("case.found.pairs", pairs=pairs, epochs=cases.arm("longer.basic18").recipe["epochs"])


def deficits(found: Mapping[str, Estimate]) -> Text:
    """Say by how much the deeper networks are less accurate at either budget."""
    short, long = cases.arms("longer")[0].recipe["epochs"], cases.arms("deeper")[0].recipe["epochs"]
    contrast = cases.design("longer")["contrast"]
    lost = {short: 0.0, long: 0.0}
    for name, coefficient in contrast.items():
        arm = cases.arm(name, "longer")
        lost[arm.recipe["epochs"]] += coefficient * accuracy(arm, found)
    return say("case.found.deficits", short=short, long=long, first=lost[short], second=-lost[long])


def excluded(case: str, told: dict) -> Text | str:
    """Say what an open case excludes all the same, or why it is open though its interval excludes 0."""
    if told["low"] <= 0 <= told["high"]:
        beyond = told["low"] if cases.design(case).get("direction") == "less" else told["high"]
        return "" if "margin" in cases.design(case) else say("case.excluded", beyond=beyond)
    return say("case.unadjusted") if told["p"] >= 1 - intervals.LEVEL else ""


def equivalent(case: str, found: Mapping[str, Estimate], told: dict) -> tuple[str, Text]:
    """Apply the rule to two one-sided tests: outside the margin only where the whole interval is."""
    margin = cases.design(case)["margin"]
    outside = told["low"] > margin or told["high"] < -margin
    word = "holds" if told["p"] < 1 - intervals.LEVEL else "does not hold" if outside else "open"
    return word, say("case.found.margin", margin=margin, **told)


def by_order(case: str, found: Mapping[str, Estimate], told: dict) -> tuple[str, Text]:
    """Apply the rule to the winners' accuracies on the hold-out; diverged trials are reported."""
    diverged = sum(int(each.difference) for what, each in found.items() if what.startswith("diverged"))
    word = cases.verdict("greater", told["points"], told["p"], told["points"])
    return word, say("case.found.order", searches=cases.design(case)["searches"], diverged=diverged, **told)


def calibrated(case: str, found: Mapping[str, Estimate], told: dict) -> tuple[str, Text]:
    """Apply the rule to a claim without a direction."""
    means = [found[f"calibration error of {arm.name}"].difference for arm in arms_of(case)]
    errors = dict(zip(("without", "with_it"), means, strict=True))
    return "holds" if told["p"] < 1 - intervals.LEVEL else "open", say("case.found.calibration", **errors, **told)


USUAL = contrast, usual  # what measures a case, and the rule that gives its verdict
SPECIAL = {"ensemble": (trios, usual), "calibration": (calibration, calibrated), "student": (student, equivalent),
           "order": (order, by_order)}  # fmt: skip


def undecided(case: str, runs: Sequence[Run | None]) -> Verdict:
    """Return the verdict of a case of whose runs some diverged."""
    told = {"diverged": diverged(runs), "runs": len(runs) - runs.count(None), "planned": len(runs)}
    return Verdict(case, "open", say("case.found.diverged", **told))


def missing(case: str) -> Verdict:
    """Return the verdict of a case that waits for runs, or for being judged."""
    done, every = progress(case)
    run = [case] if done < every else waiting() if arms_of(case) else []  # the sealed set is opened for all together
    command = f"python -m scene_utils case {' '.join(run)} --profile {PROFILE}" if run else JUDGE
    return Verdict(case, "missing", say("case.waiting", done=done, all=every, command=command))


def ladder() -> Verdict:
    """Judge the case ``nan`` by the rule of its design: where the limits of all settings lie."""
    claimed, table = cases.design("nan")["limit"], limits.limits(PROFILE, limits.recorded)
    rates = cases.ladder("nan")
    near = rates[max(rates.index(claimed) - 1, 0) : rates.index(claimed) + 2]
    groups = table.groupby(["pixel_scale", "momentum", "batch_size", "loss"])["limit"]
    hit = groups.agg(lambda each: len(each) == 3 and all(min(abs(limit / rate - 1) for rate in near) < 0.02
                                                         for limit in each))  # fmt: skip
    within = table["limit"].between(claimed / 2, claimed * 2).any()
    word = "holds" if hit.any() else "open" if within else "fails"
    trained = table[table["loss"] == "mean"]
    nearest = table.loc[(np.log(table["limit"] / claimed)).abs().idxmin()].to_dict()
    values = {"low": trained["limit"].min(), "high": trained["limit"].max(), "all": len(hit), "limit": claimed,
              "trained": len(limits.all_settings()), "summed": len(hit) - len(limits.all_settings()),
              "hits": int(hit.sum()) or say("none"), "nearest": nearest["limit"], "momentum": nearest["momentum"],
              "batch": nearest["batch_size"], "form": say(f"case.found.nan.{word}"),
              "pixels": say(f"case.found.nan.{nearest['pixel_scale']}")}  # fmt: skip
    told = say("case.found.nan", **values, loss=say(f"case.found.nan.{nearest['loss']}"))
    return Verdict("nan", word, told, f"{values['low']:g} … {values['high']:g}")


def goal(case: str) -> Verdict:
    """Judge both claims of the case ``goal``: the count, and the accuracy on images like these by its interval."""
    target, reported = results.facts()["target_accuracy"], case == "goal-reported"
    name = cases.design("goal")["experiments"][reported]
    run = results.find(name, "full" if reported else PROFILE)
    if run is None:
        command = f"python -m scene_utils train {name} --profile full"
        return Verdict(case, "missing", say("case.waiting", done=0, all=1, command=command))
    if diverged([run]):
        return undecided(case, [run])
    needed, interval = int(np.ceil(target * run.total)), wilson_interval(run.correct, run.total)
    word = "holds" if interval[0] > target else "fails" if interval[1] < target else "open"
    count = say("case.holds" if run.correct >= needed else "case.fails")
    told = {"correct": run.correct, "total": run.total, "needed": needed, "count": count, "low": interval[0],
            "high": interval[1], "target": target, "form": say(f"case.{word}"), "name": run.title}  # fmt: skip
    between = f"{number(interval[0], '.4f')} … {number(interval[1], '.4f')}"
    return Verdict(case, word, say("case.found.goal", **told), f"{run.accuracy:.4f}", between)


def show(*names: str) -> None:
    """Show the verdict of one or several cases, one sentence each; works with missing runs too.

    ``goal-reported`` is the goal under the report's own conditions. For images of one's own nothing: the
    cases are about the report's.
    """
    shown(Paragraph([said(name) for name in names], "list" if len(names) > 1 else "plain"))


def said(name: str) -> Text | str:
    """Return what ``show`` shows of one case."""
    if settings.data_dir():
        return ""
    known = verdict(name)
    told = say("case", verdict=word_of(known), claim=known.claim, found=known.found)
    return told if known.word == "missing" else join([told, *beside(name.removesuffix("-reported"))])


def word_of(known: Verdict) -> Text:
    """Return a verdict in words: a case whose runs all exist is not judged yet; some ran before their design."""
    waits = known.word == "missing" and known.found.values["done"] == known.found.values["all"]
    word = say("case.unjudged" if waits else f"case.{known.word}")
    early = known.case != "goal-reported" and any(run.date < COMMITTED for run in deciding(known.case) if run)
    return join([word, say("case.early")], "; ") if early else word


def beside(case: str) -> list[Text]:
    """Return what a design shows beside its verdict: other arms, what a grid preferred, what it costs."""
    told, found = [], rows_of(case)
    if case == "custom_lenet":
        trained = [[run.record["on_training_set"]["loss"] for run in finished_of(arm)] for arm in arms_of(case)]
        if all(trained):
            first, second = (float(np.mean(each)) for each in trained)
            meaning = say("case.beside.overfits" if second < first else "case.beside.underfits")
            told.append(say("case.beside.training", first=first, second=second, meaning=meaning))
    told += on_another_device(case)
    if case == "mixup" and (strengths := strengths_tried()):
        best = cases.best_value({value: each for value, each in strengths.items() if value})
        told.append(say("case.beside.strength", best=best, accuracy=strengths[best], zero=strengths[0.0]))
    if case == "ensemble" and found:
        points = {reading: found[f"difference against the best on the hold-out, {reading}"].difference
                  for reading in ("plain", "mirrored")}  # fmt: skip
        told.append(say("case.beside.member", trainings=len(arms_of(case)), **points))
    others = [arm for arm in cases.arms(case) if arm.name not in {each.name for each in arms_of(case)}]
    if not any(run for arm in others for run in runs_of(arm)):
        return told
    main = [arm for arm in arms_of(case) if len(arms_of(case)) <= 4 or arm.name.startswith(f"{case}.")]
    arms: list[Text] = []
    for arm in [*main, *others]:
        accuracies, lost = [run.accuracy for run in finished_of(arm)], diverged(runs_of(arm))
        kinds = sorted({run.kind for run in runs_of(arm) if run} - {run.kind for run in deciding(case) if run})
        if accuracies:
            runs = [len(accuracies), *kinds]
            arms.append(say("case.beside.arm", title=arm.title, accuracy=float(np.mean(accuracies)), runs=runs))
        if lost:
            runs = [say("case.beside.made", runs=len(accuracies) + lost), *kinds]
            arms.append(say("case.beside.diverged", title=arm.title, diverged=lost, runs=runs))
    return [*told, say("case.beside", arms=join(arms, "; "))]


def by_device() -> pd.DataFrame:
    """Return what became of the runs of ``devices.<profile>.csv``, which has one row for each run and device.

    Columns network, device, runs, diverged, hold-out accuracy (mean); networks and the devices of each in the order of
    their first runs.
    """
    table = Trials(f"devices.{PROFILE}.csv", DEVICES, {}).rows().sort_values("date")
    table = table.assign(network=table["experiment"].map({arm.experiment: arm.title for arm in cases.arms()}),
                         device=table["device"].map(results.kinds).str.join(", "),
                         diverged=table["status"] == "diverged")  # fmt: skip
    found = table.groupby(["network", "device"], sort=False).agg(
        runs=("seed", "size"), diverged=("diverged", "sum"), accuracy=("holdout_accuracy", "mean")
    )
    return found.round(4).rename(columns={"accuracy": "hold-out accuracy"}).reset_index()


def on_another_device(case: str) -> list[Text]:
    """Say how many runs of a case's arms diverged on either device, which count, and where a rate was chosen."""
    table, arms = by_device(), arms_of(case)
    table = table[table["network"].isin([arm.title for arm in arms])]
    counted = {run.kind for run in deciding(case) if run} if table["diverged"].any() else set()
    if len(counted) != 1:
        return []
    counts = [say("case.beside.count", **row) for arm in arms
              for row in table[table["network"] == arm.title].to_dict("records")]  # fmt: skip
    device, first = counted.pop(), table.drop_duplicates("network").set_index("network")["device"]
    told = [say("case.beside.device", counts=counts, device=device, first=first[first == device].index.tolist())]
    for arm in arms:
        tried = [results.find(name, PROFILE) for name in arm.grid_experiments().values()]
        for kind in sorted({run.kind for run in tried if run} - {device}):
            told.append(say("case.beside.chosen", title=arm.title, device=kind))
    close = table.loc[table["diverged"] > 0, "network"].unique().tolist()
    return [*told, say("case.beside.close", networks=close)]


def strengths_tried() -> dict[float, float]:
    """Return the hold-out accuracy of each strength of Mixup that the grid tried, 0 included; nothing before that."""
    plain, mixed = cases.arm("mixup.plain"), cases.arm("mixup.mixup")
    rate = plain.recipe.get("learning_rate")
    names = mixed.grid_experiments() | {0.0: plain.grid_experiments().get(rate, "")}
    found = {value: results.find(name, PROFILE) for value, name in names.items()}
    return {} if None in found.values() else {value: run.accuracy or 0.0 for value, run in found.items()}


def table(names: Sequence[str]) -> Table:
    """Return cases, one row each: claim, the report's figure, estimate, interval, adjusted p, verdict, commits."""
    rows = []
    for name in names:
        case, known = name.removesuffix("-reported"), verdict(name)
        theirs = cases.design(case).get("reported")
        claim = say("case.under_report", claim=known.claim) if name != case else known.claim
        word = word_of(known)
        if word.key == "case.missing":
            word = join([word, say("case.runs", **known.found.values)], ": ")
        rows.append((claim, "" if theirs is None else f"{theirs:.4f}" if case == "goal" else number(theirs, "+pp"),
                     known.estimate, known.interval, known.p_value, word,
                     committed(cases.DESIGNS / f"{case}.toml") or cases.digest(case)[:7],
                     committed(settings.published_dir() / kept().name, f"{case},difference,")))  # fmt: skip
    columns = ["claim", "report", "ours", "95 % interval", "adjusted p", "verdict", "design", "result"]
    return Table(pd.DataFrame(rows, columns=columns), "text wide")


def optimism() -> float | None:
    """Return by how much the arms' accuracies on ``val`` exceed those on the sealed set; None before it is read."""
    table = kept().rows()
    table = table[table["quantity"].str.startswith("accuracy of ")]
    told = {of: table.loc[table["quantity"].str.endswith(f" on {of}"), "estimate"] for of in SETS}
    return None if told["sealed"].empty else float(told["val"].mean() - told["sealed"].mean())


def commands() -> Paragraph:
    """Return the commands that run and judge what is missing; nothing where all cases are judged."""
    missing = [name for name in (*PRIMARY, "nan", *OURS) if verdict(name).word == "missing"]
    run = [name for name in missing if not complete(name)]
    lines = [f"python -m scene_utils case {' '.join(run)} --profile {PROFILE}"] * bool(run)
    lines += [JUDGE] * bool(missing)
    known = verdict("goal-reported")
    lines += [known.found.values["command"]] if known.word == "missing" else []
    return Paragraph(["```\n" + "\n".join(lines) + "\n```"] if lines else [], "blocks")


def committed(path: Path, text: str = "") -> str:
    """Return the commit that last wrote a file, or ``text`` in it; empty where that is not known."""
    search = [f"-S{text}"] if text else []
    command = ["git", "-C", str(settings.project_dir()), "log", "-1", "--format=%h", "--abbrev=7", *search]
    try:
        return subprocess.run([*command, "--", str(path)], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        return ""
