"""What every notebook does the same way: start, show source, lay results beside the report's, check an answer."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from scene_utils import data, evaluation, experiments, plots, pretraining, results
from scene_utils.lessons import labels, sketches
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import intervals, progress, settings
from scene_utils.text import join, number, sentences


def start(profile: str | None = None, seed: int = 0) -> str:
    """Check the environment, set the figures' style, say under which profile and seed this page runs.

    Returns:
        The profile: the argument, else ``SCENE_PROFILE``, else ``sample``.

    Raises:
        SceneError: for an unknown profile or ``SCENE_*`` variable, or a seed that is no number.
    """
    settings.check_environment()
    seed = settings.seed(seed)
    plots.use_style()
    pd.set_option("display.max_colwidth", None)
    profile = settings.profile(profile)
    own = settings.data_dir()
    progress.line(f"profile {profile}, seed {seed}" + (f", own images in {own.name}" if own else ""))
    return profile


def source(*objects: object) -> Markdown:
    """Show the source of classes or functions from the one place where they are defined."""
    texts = [textwrap.dedent(inspect.getsource(each)) for each in objects]
    return Markdown("```python\n" + "\n\n".join(texts) + "```")


def reported(run: Run) -> dict | None:
    """Return the report's ``accuracy`` and ``per_class`` for this experiment; None for other images or models."""
    known = results.facts()["results"].get(run.experiment.removesuffix("-reported"))
    return known if experiments.report_images(run) else None


def per_class(run: Run) -> pd.DataFrame:
    """Return one row a class: correct, total, recall with its 95 % interval and, where known, the report's."""
    table = evaluation.per_class(run.labels, run.logits.argmax(1), run.classes)
    theirs = reported(run)
    return table if theirs is None else table.assign(report=theirs["per_class"])


def per_class_figure(run: Run) -> Figure:
    """Draw the recalls with their intervals beside the report's."""
    theirs = reported(run)
    return plots.per_class_bars(per_class(run), None if theirs is None else theirs["per_class"])


def verdict(run: Run) -> str:
    """Say how accurate a run is and, where the report has a figure, whether our interval contains it."""
    lines = [sentences.accuracy(run.title, run.correct, run.total)]
    theirs = reported(run)
    if theirs is not None:
        lines.append(against(run, theirs["accuracy"]))
    return join(lines)


def against(run: Run, reported: float) -> str:
    """Say whether a run's interval contains an accuracy that the report has; empty on other images than its."""
    if not experiments.report_images(run):
        return ""
    return sentences.against_report(run.title, run.correct, run.total, reported)


def difference(first: Run, second: Run) -> str:
    """Say in images, then in points, what changes from ``first`` to ``second`` on the same images."""
    comparison = evaluation.compare(first.logits, second.logits, first.labels)
    return sentences.difference(comparison, first.title, second.title)


def mistakes(run: Run, n: int = 12) -> Figure | Markdown:
    """Show the test images on which the model errs most confidently: label, prediction, probability."""
    errors = evaluation.most_confident_errors(run.logits, run.labels, n)
    if errors.empty:
        return Markdown(f"*{run.title} makes no mistake on these {run.total:,} images.*")
    titles = [
        f"label: {run.classes[row.label]}\npredicted: {run.classes[row.prediction]}\n{row.probability:.0%}"
        for row in errors.itertuples()
    ]
    images = experiments.tested(run).images[errors["index"].tolist()]
    return plots.image_grid(images, titles, columns=6, alt=f"The most confident mistakes of {run.title}.")


def check(answer: object, right: object, hint: str = "") -> None:
    """Tell a reader whether ``answer`` is right; numbers may be off by one part in a thousand."""
    if answer is None or answer is ...:
        print("not answered yet")
        return
    if isinstance(right, float):
        good = abs(float(answer) - right) <= 1e-3 * max(1.0, abs(right))
    else:
        good = answer == right
    print("right" if good else f"not yet: {hint or 'look again'}")


def structure(name: str) -> pd.DataFrame:
    """Return the report's layer table of a network: columns #, type, input, specification."""
    return pd.read_csv(results.FACTS.with_name(f"{name}.csv"), keep_default_na=False)


def repeat(name: str, profile: str, seed: int = 0, weights: str | None = None) -> list[Run]:
    """Return the runs of an experiment: three seeds in the profile ``full``, else one."""
    seeds = range(seed, seed + 3) if settings.profile(profile) == "full" else [seed]
    runs = []
    with progress.part():
        for each, share in progress.shared(seeds):
            with progress.part(share):
                runs.append(experiments.run(name, profile, each, weights=weights))
    return runs


def seeds(first: list[Run], second: list[Run]) -> list[str]:
    """Say how two recipes differ over several seeds; nothing where each has run with one only."""
    if min(len(first), len(second)) < 2:
        return []
    accuracies = [[run.accuracy for run in runs if run.status == "finished"] for runs in (first, second)]
    comparison = intervals.compare_seeds(*accuracies)
    return [sentences.seeds(comparison, first[0].title, second[0].title)]


def variants(runs: list[Run]) -> pd.DataFrame:
    """Return one row a run: weights, training time, device, and accuracy with its 95 % interval."""
    table = results.run_table(runs, weights="parameters", seconds="seconds", device="device", correct="correct",
                              of="total", accuracy="accuracy", low="low", high="high")  # fmt: skip
    return table.round({"seconds": 1}).set_axis([run.title for run in runs])


def occlusion(run: Run) -> Figure:
    """Show test images and, below, where a grey square takes most from the answer (``explain.occlusion``)."""
    positions = run.arrays["occlusion_images"].tolist()
    answers = run.logits[positions].argmax(1)
    titles = [
        f"label: {run.classes[truth]}\npredicted: {run.classes[answer]}"
        for truth, answer in zip(run.labels[positions], answers, strict=True)
    ]
    maps = {"occlusion": run.arrays["occlusion"]}
    return sketches.heatmaps(experiments.tested(run).images[positions], maps, titles)


def first_maps(run: Run) -> Figure:
    """Show one test image, and what the strongest filters of the first layer make of it."""
    image = experiments.tested(run).images[int(run.arrays["first_image"][0])].float().mean(0)
    maps = run.arrays["first_maps"]
    titles = ["image", *(f"filter {number}" for number in range(1, len(maps) + 1))]
    return plots.feature_maps([image.numpy(), *maps.astype("float32")], titles, columns=6)


def bullets(*lines: str) -> Markdown:
    """Show sentences as a list; empty ones are left out."""
    return Markdown("\n".join(f"- {line}" for line in lines if line))


def aloud(*lines: str) -> Markdown:
    """Show sentences as one would say them, one after the other."""
    return Markdown("> " + " ".join(lines))


def guessed(what: str, guess: object, value: object) -> str:
    """Put a reader's guess beside what came out."""
    told = f"{what}: {settings.escaped(str(value))}"
    return told + (" (no guess made)" if guess is None else f"; you guessed {guess}")


def conditions(recipe: Recipe) -> str:
    """Say in one line how a recipe trains: the conditions of a model, as the report calls them."""
    parts = [
        f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)}",
        f"batches of {recipe.batch_size}",
        f"{recipe.optimizer} with momentum {recipe.momentum:g} and weight decay {recipe.weight_decay:g}",
        f"learning rate {recipe.learning_rate:g} ({recipe.schedule})",
        f"Mixup of strength {recipe.mixup:g}" if recipe.mixup else "",
        f"label smoothing {recipe.label_smoothing:g}" if recipe.label_smoothing else "",
        {"none": "", "flip": "random mirroring"}.get(recipe.augmentation, "random mirroring and shifts"),
        "CutMix in half of the batches" if recipe.augmentation.endswith("cutmix") else "",
        f"images enlarged to {recipe.input_size} pixels" if recipe.input_size > data.SIDE else "",
        f"a teacher's answers for {recipe.distillation:.0%} of the loss, at temperature {recipe.temperature:g}"
        if recipe.distillation
        else "",
        f"at most {recipe.images:,} images" if recipe.images else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def run_all(names: Sequence[str], profile: str, seed: int = 0) -> list[Run]:
    """Return the runs of several experiments, as ``experiments.run`` does: one bar for all, one line for each."""
    return experiments.run_all(names, profile, seed)


def sweep(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row a run: learning_rate, loss of the last epoch, hold-out accuracy, diverged_step (NaN: finished)."""
    rows = [
        {
            "learning_rate": run.recipe["learning_rate"],
            "loss": run.record["history"][-1].get("loss") if run.status == "finished" else None,
            "holdout_accuracy": run.record["history"][-1].get("holdout_accuracy"),
            "diverged_step": run.diverged_step,
        }
        for run in runs
    ]
    return pd.DataFrame(rows).astype(float)


def gap(run: Run) -> tuple[float, tuple[float, float]]:
    """Return training minus hold-out accuracy in the last epoch, and its 95 % interval."""
    last, counts = run.record["history"][-1], run.dataset["counts"]
    seen = min(counts["train"], run.recipe["images"] or counts["train"])
    shares = (last["accuracy"], seen), (last["holdout_accuracy"], counts["holdout"])
    interval = intervals.newcombe_interval(*(n for share, total in shares for n in (round(share * total), total)))
    return last["accuracy"] - last["holdout_accuracy"], interval


def reading(run: Run) -> list[str]:
    """Read a run's curves aloud: where loss and accuracy end, whether the best epoch was the last, the gap."""
    table = run.history
    first, last = table.iloc[0], table.iloc[-1]
    best = table.loc[table["holdout_accuracy"].idxmax()]
    difference, interval = gap(run)
    meaning = {
        "higher": "it begins to know its training images by heart",
        "lower": "the training images, changed at random and counted while the weights still move, are harder",
        "same": "not to be told apart, so nothing shows that it learns by heart",
    }[intervals.verdict(interval)]
    low, high = (number(end, "pp") for end in interval)
    lines = [
        f"In the last epoch {run.title}'s loss is {last['loss']:.3f} on the training images (first"
        f" epoch: {first['loss']:.3f}), {last['holdout_loss']:.3f} on the hold-out ({first['holdout_loss']:.3f}).",
        f"Its highest hold-out accuracy, {best['holdout_accuracy']:.1%}, is that of epoch {best['epoch']:.0f}; the last"
        f" epoch has {last['holdout_accuracy']:.1%}. The last is kept, so that no lucky epoch is picked.",
        f"{run.title}'s accuracy on its training images less that on the hold-out is {number(difference, '+pp')}"
        f" points in the end (95 % interval {low} to {high}): {meaning}.",
    ]
    return lines if len(table) > 1 else lines[-1:]


def claim(first: Run, second: Run) -> str:
    """Say whether a difference that the report states survives on our images; empty where it states none."""
    stated = {
        (each["from"], each["to"]): each["difference"] for each in results.facts()["reported_differences"]
    }
    theirs = stated.get((first.experiment, second.experiment))
    if theirs is None or reported(first) is None:
        return ""
    comparison = evaluation.compare(first.logits, second.logits, first.labels)
    return sentences.claim(theirs, comparison, first.title, second.title)


# --- choices, changes and weights


def choice(runs: Mapping[str, Run], used: str = "") -> str:
    """Say which run the hold-out prefers, and from which of the others it is not to be told apart.

    Args:
        used: the name of the one that goes on, to be told where it stands.
    """
    finished = {name: run for name, run in runs.items() if run.status == "finished"}
    best = max(finished, key=lambda name: finished[name].correct)
    ahead = finished[best]
    apart, alike = [], []
    for name, run in finished.items():
        if name != best:
            lower = evaluation.compare(ahead.logits, run.logits, ahead.labels).verdict == "lower"
            (apart if lower else alike).append(name)
    leaders = [name for name, run in finished.items() if run.correct == ahead.correct]
    named = " and ".join([*([", ".join(leaders[:-1])] if len(leaders) > 1 else []), leaders[-1]])
    have = f"{named} {'has' if len(leaders) == 1 else 'have'}"
    lines = [f"Of {ahead.total:,} hold-out images {have} most right, {ahead.correct:,}."]
    if not apart:
        lines.append("None of the others is to be told apart from it: the hold-out does not choose.")
    else:
        lines.append(f"Less accurate: {', '.join(apart)}.")
        lines.append(
            f"Not to be told apart from it: {', '.join(alike)}." if alike else "The hold-out chooses it."
        )
    if used:
        place = "the best here" if used == best else "not to be told apart from the best"
        place = "less accurate here than the best" if used in apart else place
        lines.append(f"What follows uses {used}: {place}.")
    return " ".join(lines)


def reported_changes(first: Run, second: Run) -> list[int] | None:
    """Return the net images per class that the report's second model gains; None on other data than the report's."""
    if not experiments.is_report_data(second) or reported(first) is None or reported(second) is None:
        return None
    return plots.report_changes(results.facts(), first.experiment, second.experiment)


def calibration(first: Run, second: Run) -> str:
    """Say whether the second run's confidence lies nearer to its accuracy than the first's."""
    errors = tuple(evaluation.calibration_error(run.logits, run.labels) for run in (first, second))
    interval = evaluation.compare_calibration(first.logits, second.logits, first.labels)
    return sentences.calibration(errors, interval, first.title, second.title)


def caption(*runs: Run) -> Markdown:
    """Write below a figure from which weights each of its runs started, and how long it trained."""
    parts = [
        f"{run.title}: {f'weights {run.weights}' if run.weights else 'from scratch'}, {run.epochs} epochs"
        for run in runs
    ]
    return Markdown(f"<small>{'; '.join(parts)}; profile {runs[0].profile}, seed {runs[0].seed}.</small>")


def pretrained_source(run: Run) -> str:
    """Say which pretrained weights a run starts from, and what the stand-in is not."""
    if run.weights_choice == pretraining.ROTATION:
        return (
            "**A stand-in.** In this profile nothing may be downloaded, so the weights come from a few seconds of"
            " another task: telling by how many quarter turns the sample's own images were rotated ([Gidaris et al.,"
            " 2018](https://arxiv.org/abs/1803.07728)). The code is the same, the eyes are not: this page shows the"
            " way, the profiles short and full what it is worth."
        )
    return f"The weights of this page: {run.weights}."


def reached(history: pd.DataFrame, goal: float) -> tuple[int, float] | None:
    """Return the first epoch with that hold-out accuracy and the seconds until its end; None if there is none."""
    there = history["holdout_accuracy"] >= goal
    if not there.any():
        return None
    row = int(there.to_numpy().argmax())
    return int(history["epoch"].iloc[row]), float(history["seconds"].iloc[: row + 1].sum())


def worth(first: Run, second: Run) -> list[str]:
    """Say when the second run has the hold-out accuracy that the first ends with, and the reverse."""
    lines = []
    for slow, fast in ((first, second), (second, first)):
        goal = float(slow.history["holdout_accuracy"].iloc[-1])
        start = f"{slow.title} ends with a hold-out accuracy of {goal:.1%}, after {slow.epochs} epochs"
        place = reached(fast.history, goal)
        if place is None:
            lines.append(f"{start}; {fast.title} never has it in its {fast.epochs} epochs.")
        elif not results.same_processor(slow, fast):
            lines.append(f"{start}; {fast.title} has it after epoch {place[0]}.")
        else:
            lines.append(
                f"{start} and {slow.seconds:,.0f} s; {fast.title} has it after epoch {place[0]}, at"
                f" {place[1]:,.0f} s: {_times(slow.seconds / place[1])}."
            )
    return lines


def _times(ratio: float) -> str:
    """A ratio of training times in words."""
    return f"{ratio:.1f} times as fast" if ratio >= 1 else f"{1 / ratio:.1f} times as slow"


def having(runs: Mapping[str, Run], array: str) -> dict[str, Run]:
    """Return the runs that were recorded with an array; say of the others how to have it."""
    kept = {name: run for name, run in runs.items() if array in run.arrays}
    for name in runs.keys() - kept.keys():
        print(f"{' '.join(name.split())}: recorded without this; RETRAIN=1 trains it again and keeps it")
    return kept


def walk(runs: Mapping[str, Run]) -> Figure | Markdown:
    """Show what nets say of mixtures of two test images (``explain.mixup_interpolation``), where they kept that."""
    kept = having(runs, "between")
    probabilities = {name: run.arrays["between"] for name, run in kept.items()}
    return sketches.mixup_interpolation(probabilities) if kept else Markdown("")


def first_filters(runs: Mapping[str, Run], n: int = 12) -> Figure | Markdown:
    """Show the ``n`` largest filters of each run's first layer, where their runs have kept them."""
    rows = {}
    for name, run in having(runs, "first_filters").items():
        filters = run.arrays["first_filters"]
        rows[name] = filters[(-(filters**2).sum((1, 2, 3))).argsort(kind="stable")[:n]]
    return plots.filter_rows(rows) if rows else Markdown("")


def looks(runs: Mapping[str, Run], nth: int = 1) -> Figure | Markdown:
    """Show where each net sees evidence for the true class, on the ``nth`` test image of each class.

    A run that was recorded without its maps is left out, with a line that says how to have them.
    """
    kept = having(runs, "cam")
    if not kept:
        return Markdown("")
    first = next(iter(kept.values()))
    classes, positions = first.classes, first.arrays["cam_images"]
    nths = pd.Series(first.labels[positions]).groupby(first.labels[positions]).cumcount()
    shown = np.flatnonzero(nths == nth - 1)
    if not len(shown):
        return Markdown("")
    places = positions[shown].tolist()
    answers = {
        name: [f"predicted: {classes[answer]}" for answer in run.logits[places].argmax(1)]
        for name, run in kept.items()
    }
    titles = [classes[label] for label in first.labels[places]]
    maps = {name: run.arrays["cam"][shown] for name, run in kept.items()}
    return sketches.heatmaps(experiments.tested(first).images[places], maps, titles, answers)


def depth_name(run: Run) -> str:
    """Return a member's name without what all members share: ``ResNet50``."""
    return run.title.split(" + ")[0]


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row a run: weights, seconds of training, milliseconds an image, accuracy and its 95 % interval."""
    table = results.run_table(runs, weights="parameters", seconds="seconds", inference_ms="inference_ms",
                              accuracy="accuracy", low="low", high="high")  # fmt: skip
    return table.set_axis([run.title for run in runs])


def contradictions(run: Run, n: int = 18) -> Figure | Markdown:
    """Show the test images whose label a run contradicts most confidently, each with the rater's verdict."""
    table = labels.contradicted(run).head(n)
    if table.empty:
        return Markdown(f"*{run.title} contradicts no label.*")
    titles = [
        f"label: {row.label}\npredicted: {row.answer}\n{labels.VERDICTS.get(row.verdict, 'not judged')}"
        for row in table.itertuples()
    ]
    images = experiments.tested(run).images[table["index"].tolist()]
    return plots.image_grid(images, titles, columns=6, alt=f"The labels that {run.title} contradicts most confidently.")


def doubtful(profile: str, table: pd.DataFrame, n: int = 12) -> Figure | Markdown:
    """Show the training images whose labels are doubted most (``labels.issues``)."""
    if table.empty:
        return Markdown("*No label is doubted.*")
    train, _ = labels.everything(profile)
    worst = table.head(n)
    titles = [f"label: {row.label}\npredicted: {row.likely}" for row in worst.itertuples()]
    return plots.image_grid(
        labels.pictures(train, worst["image"].tolist()), titles, columns=6, alt="The most doubtful training labels."
    )


def ceiling(run: Run) -> str:
    """Say what share of a run's mistakes on the test set are labels that the rater contradicts too."""
    table = labels.contradicted(run)
    verdicts = table["verdict"].dropna()
    agree = int(verdicts.isin(("answer", "neither")).sum())
    both = int((verdicts == "both").sum())
    return sentences.ceiling(run.title, len(table), len(verdicts), agree, both, run.total)


def limits(run: Run) -> str:
    """Say what keeps a run below the report's figure; empty where it is not, or the images are others."""
    theirs = reported(run) if experiments.is_report_data(run) else None
    if theirs is None or run.accuracy >= theirs["accuracy"]:
        return ""
    return sentences.limits(run, theirs["accuracy"], labels.contradicted(run)["verdict"])


def goal(run: Run) -> str:
    """Say whether the report's goal is reached, by the interval; empty for other classes than the report's."""
    wanted = results.facts()["target_accuracy"]
    if not experiments.report_images(run):
        return ""
    return sentences.target(run.title, run.correct, run.total, wanted)


