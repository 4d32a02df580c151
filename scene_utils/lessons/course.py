"""What every notebook does the same way: start, show source, lay results beside the report's."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from scene_utils import cases, catalogue, data, evaluation, experiments, plots, pretraining, results
from scene_utils.lessons import labels, sketches
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import intervals, progress, report_facts, settings
from scene_utils.text import Text, join, say, sentences

CLAIMS = {  # pairs of ours about a claim of the report, and the case that decides it
    ("lenet", "custom_lenet"): "custom_lenet",
    ("resnet18", "resnet18_mixup"): "mixup",
    ("transfer-scratch", "transfer-alone"): "transfer",
}


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
    images = "the embedded sample" if profile == "sample" else "the real dataset"
    images = f"own images in {own.name}" if own else images
    progress.line(f"The outputs of this page come from profile {profile}, seed {seed}, {images}.")
    return profile


def source(*objects: object) -> Markdown:
    """Show the source of classes or functions from the one place where they are defined."""
    texts = [textwrap.dedent(inspect.getsource(each)) for each in objects]
    return Markdown("```python\n" + "\n\n".join(texts) + "```")


def reported(run: Run) -> dict | None:
    """Return the report's ``accuracy`` and ``per_class`` for this experiment; None for other images or models."""
    name = {"transfer-alone": "resnet18_transfer"}.get(run.experiment, run.experiment.removesuffix("-reported"))
    known = results.facts()["results"].get(name)
    return known if experiments.report_images(run) else None


def reported_run(run: Run) -> Run | None:
    """Return the same model under the report's own conditions, where that has run."""
    name = f"{run.experiment}-reported"
    return results.find(name, "full", run.seed) or results.find(name, run.profile, run.seed)


def per_class_figure(run: Run) -> Figure:
    """Draw the recalls with their intervals beside the report's."""
    table, theirs = evaluation.per_class(run.labels, run.logits, run.classes), reported(run)
    return plots.per_class_bars(table, None if theirs is None else theirs["per_class"])


def verdict(run: Run) -> str:
    """Say how accurate a run is and, where the report has a figure, whether our interval contains it."""
    theirs = reported(run)
    beside = "" if theirs is None else against(run, theirs["accuracy"])
    return join([sentences.accuracy(run.title, run.correct, run.total), beside])


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
    table = labels.contradicted(run).head(n)
    if table.empty:
        return Markdown(f"*{run.title} makes no mistake on these {run.total:,} images.*")
    titles = labelled(table["label"], table["answer"], table["probability"].map("{:.0%}".format))
    alt = f"The most confident mistakes of {run.title}: {'; '.join(titles)}.".replace("\npredicted", ", predicted")
    return plots.image_grid(experiments.tested(run).images[table["index"].tolist()], titles, columns=6, alt=alt)


def labelled(truth: Iterable[str], predicted: Iterable[str], *notes: Iterable[str]) -> list[str]:
    """Return titles of images: label, predicted class, and a line for each of ``notes``."""
    return ["\n".join([f"label: {label}", f"predicted: {answer}", *more])
            for label, answer, *more in zip(truth, predicted, *notes, strict=True)]  # fmt: skip


def structure(name: str) -> pd.DataFrame:
    """Return the report's layer table of a network: columns #, type, input, specification."""
    return pd.read_csv(results.FACTS.with_name(f"{name}.csv"), keep_default_na=False)


@progress.part()
def repeat(name: str, profile: str, seed: int = 0, weights: str | None = None) -> list[Run]:
    """Return the runs of an experiment: three seeds in the profile ``full``, else one."""
    seeds = range(seed, seed + 3) if settings.profile(profile) == "full" else [seed]
    runs = []
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
    """Return one row a run: parameters (as text), training time, device, and accuracy with its 95 % interval."""
    table = results.run_table(runs, parameters="parameters", seconds="seconds", device="device", correct="correct",
                              of="total", accuracy="accuracy", low="low", high="high")  # fmt: skip
    table["parameters"] = table["parameters"].map("{:,}".format)
    return table.round({"seconds": 1}).set_axis([run.title for run in runs])


def occlusion(run: Run) -> Figure:
    """Show test images and, below, where a grey square takes most from the answer (``explain.occlusion``)."""
    positions, classes = run.arrays["occlusion_images"].tolist(), np.array(run.classes)
    titles = labelled(classes[run.labels[positions]], classes[run.logits[positions].argmax(1)])
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


def guessed(what: str, guess: object, value: object) -> Text:
    """Put a reader's guess beside what came out."""
    value = settings.escaped(str(value))
    return say("guessed.none" if guess is None else "guessed", what=what, value=value, guess=str(guess))


def conditions(recipe: Recipe) -> Text:
    """Say in one line how a recipe trains: the conditions of a model, as the report calls them."""
    augmented = {"none": "", "flip": "flip"}.get(recipe.augmentation, "crop")
    parts = {
        "epochs": True, "batches": True, "optimizer": True, "rate": True, "mixup": recipe.mixup,
        "smoothing": recipe.label_smoothing, augmented: augmented, "cutmix": recipe.augmentation.endswith("cutmix"),
        "enlarged": recipe.input_size > data.SIDE, "distilled": recipe.distillation, "images": recipe.images,
    }  # fmt: skip
    told = [say(f"recipe.{part}", **recipe.fields()) for part, there in parts.items() if there]
    return say("recipe", parts=join(told, "; "))


def sweep(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row a run: learning_rate, loss of the last epoch, hold-out accuracy, diverged_step (NaN: finished)."""
    table = pd.DataFrame([run.record["history"][-1] for run in runs]).reindex(columns=["loss", "holdout_accuracy"])
    table.insert(0, "learning_rate", [run.recipe["learning_rate"] for run in runs])
    table["diverged_step"] = [run.diverged_step for run in runs]
    table["loss"] = table["loss"].where(table["diverged_step"].isna())
    return table.astype(float)


def gap(run: Run) -> tuple[float, tuple[float, float]]:
    """Return training minus hold-out accuracy in the last epoch, and its 95 % interval."""
    last, counts = run.record["history"][-1], run.dataset["counts"]
    seen = min(counts["train"], run.recipe["images"] or counts["train"])
    shares = (last["accuracy"], seen), (last["holdout_accuracy"], counts["holdout"])
    interval = intervals.newcombe_interval(*(n for share, total in shares for n in (round(share * total), total)))
    return last["accuracy"] - last["holdout_accuracy"], interval


def describe_curves(run: Run) -> list[Text]:
    """Describe a run's curves: where loss and accuracy end, whether the best epoch was the last, the gap.

    With Mixup the gap is left out: the training accuracy is counted on mixtures.
    """
    table, told = run.history, []
    if len(table) > 1:
        first, last = table.iloc[0], table.iloc[-1]
        best = table.loc[table["holdout_accuracy"].idxmax()]
        held = {"holdout_last": last["holdout_loss"], "holdout_first": first["holdout_loss"]}
        told.append(say("curves.loss", name=run.title, last=last["loss"], first=first["loss"], **held))
        accuracies = {"best": best["holdout_accuracy"], "last": last["holdout_accuracy"]}
        told.append(say("curves.best", epoch=int(best["epoch"]), **accuracies))
    if not run.recipe.get("mixup"):
        points, (low, high) = gap(run)
        form = say(f"gap.{intervals.verdict((low, high))}")
        told.append(say("gap", name=run.title, points=points, low=low, high=high, form=form))
    return told


def claim(first: Run, second: Run) -> str:
    """Say whether a pair points in the direction of the report's claim; empty where it is about none."""
    case = CLAIMS.get((first.experiment, second.experiment))
    if case is None or not experiments.report_images(second):
        return ""
    comparison = evaluation.compare(first.logits, second.logits, first.labels)
    return sentences.claim(cases.design(case)["reported"], comparison)


def pair_under_report(first: Run, second: Run) -> Text | str:
    """Say what a pair becomes under the report's own conditions; empty where these have not run, or on other images."""
    both = [reported_run(run) for run in (first, second)]
    if None in both or not experiments.report_images(second):
        return ""
    comparison = evaluation.compare(both[0].logits, both[1].logits, both[0].labels)
    form = say(f"difference.{comparison.verdict}", second=second.title)
    values = vars(comparison) | {"correct": both[0].correct, "other": both[1].correct}
    return say("under.pair", first=first.title, second=second.title, points=comparison.difference, form=form, **values)


# --- choices, changes and weights


def by_significance(best: Run, runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Which of the other runs are less accurate than ``best``, and which show no significant difference from it."""
    others = [run for run in runs if run is not best]
    lower = [r for r in others if evaluation.compare(best.logits, r.logits, best.labels).verdict == "lower"]
    return lower, [run for run in others if run not in lower]


def choice(runs: Mapping[str, Run], used: str = "") -> Text:
    """Say which run the hold-out prefers, and which of the others show no significant difference from it.

    Args:
        used: the name of the one that goes on, to be told where it stands.
    """
    finished = {name: run for name, run in runs.items() if run.status == "finished"}
    best = max(finished, key=lambda name: finished[name].correct)
    lower, same = by_significance(finished[best], list(finished.values()))
    apart, alike = ([name for name, run in finished.items() if run in group] for group in (lower, same))
    leaders = [name for name, run in finished.items() if run.correct == finished[best].correct]
    lines = [say("chosen", names=leaders, total=finished[best].total, correct=finished[best].correct)]
    lines.append(say("chosen.lower", names=apart) if apart else say("chosen.open"))
    if apart:
        lines.append(say("chosen.same", names=alike) if alike else say("chosen.clear"))
    if used:
        form = "best" if used == best else "lower" if used in apart else "same"
        lines.append(say("chosen.used", used=used, form=say(f"chosen.used.{form}")))
    return join(lines)


def reported_changes(first: Run, second: Run) -> list[int] | None:
    """Return the net images per class that the report's second model gains; None on other data than the report's."""
    if not experiments.is_report_data(second) or None in (reported(first), reported(second)):
        return None
    before, after = (report_facts.counts(results.facts(), run.experiment) for run in (first, second))
    return np.subtract(after, before).tolist()


def calibration(first: Run, second: Run) -> str:
    """Say whether the second run's confidence lies nearer to its accuracy than the first's."""
    errors = tuple(evaluation.calibration_error(run.logits, run.labels) for run in (first, second))
    interval = evaluation.compare_calibration(first.logits, second.logits, first.labels)
    return sentences.calibration(errors, interval, first.title, second.title)


def beside(run: Run, other: str) -> Text:
    """Say what changes from another experiment's run to this one where that has run, else how to run it."""
    found = results.find(other, run.profile, run.seed)
    if found is None or found.dataset["key"] != run.dataset["key"]:
        command = f"python -m scene_utils train {other} --profile {run.profile}"
        return say("beside.none", other=catalogue.get(other).title, command=command)
    return difference(found, run)


def caption(*runs: Run) -> Markdown:
    """Write below a figure from which weights each of its runs started, and how long it trained."""
    each = [say("caption.run", name=run.title, epochs=run.epochs, weights=say("caption.weights", weights=source)
                if (source := run.pretrained_source) else say("scratch")) for run in runs]  # fmt: skip
    told = say("caption", runs=join(each, "; "), profile=runs[0].profile, seed=runs[0].seed)
    return Markdown(f"<small>{told}</small>")


def pretrained_source(run: Run) -> Text:
    """Say which pretrained weights a run starts from, and what the stand-in is not."""
    standin = run.weights_choice == pretraining.ROTATION
    return say("source.standin") if standin else say("source", weights=run.weights)


def reached(history: pd.DataFrame, goal: float) -> tuple[int, float] | None:
    """Return the first epoch with that hold-out accuracy and the seconds until its end; None if there is none."""
    there = history["holdout_accuracy"] >= goal
    if not there.any():
        return None
    row = int(there.to_numpy().argmax())
    return int(history["epoch"].iloc[row]), float(history["seconds"].iloc[: row + 1].sum())


def time_to_accuracy(first: Run, second: Run) -> list[Text]:
    """Say when the second run has the hold-out accuracy that the first ends with, and the reverse."""
    lines = []
    for slow, fast in ((first, second), (second, first)):
        goal = float(slow.history["holdout_accuracy"].iloc[-1])
        values = {"slow": slow.title, "fast": fast.title, "goal": goal, "epochs": slow.epochs}
        if (place := reached(fast.history, goal)) is None:
            lines.append(say("worth.never", others=fast.epochs, **values))
        elif results.same_processor(slow, fast):
            ratio = slow.seconds / place[1]
            times = say("worth.faster", ratio=ratio) if ratio >= 1 else say("worth.slower", ratio=1 / ratio)
            values |= {"seconds": slow.seconds, "there": place[1], "times": times}
            lines.append(say("worth.seconds", at=place[0], **values))
        else:
            lines.append(say("worth.epochs", at=place[0], **values))
    return lines


def runs_with(runs: Mapping[str, Run], array: str) -> dict[str, Run]:
    """Return the runs that were recorded with an array; say of the others how to have it."""
    kept = {name: run for name, run in runs.items() if array in run.arrays}
    for name in runs.keys() - kept.keys():
        print(f"{' '.join(name.split())}: recorded without this; RETRAIN=1 trains it again and keeps it")
    return kept


def mixup_interpolation(runs: Mapping[str, Run]) -> Figure | Markdown:
    """Show what nets say of mixtures of two test images (``explain.mixup_interpolation``), where they kept that."""
    kept = runs_with(runs, "between")
    probabilities = {name: run.arrays["between"] for name, run in kept.items()}
    return sketches.mixup_interpolation(probabilities) if kept else Markdown("")


def first_filters(runs: Mapping[str, Run], n: int = 12) -> Figure | Markdown:
    """Show the ``n`` largest filters of each run's first layer, where their runs have kept them."""
    rows = {}
    for name, run in runs_with(runs, "first_filters").items():
        filters = run.arrays["first_filters"]
        rows[name] = filters[(-(filters**2).sum((1, 2, 3))).argsort(kind="stable")[:n]]
    return plots.filter_rows(rows) if rows else Markdown("")


def class_activation_maps(runs: Mapping[str, Run], nth: int = 1) -> Figure | Markdown:
    """Show each net's class activation maps for the true class, on the ``nth`` test image of each class.

    A run that was recorded without its maps is left out, with a line that says how to have them.
    """
    kept = runs_with(runs, "cam")
    if not kept:
        return Markdown("")
    first = next(iter(kept.values()))
    classes, positions = first.classes, first.arrays["cam_images"]
    truth = pd.Series(first.labels[positions])
    shown = np.flatnonzero(truth.groupby(truth).cumcount() == nth - 1)
    if not len(shown):
        return Markdown("")
    places = positions[shown].tolist()
    answers = {name: [f"predicted: {classes[answer]}" for answer in run.logits[places].argmax(1)]
               for name, run in kept.items()}  # fmt: skip
    titles = [classes[label] for label in truth[shown]]
    maps = {name: run.arrays["cam"][shown] for name, run in kept.items()}
    return sketches.heatmaps(experiments.tested(first).images[places], maps, titles, answers)


def depth_name(run: Run) -> str:
    """Return a member's name without what all members share: ``ResNet50``."""
    return run.title.split(" + ")[0]


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row a run: parameters, seconds of training, milliseconds an image, accuracy and its 95 % interval."""
    table = results.run_table(runs, parameters="parameters", seconds="seconds", inference_ms="inference_ms",
                              accuracy="accuracy", low="low", high="high")  # fmt: skip
    return table.set_axis([run.title for run in runs])


def contradictions(run: Run, n: int = 18) -> Figure | Markdown:
    """Show the test images whose label a run contradicts most confidently, each with the rater's verdict."""
    table = labels.contradicted(run).head(n)
    if table.empty:
        return Markdown(f"*{run.title} contradicts no label.*")
    titles = labelled(table["label"], table["answer"], table["verdict"].map(labels.VERDICTS).fillna("not judged"))
    images = experiments.tested(run).images[table["index"].tolist()]
    return plots.image_grid(images, titles, columns=6, alt=f"The labels that {run.title} contradicts most confidently.")


def doubtful(profile: str, table: pd.DataFrame, n: int = 12) -> Figure | Markdown:
    """Show the training images whose labels are doubted most (``labels.issues``)."""
    if table.empty:
        return Markdown("*No label is doubted.*")
    train, _ = labels.everything(profile)
    worst = table.head(n)
    titles = labelled(worst["label"], worst["likely"])
    images = labels.pictures(train, worst["image"].tolist())
    return plots.image_grid(images, titles, columns=6, alt="The most doubtful training labels.")


def ceiling(run: Run) -> str:
    """Say what share of a run's mistakes on the test set are labels that the rater contradicts too."""
    table = labels.contradicted(run)
    verdicts = table["verdict"].dropna()
    agree = int(verdicts.isin(("answer", "neither")).sum())
    both = int((verdicts == "both").sum())
    return sentences.ceiling(run.title, len(table), len(verdicts), agree, both)


def limits(run: Run) -> str:
    """Say what keeps a run below the report's figure; empty where it is not, or the images are others."""
    theirs = reported(run) if experiments.is_report_data(run) else None
    if theirs is None or run.accuracy >= theirs["accuracy"]:
        return ""
    return sentences.limits(run, theirs["accuracy"], labels.contradicted(run)["verdict"])


def goal(run: Run) -> str:
    """Say whether the report's goal is reached, by the interval; empty for other classes than the report's."""
    if not experiments.report_images(run):
        return ""
    return sentences.target(run.title, run.correct, run.total, results.facts()["target_accuracy"])
