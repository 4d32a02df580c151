"""What belongs to no single lesson: models and claims side by side, what no model gets, which model to choose.

Everything is made from the records of runs on the images of a profile; nothing is trained here.
"""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property

import pandas as pd
from IPython.display import Markdown

from scene_utils import catalogue, data, evaluation, experiments, plots, predictions, results
from scene_utils.lessons import choosing, course, ensembles, slides, verdicts
from scene_utils.lessons.slides import accuracy_cell, between, of, reached, share
from scene_utils.results import Run
from scene_utils.support import intervals, ledger, progress, report_facts, settings
from scene_utils.support.intervals import wilson_interval
from scene_utils.support.settings import SceneError
from scene_utils.text import Text, join, number, say, sentences
from scene_utils.text.shown import Paragraph, Table, shown

SEVEN = tuple(results.facts()["results"])
SENSITIVITY = ("lenet", "resnet18", "resnet18_mixup", "resnet18_transfer")
ALONE = "transfer-alone"  # ResNet18 + transferred as the report has it, without what ours adds
CONFUSED = ("resnet18", "resnet18_mixup", "resnet18_transfer", "ensemble")
SMALL = Paragraph([say("seven")], "small")  # print of what is made from the seven models: it stands in the summary


class Records:
    """The records of one profile and seed.

    Attributes:
        sets: (train, hold-out, dataset) of the profile; None where the public dataset cannot be fetched.
        compared: whether the images are the report's, so that its figures belong beside ours.

    Raises:
        SceneError: for an unknown profile or ``SCENE_*`` variable, a seed that is no number, images of one's own that
            cannot be used.
    """

    def __init__(self, profile: str, seed: int = 0) -> None:
        self.profile, self.seed = settings.profile(profile), settings.seed(seed)
        self.facts = results.facts()
        try:
            with progress.silent():
                self.sets = experiments.sets(self.profile)
        except SceneError:
            if settings.data_dir() or self.profile == "sample":
                raise
            self.sets = None
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

    def done(self, *names: str) -> list[Run]:
        """The finished runs of this profile and seed among ``names``."""
        found = (self.runs.get((name, self.profile, self.seed)) for name in names)
        return [run for run in found if run is not None and run.status == "finished"]

    def under_conditions(self, name: str) -> Run | None:
        """The run of a model under the conditions that the report states for its final one."""
        return self.runs.get((f"{name}-reported", "full", 0))


# --- opening and summary


def opening(records: Records) -> None:
    """What the report is, how to read it, which edition this is."""
    known = {"models": len(SEVEN), "slides": 21, "classes": len(records.classes)}
    reading = [say("reading", total=records.total)]
    if records.compared:
        sealed = len(data.SEALED_FILES.read_text(encoding="utf-8").split())
        reading += [say("reading.again"), say("reading.sealed", images=sealed)]
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
    notes, figure = [], None
    if records.compared:
        title = catalogue.get("resnet18_transfer").title
        alone = [say("summary.alone", name=title, accuracy=run.accuracy) for run in records.done(ALONE)]
        notes = [say("summary.dash"), *alone]
        ours = {run.experiment: (run.correct, run.total) for run in runs}
        titles = {name: catalogue.get(name).title for name in SEVEN}
        figure = plots.ladder(plots.ladder_tables(ours, records.facts), titles)
    elif runs:
        figure = plots.bars({run.title: run.accuracy for run in runs}, "accuracy", percent=True)
    under = filter(None, [records.under_conditions("ensemble")])
    shown(told, table, Paragraph(notes), figure, runs=[*runs, *records.done(ALONE), *under])


def summary_table(records: Records) -> pd.DataFrame:
    """The seven models: the report's accuracy, ours with its interval, the difference, what our recipe adds."""
    rows = []
    for name in SEVEN:
        row: dict[str, str] = {"model": catalogue.get(name).title}
        run, theirs = next(iter(records.done(name)), None), records.facts["results"][name]["accuracy"]
        if records.compared:
            row["report"] = share(theirs)
        row["ours" if records.compared else "accuracy"] = share(run.accuracy) if run else ""
        row["95 % interval"] = between((run.low, run.high)) if run else ""
        if records.compared:
            row["± images"] = number(run.correct - round(theirs * run.total), "+,") if run else ""
        if records.compared or not run:
            row["against the report"] = say(f"against.{against(records, name)}")
        if records.compared:  # the report states conditions for its final model only
            row["adds to what the report names"] = sentences.added(run) if run else ""
            under = accuracy_cell(records.under_conditions(name)) if name == "ensemble" else "–"
            row["under the report's conditions"] = under
        rows.append(row)
    return pd.DataFrame(rows)


def against(records: Records, name: str) -> str:
    """``higher``, ``lower``, ``same`` against the report's accuracy, which is a sample's too, or ``missing``."""
    if not records.compared or not (found := records.done(name)):
        return "missing"
    theirs = records.facts["results"][name]["accuracy"]
    return intervals.verdict(sentences.beside_report(found[0].correct, found[0].total, theirs))


def summary_sentences(records: Records) -> list[Text]:
    """The goal, the seven models, the claims, the report's own conditions (for own images: the best model)."""
    runs = records.done(*SEVEN)
    if not records.compared:
        if not runs:
            return [say("choice.none")]
        best = max(runs, key=lambda run: run.accuracy)
        same = [run.title for run in course.by_significance(best, runs)[1]] or say("none")
        return [say("summary.own", all=len(runs), best=best.title, accuracy=best.accuracy, same=same)]
    final, goal = records.done("ensemble"), records.facts["target_accuracy"]
    told = [sentences.target(run.title, run.correct, run.total, goal) for run in final] or [say("summary.final")]
    forms = [against(records, name) for name in SEVEN]
    counts = {form: forms.count(form) for form in ("higher", "lower", "same", "missing")}
    told.append(say("summary.count", all=len(forms), **counts))
    words = [verdicts.verdict(name).word for name in (*verdicts.PRIMARY, *verdicts.DESCRIBED)]
    counts = {word: words.count(word) for word in ("holds", "fails", "open", "missing")}
    ours, theirs = (say(f"case.{verdicts.verdict(case).word}") for case in ("goal", "goal-reported"))
    goals = say("summary.goal", goal=goal, ours=ours, theirs=theirs)  # the first one counts among the claims
    told.append(join([say("summary.claims", all=len(words), **counts), goals]))
    return [*told, own_conditions(records)]


def own_conditions(records: Records) -> Text:
    """What the final model reaches under the report's own conditions, or the command that runs them."""
    run, theirs = records.under_conditions("ensemble"), records.facts["results"]["ensemble"]["accuracy"]
    if run is None:
        return ensembles.not_run()
    low, high = sentences.beside_report(run.correct, run.total, theirs)
    values = {"accuracy": run.accuracy, "points": run.accuracy - theirs, "reported": theirs, "low": low, "high": high}
    return say("summary.under", **values)


# --- what no model gets, what remains confused


def wall(records: Records) -> None:
    """Test images by models, and pictures of those that none gets."""
    runs = records.done(*SEVEN)
    if len(runs) < 2:
        return shown(say("wall.few"))
    labels = runs[0].labels
    right = {run.title: run.logits.argmax(1) == labels for run in runs}
    solved = sum(right.values())  # models that have each image right
    pictures, titles = None, ()
    if records.sets is not None:
        pictures = records.sets[2].test.images
        titles = [records.classes[label] for label in labels]
    counts = {"none": int((solved == 0).sum()), "all": int((solved == len(runs)).sum())}
    told = say("wall", total=len(labels), models=len(runs), **counts)
    shown(Paragraph([told], "wide"), plots.wall(right, pictures, titles), SMALL, runs=runs)


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
    shown(Paragraph([told], "wide"), plots.confused(table), SMALL, runs=runs)


# --- how sure the models are


def predictions_of(records: Records, *names: str) -> pd.DataFrame:
    """The rows of the table of predictions (``make predictions``) for models of this page, on the test set."""
    runs = records.done(*names) if records.sets is not None else []
    for name in sorted({*names} - {run.experiment for run in runs}):
        progress.line(f"no predictions of {name}: not run yet, or its images are not at hand")
    columns = [*predictions.COLUMNS, *(f"p_{name}" for name in records.classes)]
    parts = [predictions.of_set(run, "test", experiments.tested(run)) for run in runs]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def sureness(table: pd.DataFrame) -> Markdown:
    """In how many rows more, or fewer, predictions are correct than their probabilities say, by ``z``."""
    return Markdown(say("sure", rows=len(table), more=int((table["z"] > 2).sum()), fewer=int((table["z"] < -2).sum())))


# --- the report's claims


def claims(records: Records) -> None:
    """All cases with their verdicts; then how far the report's own figures go."""
    if not records.compared:
        return shown(say("claims.own"))
    found = claims_table(records)
    weak = found["claim"][~found["firm"]].tolist()
    told = say("claims.weak", names=join(weak, "; ")) if weak else say("claims.firm")
    shown(say("claims.cases"), verdicts.table((*verdicts.PRIMARY, *verdicts.DESCRIBED, "goal-reported")))
    shown(say("claims.ours"), verdicts.table(verdicts.OURS), verdicts.commands())
    shown(say("claims.how"), Table(found.drop(columns="firm"), "text"), told)


def claims_table(records: Records) -> pd.DataFrame:
    """One row per figure of the report: columns claim, report, 95 % interval, firm (whether it bears the claim out)."""
    facts, total, rows = records.facts, sum(records.facts["dataset"]["val_counts"]), []
    for each in facts["reported_differences"]:
        pair, difference = (each["from"], each["to"]), each["difference"]
        first, second = (catalogue.get(name).title for name in pair)
        claim = say("claim.higher" if difference > 0 else "claim.lower", first=first, second=second)
        before, after = (report_facts.total(facts, name) for name in pair)
        own = intervals.newcombe_interval(after, total, before, total)
        firm = report_facts.claim_verdict(difference, own) == "confirmed"
        rows.append((claim, number(difference, "+.4f"), between(own, "+.4f"), firm))
    goal, final = facts["target_accuracy"], facts["results"]["ensemble"]["accuracy"]
    own = wilson_interval(report_facts.total(facts, "ensemble"), total)
    rows.append((say("claim.goal", goal=goal), share(final), between(own), own[0] > goal))
    return pd.DataFrame(rows, columns=["claim", "report", "95 % interval", "firm"])


# --- which model to choose, and beyond the report


def choice(records: Records) -> None:
    """Which model to choose, among all that have run with this profile and seed."""
    choosing.show(choosing.every(records.profile, records.seed, records.key), [*SEVEN, *catalogue.BEYOND])


def beyond(records: Records) -> None:
    """The small student, everything together, what models cost, and the labels that the best contradicts."""
    runs = records.done(*catalogue.BEYOND)
    if not runs:
        return shown(say("page.nothing"))
    every = [*runs, *records.done("different")]
    top, best = (max(each, key=lambda run: run.holdout_accuracy) for each in (every, runs))
    told = [say("beyond"), say("beyond.best", best=top.title, holdout=top.holdout_accuracy, accuracy=top.accuracy)]
    shown(Paragraph(told), reached(every, ("parameters", "weights")), runs=every)
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
        for name, run in records.runs.items():
            if run.experiment.removesuffix("-reported") != base or run.status != "finished":
                continue
            headline = base in SEVEN and name == (base, records.profile, records.seed)
            for how, array in (("plain", "test_logits"), ("mirror", "test_logits_mirror")):
                if array in run.arrays and not (headline and how == "plain"):
                    correct = int((run.arrays[array].argmax(1) == run.labels).sum())
                    told = share(correct / run.total), between(wilson_interval(correct, run.total))
                    rows.append((run.experiment, run.profile, str(run.seed), say(how), *told, of(correct, run.total),
                                 slides.origin(run)))  # fmt: skip
    columns = ["experiment", "profile", "seed", "reading", "accuracy", "95 % interval", "correct", "weights"]
    return pd.DataFrame(rows, columns=columns)


def sensitivity(records: Records) -> None:
    """Models for which the report states no conditions, trained under those that it states for its final model."""
    if not records.compared:
        return shown(say("claims.own"))
    found = {name: records.under_conditions(name) for name in SENSITIVITY}
    table = pd.DataFrame([sensitivity_row(records, name, run) for name, run in found.items()])
    waiting = [f"{name}-reported" for name, run in found.items() if run is None]
    command = f"```\npython -m scene_utils train {' '.join(waiting)} --profile full\n```"
    rest = Paragraph([say("not_run"), command], "blocks") if waiting else None
    there = {name: run for name, run in found.items() if run is not None}
    reading = dataclasses.asdict(catalogue.REPORTED_MIXUP)
    told = [say("sensitivity.how"), say("sensitivity.stated", **reading), say("sensitivity.assumed", **reading)]
    runs = [*there.values(), *records.done(*SENSITIVITY, ALONE)]
    shown(Paragraph(told), Table(table), Paragraph(sensitivity_sentences(records, there)), rest, runs=runs)


def sensitivity_row(records: Records, name: str, run: Run | None) -> dict[str, str]:
    """A model: the report's accuracy, ours (like for like, and taught), and under the report's conditions."""
    ours = records.done(name)
    told = accuracy_cell(*ours) if ours else say("missing")
    if name == "resnet18_transfer" and ours and (alone := records.done(ALONE)):
        told = say("sensitivity.taught", alone=alone[0].accuracy, taught=ours[0].accuracy)
    return {
        "model": catalogue.get(name).title,
        "report": share(records.facts["results"][name]["accuracy"]),
        "ours": told,
        "under the report's conditions": accuracy_cell(run),
        "95 % interval": between((run.low, run.high)) if run else "",
        "correct": of(run.correct, run.total) if run else "",
    }


def sensitivity_sentences(records: Records, runs: dict[str, Run]) -> list[Text]:
    """How far the models are from the report under its conditions, and what Mixup changes there."""
    points = [run.accuracy - records.facts["results"][name]["accuracy"] for name, run in runs.items()]
    below = sum(each < 0 for each in points)
    told = []
    if points and below == len(points):
        told.append(say("sensitivity.below", low=-max(points), high=-min(points), all=len(points)))
    elif points:
        told.append(say("sensitivity.some", below=below, all=len(points), low=min(points), high=max(points)))
    if {"resnet18", "resnet18_mixup"} <= runs.keys():
        plain, mixed = runs["resnet18"], runs["resnet18_mixup"]
        compared = evaluation.compare(plain.logits, mixed.logits, plain.labels)
        reported = records.facts["results"]
        theirs = reported["resnet18_mixup"]["accuracy"] - reported["resnet18"]["accuracy"]
        form = say("sensitivity.other" if compared.difference * theirs < 0 else "sensitivity.same")
        told.append(say("sensitivity.mixup", plain=plain.correct, mixed=mixed.correct, points=compared.difference,
                        low=compared.low, high=compared.high, reported=theirs, form=form))  # fmt: skip
    return told


def readings_log() -> None:
    """The ledger: every reading of the test sets, those for a case counted together."""
    table = ledger.readings()
    cased = table["why"].str.startswith("the case ")
    told = [say("ledger.how", readings=len(table), models=table.loc[~cased, "experiment"].nunique())]
    optimism = verdicts.optimism()
    told += [] if optimism is None else [say("ledger.optimism", points=optimism)]
    alone = table[~cased]
    counts = [of(*each) for each in zip(alone["correct"], alone["total"], strict=True)]
    frame = alone[["date", "experiment", "set", "reading"]].assign(date=alone["date"].str[:10], correct=counts)
    frame = frame.rename(columns={"date": "run of"})
    groups = [(group["date"].str[:10].max(), say(f"case.claim.{why.split()[2]}"), of_set,
               say("ledger.count", readings=len(group)), "")
              for (why, of_set), group in table[cased].groupby(["why", "set"])]  # fmt: skip
    every = pd.concat([frame, pd.DataFrame(groups, columns=frame.columns)], ignore_index=True)
    shown(Paragraph(told), Table(every.sort_values("run of", kind="stable"), "text wide fold"))


def all_runs(records: Records) -> None:
    """Every run on these images but those of the cases, which are counted."""
    if not records.runs:
        return shown(say("page.nothing"))
    own = [run for run in records.runs.values() if not run.experiment.startswith("case-")]
    columns = "experiment", "profile", "seed", "status", "judged on", "accuracy", "epochs", "seconds", "device"
    table = slides.formatted_runs(own, *columns, "precision", "date", "weights")
    shown(say("runs.how", count=len(own), cases=len(records.runs) - len(own)), Table(table, "wide fold"))


def bench() -> None:
    """Training speed beside the usual loop's, where it has been measured."""
    for path in sorted((settings.project_dir() / "report").glob("bench*.json")):
        measured = json.loads(path.read_text(encoding="utf-8"))
        machine, table = measured["machine"], bench_table(measured)
        values = {"device": machine["name"], "repeats": measured["repeats"], "date": measured["date"][:10]}
        told: list[str] = [say("bench.how", **values)]
        if "decoding_seconds" in measured:  # what makes a benchmark fair: the loss after the same steps, decoding once
            spread = max(max(row["losses"].values()) - min(row["losses"].values()) for row in measured["models"])
            checked = {"steps": measured["same_steps"], "seconds": measured["decoding_seconds"]}
            told.append(say("bench.checks", spread=spread, **checked))
        ratios = {name: row["ratio"] for name, row in zip(table["model"], measured["models"], strict=True)}
        figure = plots.bars(ratios, "images per second, times the usual loop's")
        shown(Paragraph(told), figure, Table(table, "wide"))


def bench_table(measured: dict) -> pd.DataFrame:
    """One row per model: images per second of both sides, their ratio, peak memory, fraction of the machine's rate."""
    rows, careful = [], all("careful_ratio" in row for row in measured["models"])
    for row in measured["models"]:
        speed, peak = row["images_per_second"], row["peak_gb"]
        name = catalogue.TITLES.get(row["model"], row["model"].replace("resnet", "ResNet"))
        rows.append({
            "model": name,
            "usual: images/s": f"{speed['usual']:,.0f}",
            **({"careful: images/s": f"{speed['careful']:,.0f}"} if careful else {}),
            "ours: images/s": f"{speed['ours']:,.0f}",
            "ratio": f"{row['ratio']:.2f}",
            **({"ratio to careful": f"{row['careful_ratio']:.2f}"} if careful else {}),
            "peak GB": f"{peak['usual']:.1f} / {peak['ours']:.1f}",
            "first batch, s": f"{row['first_batch_seconds']:.1f}",
            "of the matrix rate": f"{row['share_of_matrix_rate']:.0%}",
            "time in arithmetic": f"{row['shares_of_time']['arithmetic']:.0%}",
            "its share of the rate": f"{row['share_of_matrix_rate_in_arithmetic']:.0%}",
        })  # fmt: skip
    return pd.DataFrame(rows)
