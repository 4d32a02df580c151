"""The ensemble's page: its members one by one and together, and the report's conditions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from scene_utils import averaging, catalogue, evaluation, experiments, plots, results
from scene_utils.lessons import sketches, verdicts
from scene_utils.lessons.course import depth_name, reported, reported_run
from scene_utils.lessons.slides import accuracy_cell, interval_figure, reached, share
from scene_utils.recipe import Recipe, learning_rates, literal_rates
from scene_utils.results import Run
from scene_utils.support import intervals, ledger
from scene_utils.text import Text, join, render, say, sentences
from scene_utils.text.shown import Paragraph, Table, shown

CONDITIONS = ("epochs", "learning_rate", "optimizer", "schedule", "milestones", "gamma", "mixup", "batch_size")
CONDITIONS += ("momentum", "weight_decay", "augmentation", "input_size", "label_smoothing")


def schedule_formula(recipe: Recipe) -> Markdown:
    """Write a multistep schedule as a formula: the factor of each stage, and the rate it multiplies in two readings."""
    stages = []
    for passed, (start, end) in enumerate(itertools.pairwise([None, *recipe.milestones, None])):
        after = "" if start is None else f"{start} < "
        when = f"t > {start}" if end is None else rf"{after}t \le {end}"
        stages.append(f"{recipe.gamma**passed:g} & {when}")
    factor = r"f(t) = \begin{cases} " + r" \\ ".join(stages) + r" \end{cases}"
    return Markdown(
        f"$$\\eta_t = \\eta_0 \\cdot f(t) \\quad\\text{{(MultiStepLR)}} \\qquad\\text{{or}}\\qquad "
        f"\\eta_t = \\eta_{{t-1}} \\cdot f(t) \\quad\\text{{(as written)}}$$\n\n"
        f"$$\\eta_0 = {recipe.learning_rate:g}, \\qquad {factor}$$"
    )


def schedule_table(recipe: Recipe) -> pd.DataFrame:
    """Return one row a stage: its epochs, its factor, and the rate at its end in both readings."""
    rates, written = learning_rates(recipe), literal_rates(recipe)
    stages = itertools.pairwise([0, *recipe.milestones, recipe.epochs])
    rows = [(f"{start + 1} to {end}", recipe.gamma**passed, rates[end - 1], written[end - 1])
            for passed, (start, end) in enumerate(stages)]  # fmt: skip
    return pd.DataFrame(rows, columns=["epochs", "factor", "MultiStepLR", "as written"])


def combinations(members: Sequence[Run]) -> pd.DataFrame:
    """Return the accuracy of every combination of these members: alone, in pairs, together, by vote, by chosen weights.

    Columns way, correct, total, accuracy, low, high, on the test set; weights are chosen on the hold-out. What is read
    of the test set here for the first time is entered in the ledger.
    """
    labels, logits, mean = members[0].labels, [run.logits for run in members], "all, probabilities averaged"
    alone = {depth_name(run): run.logits for run in members}
    answers = alone | {" + ".join(names): averaging.average_probabilities([alone[name] for name in names])
                       for size in range(2, len(members)) for names in itertools.combinations(alone, size)}  # fmt: skip
    weights = holdout_weights(members)
    answers[mean] = averaging.average_probabilities(logits)
    answers["all, majority of votes"] = np.eye(len(members[0].classes))[averaging.hard_vote(logits)]
    answers[f"all, weights {' : '.join(f'{w:g}' for w in weights)}"] = weighted(members, weights)
    rows = []
    for way, each in answers.items():  # members and mean are in the ledger since they were trained
        right = each.argmax(1) == labels if way in (*alone, mean) else ledger.hand_out(
            members[0].record, each, labels, "val", way.replace(",", ""), "a page combines members"
        )
        rows.append({"way": way, **intervals.counted(int(right.sum()), len(labels))})
    return pd.DataFrame(rows)


def holdout_weights(members: Sequence[Run]) -> tuple[float, ...]:
    """Return one weight a member, those with which the average fits the hold-out best."""
    logits = [run.arrays["holdout_logits"] for run in members]
    return averaging.choose_weights(logits, members[0].arrays["holdout_labels"])


def weighted(members: Sequence[Run], weights: Sequence[float]) -> np.ndarray:
    """Return the weighted mean of the members' probabilities on the test set."""
    return averaging.average_probabilities([run.logits for run in members], weights)


def best_member(members: Sequence[Run]) -> int:
    """Return the position of the member with the highest hold-out accuracy: nothing is chosen on the test set."""
    return max(range(len(members)), key=lambda i: members[i].holdout_accuracy)


def disputed(members: Sequence[Run]) -> int:
    """Return the position of the test image on which the members, not of one mind, lie furthest apart."""
    chances = np.stack([averaging.average_probabilities([run.logits]) for run in members])
    answers = chances.argmax(axis=2)
    differ = (answers != answers[0]).any(axis=0)
    return int((chances.std(axis=0).sum(axis=1) * (0.01 + differ)).argmax())


def opinions(members: Sequence[Run], position: int) -> Figure:
    """Draw what each member, and their mean, say about one test image."""
    rows = {depth_name(run): averaging.average_probabilities([run.logits[[position]]])[0] for run in members}
    rows["mean"] = np.mean(list(rows.values()), axis=0)
    truth = members[0].classes[members[0].labels[position]]
    table = pd.DataFrame(rows, index=members[0].classes)
    return sketches.member_probabilities(experiments.tested(members[0]).images[position], table, f"label: {truth}")


def votes(members: Sequence[Run], positions: Sequence[int], n: int = 6) -> Figure | Markdown:
    """Show up to ``n`` of these test images, one class after the other, each with its truth and every answer."""
    if not len(positions):
        return Markdown("*no image*")
    classes, truth = members[0].classes, pd.Series(members[0].labels[positions], index=positions)
    turn = truth.groupby(truth).cumcount()  # the first of every class, then the second
    shown = [int(position) for position in turn.sort_values(kind="stable").index[:n]]
    titles = []
    for position in shown:
        answers = [classes[run.logits[position].argmax()] for run in members]
        titles.append("\n".join([f"label: {classes[members[0].labels[position]]}", *answers]))
    return plots.image_grid(experiments.tested(members[0]).images[shown], titles, columns=6)


def grown(members: Sequence[Run]) -> list[str]:
    """Say how far each member that was grown from the first has come to disagree with it."""
    first = members[0]
    others = [run for run in members[1:] if "grown" in (run.weights or "")]
    if not others:
        return ["None of this page's members was grown: each started from weights of its own."]
    answers = first.logits.argmax(1)
    return [
        sentences.grown(answers, run.logits.argmax(1), run.labels, depth_name(first), depth_name(run))
        for run in others
    ]


def not_run(name: str = "ensemble-reported") -> Text:
    """The sentence that the report's own conditions have not been run, with the command."""
    return say("under.not_run", command=f"python -m scene_utils train {name} --profile full")


def under_report(run: Run) -> Text:
    """What the same model reaches under the report's own conditions, or the command that runs it."""
    other = reported_run(run)
    if other is None:
        return not_run(f"{run.experiment}-reported")
    told, theirs = [sentences.accuracy(run.title, other.correct, other.total)], reported(other)
    if theirs is not None:
        told.append(sentences.against_report(run.title, other.correct, other.total, theirs["accuracy"]))
    return say("under", told=join(told))


def final_model(members: Sequence[Run], together: Run) -> None:
    """17: the members of the ensemble, each alone and together."""
    logits = [run.logits for run in members]
    analysis = averaging.analyse_ensemble(logits, together.logits, together.labels, best_member(members))
    told = sentences.ensemble(analysis, [run.title for run in members])
    table = reached([*members, together], ("parameters", "training seconds", "weights"))
    others = [reported_run(run) for run in (*members, together)]
    beside = [evaluation.compare(run.logits, together.logits, together.labels) for run in members]
    table.frame["the ensemble corrects / breaks"] = [f"{each.fixes} / {each.breaks}" for each in beside] + [""]
    if experiments.report_images(together):
        table.frame["under the report's conditions"] = [accuracy_cell(run) for run in others]
    told = Paragraph([told, verdicts.said("ensemble")])
    runs = [*members, together, *filter(None, others)]
    shown(say("final"), interval_figure([*members, together]), table, told, runs=runs)


def conditions(members: Sequence[Run], together: Run) -> None:
    """18: the conditions of the final model, and the schedule in both readings."""
    theirs, compared = catalogue.get(catalogue.REPORTED_MEMBERS[0]).recipe("full"), experiments.report_images(together)
    table = conditions_table(theirs, [Recipe(**run.recipe) for run in members])
    under = reported_run(together) if compared else None
    if compared:
        table.loc["accuracy"] = ["accuracy", share(reported(together)["accuracy"]), share(together.accuracy)]
        table.loc["under"] = ["accuracy under the report's conditions", "", accuracy_cell(under)]
    table = Table(table if compared else table.drop(columns="report"), "text")
    shown(say("conditions"), table, runs=[*members, together, *filter(None, [under])])
    if compared:
        stages = schedule_table(theirs)
        stages["epochs"] = stages["epochs"].str.replace(" to ", " … ")
        stages[stages.columns[1:]] = stages[stages.columns[1:]].map("{:.3g}".format)
        rates = {"MultiStepLR": learning_rates(theirs), "as written": literal_rates(theirs)}
        shown(say("formula"), Table(stages, "text"), plots.schedule(rates))


def conditions_table(theirs: Recipe, ours: Sequence[Recipe]) -> pd.DataFrame:
    """One row per condition: the report's reading (what it leaves open is assumed), and our members'."""
    rows = []
    for name in CONDITIONS:
        reported, *own = (render(getattr(recipe, name), "en") for recipe in (theirs, *ours))
        if name in catalogue.ASSUMED or name in ("input_size", "label_smoothing"):
            reported = say("assumed", value=reported)
        if name in ("milestones", "gamma"):
            own = [value if recipe.schedule == "multistep" else "–" for recipe, value in zip(ours, own, strict=True)]
        rows.append((name.replace("_", " "), reported, " / ".join(dict.fromkeys(own))))
    return pd.DataFrame(rows, columns=["condition", "report", "ours"])


def final_curve(members: Sequence[Run], together: Run) -> None:
    """19: hold-out accuracy of the members and of the ensemble, epoch by epoch."""
    drawn = {depth_name(run): run for run in members} | {together.title: together}
    if (other := reported_run(together)) is not None:
        drawn[other.title] = other
    lines = {name: run.history["holdout_accuracy"].tolist() for name, run in drawn.items()}
    goal = results.facts()["target_accuracy"]
    level = (f"{goal:.0%}", goal) if experiments.report_images(together) else None
    best = members[best_member(members)]
    logits = [run.arrays["holdout_logits"] for run in (best, together)]
    comparison = evaluation.compare(*logits, best.arrays["holdout_labels"])
    told = [say("holdout"), sentences.difference(comparison, best.title, together.title)]
    figure = plots.lines(lines, percent=True, level=level)
    axis = figure.axes[0]  # 4 epochs beside 50
    axis.set_xscale("log")
    plots.plain_log(axis.xaxis)
    shown(figure, Paragraph(told, "wide"), runs=list(drawn.values()))
