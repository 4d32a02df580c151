"""What belongs to no single lesson: models and claims side by side, what no model gets, which model to choose.

Everything is made from the records of runs on the images of a profile; nothing is trained here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from IPython.display import Markdown

from scene_utils import catalogue, data, evaluation, experiments, plots, predictions, results
from scene_utils.data import Dataset, Split
from scene_utils.lessons import course, depth, slides
from scene_utils.lessons.slides import between, of, reached, share
from scene_utils.results import Run
from scene_utils.support import intervals, progress, report_facts, settings
from scene_utils.support.intervals import wilson_interval
from scene_utils.support.settings import SceneError
from scene_utils.text import Text, join, number, say, sentences
from scene_utils.text.shown import Paragraph, Table, shown

SEVEN = tuple(results.facts()["results"])
RATES = tuple(f"lenet-rate-{rate}" for rate in catalogue.LEARNING_RATES)
DEPTHS = tuple(f"depth-{each}" for each in catalogue.DEPTHS)
CONFUSED = ("resnet18", "resnet18_mixup", "resnet18_transfer", "ensemble")


class Records:
    """The records of one profile and seed.

    Attributes:
        sets: (train, hold-out, dataset) of the profile; None where the images are not at hand.
        compared: whether the images are the report's, so that its figures belong beside ours.

    Raises:
        SceneError: for an unknown profile or ``SCENE_*`` variable, or a seed that is no number.
    """

    def __init__(self, profile: str, seed: int = 0) -> None:
        self.profile, self.seed = settings.profile(profile), settings.seed(seed)
        self.sets, self.facts = sets_of(self.profile), results.facts()
        if self.sets is not None:
            dataset = self.sets[2]
            self.key, self.compared = dataset.key, dataset.commit == data.COMMIT
            self.classes, self.total = list(dataset.test.classes), len(dataset.test)
        else:  # published records can be told without the images
            self.key, self.compared = data.COMMIT, True
            self.classes = self.facts["dataset"]["classes"]
            self.total = sum(self.facts["dataset"]["val_counts"])

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

    def reported(self, name: str) -> dict | None:
        """The report's accuracy and recalls of a model; None where they do not belong beside ours."""
        return self.facts["results"].get(name) if self.compared else None


def sets_of(profile: str) -> tuple[Split, Split, Dataset] | None:
    """(train, hold-out, dataset) of a profile; None where the public dataset cannot be fetched.

    Raises:
        SceneError: for images of one's own that cannot be used.
    """
    try:
        with progress.silent():
            return experiments.sets(profile)
    except SceneError:
        if settings.data_dir() or profile == "sample":
            raise
        return None


# --- opening and summary


def opening(records: Records, slides: int = 21) -> None:
    """What the report is, how to read it, which edition this is."""
    known = {"models": len(SEVEN), "slides": slides, "classes": len(records.classes)}
    reading = [say("reading", total=records.total)] + [say("reading.again")] * records.compared
    told: list[str] = [say("intro" if records.compared else "intro.own", **known), join(reading)]
    source, commit = records.facts["dataset"]["repository"], data.COMMIT
    if records.sets is not None:
        source, commit = records.sets[2].source, records.sets[2].commit
    named = say("commit", source=source, commit=commit[:7]) if commit else source
    told.append(say("edition", profile=records.profile, seed=records.seed, source=named))
    if records.profile == "sample" and records.compared:
        told.append(say("rehearsal", train=len(records.sets[0])))
    shown(Paragraph(told, "blocks"))


def summary(records: Records) -> None:
    """The summary: three sentences, one table, one figure (the ladder)."""
    runs = records.done(*SEVEN)
    told, table = Paragraph(summary_sentences(records), "list"), Table(summary_table(records))
    figure = None
    if records.compared:
        ours = {run.experiment: (run.correct, run.total) for run in runs}
        titles = {name: catalogue.get(name).title for name in SEVEN}
        figure = plots.ladder(plots.ladder_table(ours, records.facts, titles))
    elif runs:
        figure = plots.bars({run.title: run.accuracy for run in runs}, "accuracy", percent=True)
    shown(told, table, figure, runs=runs)


def summary_table(records: Records) -> pd.DataFrame:
    """The seven models: the report's accuracy, ours with its interval, the difference, the verdict."""
    rows = []
    for name in SEVEN:
        row: dict[str, str] = {"model": catalogue.get(name).title}
        run, theirs = next(iter(records.done(name)), None), records.reported(name)
        if theirs is not None:
            row["report"] = share(theirs["accuracy"])
        row["ours" if records.compared else "accuracy"] = share(run.accuracy) if run else ""
        row["95 % interval"] = between(wilson_interval(run.correct, run.total)) if run else ""
        if theirs is not None:
            row["± images"] = number(run.correct - round(theirs["accuracy"] * run.total), "+,") if run else ""
            row["± points"] = number(run.accuracy - theirs["accuracy"], "+pp") if run else ""
        if theirs is not None or not run:
            row["verdict"] = say(f"against.{against(records, name)}")
        rows.append(row)
    return pd.DataFrame(rows)


def against(records: Records, name: str) -> str:
    """``higher``, ``lower``, ``same`` against the report's figure, or ``missing``."""
    run, theirs = next(iter(records.done(name)), None), records.reported(name)
    if run is None or theirs is None:
        return "missing"
    low, high = wilson_interval(run.correct, run.total)
    return intervals.verdict((low - theirs["accuracy"], high - theirs["accuracy"]))


def summary_sentences(records: Records) -> list[Text]:
    """Three sentences: the goal, the seven models, the claims (for own images: the best model)."""
    runs = records.done(*SEVEN)
    if not records.compared:
        if not runs:
            return [say("choice.none")]
        best = max(runs, key=lambda run: run.accuracy)
        same = [run.title for run in course.told_apart(best, runs)[1]] or say("none")
        return [say("summary.own", all=len(runs), best=best.title, accuracy=best.accuracy, same=same)]
    final, goal = records.done("ensemble"), records.facts["target_accuracy"]
    told = [sentences.target(run.title, run.correct, run.total, goal) for run in final] or [say("summary.final")]
    forms = [against(records, name) for name in SEVEN]
    counts = {form: forms.count(form) for form in ("higher", "lower", "same", "missing")}
    told.append(say("summary.count", all=len(forms), **counts))
    verdicts = claims_table(records)["verdict"].tolist()
    counts = {form: verdicts.count(form) for form in ("survives", "opposite", "open", "missing")}
    return [*told, say("summary.claims", all=len(verdicts), **counts)]


# --- what no model gets, what remains confused


def wall(records: Records) -> None:
    """Test images by models, and pictures of those that none gets."""
    runs = records.done(*SEVEN)
    if len(runs) < 2:
        return shown(say("wall.few"))
    labels = runs[0].labels
    right = {run.title: run.logits.argmax(1) == labels for run in runs}
    solved = plots.wall_table(right)[1]
    pictures, titles = None, ()
    if records.sets is not None:
        pictures = records.sets[2].test.images
        titles = [records.classes[label] for label in labels]
    counts = {"none": int((solved == 0).sum()), "all": int((solved == len(runs)).sum())}
    told = say("wall", total=len(labels), models=len(runs), **counts)
    shown(Paragraph([told], "wide"), plots.wall(right, pictures, titles), small(), runs=runs)


def small() -> Paragraph:
    """The small print of what is made from the seven models: it stands in the summary."""
    return Paragraph([say("seven")], "small")


def confused(records: Records) -> None:
    """The pairs of classes that are confused most, and what Mixup, transfer and the ensemble change in that."""
    runs = records.done(*CONFUSED)
    if len(runs) < 2:
        return shown(say("wall.few"))
    table = evaluation.confused_by({run.title: run.confusion for run in runs}, records.classes)
    pairs = [
        say("confused.pair", pair=join(pair.split(", "), ", "), before=row.iloc[0], after=row.iloc[-1])
        for pair, row in table.head(3).iterrows()
    ]
    told = say("page.confused", first=runs[0].title, last=runs[-1].title, pairs=join(pairs, "; "))
    shown(Paragraph([told], "wide"), plots.confused(table), small(), runs=runs)


# --- how sure the models are


def predictions_of(records: Records, *names: str) -> pd.DataFrame:
    """The rows of the table of predictions (``make predictions``) for models of this page, on the test set."""
    runs = records.done(*names) if records.sets is not None else []
    for name in set(names) - {run.experiment for run in runs}:
        progress.line(f"no predictions of {name}: not run yet, or its images are not at hand")
    columns = [name for name in predictions.COLUMNS if "<" not in name] + [f"p_{name}" for name in records.classes]
    parts = [predictions.of_set(run, "test", experiments.tested(run)) for run in runs]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def sureness(table: pd.DataFrame) -> Markdown:
    """In how many rows more, or fewer, predictions are correct than their probabilities say, by ``z``."""
    return Markdown(say("sure", rows=len(table), more=int((table["z"] > 2).sum()), fewer=int((table["z"] < -2).sum())))


# --- the report's claims


def claims(records: Records) -> None:
    """Which of the report's claims survive an interval."""
    if not records.compared:
        return shown(say("claims.own"))
    found = claims_table(records)
    weak = found["claim"][found["firm"].eq(False)].tolist()
    told = say("claims.weak", names=join(weak, "; ")) if weak else say("claims.firm")
    table = found.drop(columns=["firm", "verdict"]).assign(**{"in these runs": list(map(say, found["verdict"]))})
    shown(say("claims.how"), Table(table, "text wide"), told, runs=records.done(*SEVEN, *DEPTHS))


def claims_table(records: Records) -> pd.DataFrame:
    """One row per claim of the report.

    Returns:
        Columns claim, report, its interval, ours, our interval, verdict (``survives``, ``opposite``, ``open``,
        ``missing``) and firm: whether the report's own interval bears its claim out (None where it has none).
    """
    stated = {(each["from"], each["to"]): each["difference"] for each in records.facts["reported_differences"]}
    rows = [claim_divergence(records)]
    rows += [claim_difference(records, *pair, told) for pair, told in stated.items()]
    rows += [claim_depth(records), claim_longer(records), claim_goal(records)]
    columns = ["claim", "report", "report: interval", "ours", "ours: interval", "verdict", "firm"]
    return pd.DataFrame(rows, columns=columns).astype({"claim": object, "firm": object})


VERDICTS = {"confirmed": "survives", "contradicted": "opposite", "open": "open"}


def claim_divergence(records: Records) -> tuple:
    """The row about LeNet's learning rate; a run either ends or not, so there is no interval."""
    rate = records.facts["lenet_divergence"]["learning_rate_at_least"]
    claim = say("claim.divergence", rate=rate)
    sweep = course.sweep([run for run in map(records.run, RATES) if run is not None])
    if not len(sweep):
        return claim, f"{rate:g}", "", "", "", "missing", None
    lowest = sweep["learning_rate"][sweep["diverged_step"].notna()].min()
    form = "survives" if sentences.divergence_form(sweep, rate) == "confirmed" else "opposite"
    return claim, f"{rate:g}", "", f"{lowest:g}" if lowest == lowest else "–", "", form, None


def claim_difference(records: Records, first: str, second: str, told: float) -> tuple:
    """The row about a difference between two models of the report."""
    titles = {"first": catalogue.get(first).title, "second": catalogue.get(second).title}
    claim = say("claim.higher" if told > 0 else "claim.lower", **titles)
    total = sum(records.facts["dataset"]["val_counts"])
    right = [report_facts.total(records.facts, name) for name in (second, first)]
    own = intervals.newcombe_interval(right[0], total, right[1], total)
    firm = report_facts.claim_verdict(told, own) == "confirmed"
    runs = records.done(first, second)
    theirs = (number(told, "+.4f"), between(own, "+.4f"))
    if len(runs) < 2:
        return claim, *theirs, "", "", "missing", firm
    compared = evaluation.compare(runs[0].logits, runs[1].logits, runs[0].labels)
    form = VERDICTS[report_facts.claim_verdict(told, compared.interval)]
    return claim, *theirs, number(compared.difference, "+.4f"), between(compared.interval, "+.4f"), form, firm


def claim_depth(records: Records) -> tuple:
    """The row that deeper ResNets do worse: accuracy per doubling of the depth, at the end."""
    return (say("claim.depth"), *claim_slope(records, -1, lambda runs, ends: depth.slopes(runs, ends[-1])))


def claim_longer(records: Records) -> tuple:
    """The row that deeper ResNets must train longer: by how much that slope rises with more epochs."""

    def rise(runs: list[Run], ends: list[int]) -> np.ndarray:
        return depth.slopes(runs, ends[-1]) - depth.slopes(runs, ends[0])

    return (say("claim.longer"), *claim_slope(records, 1, rise))


def claim_slope(records: Records, told: int, values: Callable[[list[Run], list[int]], np.ndarray]) -> tuple:
    """What the depths of slide 13 say of a claim whose sign is ``told``; the report gives no figure."""
    runs = records.done(*DEPTHS)
    if len(runs) < 2:
        return "", "", "", "", "missing", None
    slope, *interval = depth.mean(values(runs, depth.lengths(min(run.epochs for run in runs))))
    form = VERDICTS[report_facts.claim_verdict(told, interval)]
    return "", "", number(slope, "+.4f"), between(interval, "+.4f"), form, None


def claim_goal(records: Records) -> tuple:
    """The row that the final model reaches the goal."""
    goal, total = records.facts["target_accuracy"], sum(records.facts["dataset"]["val_counts"])
    told = records.facts["results"]["ensemble"]["accuracy"]
    own = wilson_interval(report_facts.total(records.facts, "ensemble"), total)
    run, firm = next(iter(records.done("ensemble")), None), own[0] > goal
    theirs = (say("claim.goal", goal=goal), share(told), between(own))
    if run is None:
        return *theirs, "", "", "missing", firm
    low, high = wilson_interval(run.correct, run.total)
    form = VERDICTS[report_facts.claim_verdict(1, (low - goal, high - goal))]
    return *theirs, share(run.accuracy), between((low, high)), form, firm


# --- which model to choose, and beyond the report


def choice(records: Records) -> None:
    """Which model to choose: what each reaches and costs, advice, the price of a point."""
    runs = records.done(*SEVEN)
    if not runs:
        return shown(say("choice.none"))
    named = {run.experiment: run.title for run in runs}
    reported = {named[name]: records.reported(name)["accuracy"] for name in named} if records.compared else None
    histories = {run.title: run.history for run in runs}
    figure = plots.accuracy_vs_time(histories, {run.title: run.accuracy for run in runs}, reported)
    table = reached(runs, ("parameters", "training seconds"))
    table.frame["pretrained"] = [run.weights_choice or "–" for run in runs]
    told = [price(runs)]
    devices = sorted({run.device for run in runs})
    if len(devices) > 1:
        told.append(say("choice.devices", devices=join(devices, "; ")))
    how = say("choice.how" if records.compared else "choice.how.own")
    shown(how, table, Table(advice_table(runs), "text"), Paragraph(told), figure, small(), runs=runs)


def advice_table(runs: Sequence[Run]) -> pd.DataFrame:
    """What matters most, the model to take then, and why."""
    best = max(runs, key=lambda run: run.accuracy)
    same = course.told_apart(best, runs)[1]
    low, high = wilson_interval(best.correct, best.total)
    close = [run.title for run in same] or say("none")
    told = say("advice.accurate", accuracy=best.accuracy, low=low, high=high, same=close)
    rows = [(say("aim.accurate"), best.title, told)]
    cheap = min([best, *same], key=lambda run: run.seconds)
    timed = results.same_processor(*runs)  # else which of them took the least time is not known
    if timed and cheap is best:
        rows.append((say("aim.cheap"), best.title, say("advice.cheap.none")))
    elif timed:
        told = say("advice.cheap", seconds=cheap.seconds, best_seconds=best.seconds)
        rows.append((say("aim.cheap"), cheap.title, told))
    for run in sorted((r for r in runs if not r.weights), key=lambda run: -run.accuracy)[:1]:
        rows.append((say("aim.scratch"), run.title, say("advice.scratch", accuracy=run.accuracy)))
    small, quick = min(runs, key=lambda run: run.parameters), min(runs, key=lambda run: run.seconds)
    told = say("advice.small", parameters=small.parameters, accuracy=small.accuracy)
    rows.append((say("aim.small"), small.title, told))
    if timed:
        told = say("advice.quick", seconds=quick.seconds, accuracy=quick.accuracy)
        rows.append((say("aim.quick"), quick.title, told))
    return pd.DataFrame(rows, columns=["what matters", "model", "why"])


def price(runs: Sequence[Run]) -> str:
    """The price of a point between the quickest and the most accurate model; empty where that is not known."""
    quick = min(runs, key=lambda run: run.seconds)
    best = max(runs, key=lambda run: run.accuracy)
    if quick is best or best.accuracy == quick.accuracy or not results.same_processor(quick, best):
        return ""
    gain, seconds = best.accuracy - quick.accuracy, best.seconds - quick.seconds
    values = {"seconds": seconds, "points": gain, "price": seconds / (gain * 100)}
    return say("price", quick=quick.title, best=best.title, **values)


def beyond(records: Records) -> None:
    """The small student, everything together, what models cost, and the labels that the best contradicts."""
    runs = records.done(*catalogue.BEYOND)
    if not runs:
        return shown(say("page.nothing"))
    table = reached(runs, ("parameters", "training seconds", "weights"))
    costs = course.costs(records.done(*SEVEN, *catalogue.BEYOND)).dropna()
    shown(say("beyond"), table, say("beyond.cost"), plots.cost(costs), runs=runs)
    best = max(runs, key=lambda run: run.holdout_accuracy)
    if records.sets is not None and records.compared:
        shown(course.ceiling(best), say("beyond.ceiling"), course.contradictions(best), runs=runs)


# --- other readings, all runs, benchmark


def readings(records: Records) -> None:
    """The other readings of the seven models and the ensemble's members."""
    table = readings_table(records)
    if table.empty:
        return shown(say("page.nothing"))
    again = "```\nSCENE_WEIGHTS=imagenet python -m scene_utils train resnet18_transfer ensemble"
    again += f" --profile {records.profile}\n```"
    shown(say("readings.how"), Table(table, "wide"), Paragraph([say("readings.weights"), again], "blocks"))


def readings_table(records: Records) -> pd.DataFrame:
    """One row per reading: experiment, profile, seed, how it is read, accuracy and interval, weights."""
    rows = []
    for base in (*SEVEN, *catalogue.MEMBERS):
        for run in records.runs.values():
            if run.experiment.removesuffix("-reported") != base or run.status != "finished":
                continue
            headline = (run.experiment, run.profile, run.seed) == (base, records.profile, records.seed)
            if not (headline and base in SEVEN):
                rows.append(reading(run, say("plain"), run.logits))
            if "test_logits_mirror" in run.arrays:
                rows.append(reading(run, say("mirror"), run.arrays["test_logits_mirror"]))
    columns = ["experiment", "profile", "seed", "reading", "accuracy", "95 % interval", "images right", "weights"]
    return pd.DataFrame(rows, columns=columns)


def reading(run: Run, how: Text, logits: np.ndarray) -> tuple:
    """A row of the table of other readings."""
    correct = int((logits.argmax(1) == run.labels).sum())
    told = (share(correct / run.total), between(wilson_interval(correct, run.total)), of(correct, run.total))
    return run.experiment, run.profile, str(run.seed), how, *told, slides.origin(run)


def all_runs(records: Records) -> None:
    """Every run on these images."""
    if not records.runs:
        return shown(say("page.nothing"))
    table = results.summary(list(records.runs.values()))
    table = pd.DataFrame(
        {
            "experiment": table["experiment"],
            "profile": table["profile"],
            "seed": table["seed"].astype(str),
            "status": table["status"],
            "judged on": table["evaluated_on"],
            "accuracy": [share(value) for value in table["accuracy"].astype(float)],
            "epochs": table["epochs"].astype(str),
            "seconds": [f"{value:,.0f}" for value in table["seconds"]],
            "device": table["device"],
            "precision": table["precision"],
            "date": table["date"].str[:10],
            "weights": [slides.origin(run) for run in records.runs.values()],
        }
    )
    shown(say("runs.how", count=len(table)), Table(table, "wide"))


def bench() -> None:
    """Training speed beside the usual loop's, where it has been measured."""
    for path in sorted((settings.project_dir() / "report").glob("bench*.json")):
        measured = json.loads(path.read_text(encoding="utf-8"))
        machine, table = measured["machine"], bench_table(measured)
        values = {"device": machine["name"], "repeats": measured["repeats"], "date": measured["date"][:10]}
        told: list[str] = [say("bench.how", **values)]
        if "decoding_seconds" in measured:
            told.append(bench_checks(measured))
        ratios = {name: row["ratio"] for name, row in zip(table["model"], measured["models"], strict=True)}
        figure = plots.bars(ratios, "images per second, times the usual loop's")
        shown(Paragraph(told), figure, Table(table, "wide"))


def bench_table(measured: dict) -> pd.DataFrame:
    """One row per model: images per second of both sides, their ratio, peak memory, fraction of the machine's rate."""
    rows = [
        (
            catalogue.TITLES.get(row["model"], row["model"].replace("resnet", "ResNet")),
            f"{row['images_per_second']['usual']:,.0f}",
            f"{row['images_per_second']['ours']:,.0f}",
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
        careful = [f"{row['images_per_second']['careful']:,.0f}" for row in measured["models"]]
        table.insert(2, "careful: images/s", careful)
        table.insert(5, "ratio to careful", [f"{row['careful_ratio']:.2f}" for row in measured["models"]])
    return table


def bench_checks(measured: dict) -> Text:
    """What makes a benchmark fair: the loss after the same steps, and what decoding takes, which is done once."""
    spread = max(max(row["losses"].values()) - min(row["losses"].values()) for row in measured["models"])
    return say("bench.checks", steps=measured["same_steps"], spread=spread, seconds=measured["decoding_seconds"])
