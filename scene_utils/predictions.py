"""The predictions of all runs as one table, for courses on statistics: one row for each run and image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scene_utils import averaging, catalogue, data, experiments, results
from scene_utils.data import Split
from scene_utils.results import Run
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

COLUMNS = {
    "image": "file name in the dataset, such as val/sea/12.png",
    "set": "test, or holdout: images that no run was trained on before it was judged",
    "label": "class of the image, by the dataset",
    "predicted": "class with the highest probability",
    "model": "name of the experiment, as in report/results/summary.csv",
    "seed": "seed of the run",
    "p_<class>": "probability of each class, rounded to 5 decimals; empty for a class that the model does not know,"
    " and where a run keeps the predicted classes alone",
}


def table(profile: str | None = None) -> pd.DataFrame:
    """Return the predictions of all finished runs of a profile on the present images: ``COLUMNS``.

    Runs that only serve to choose have predictions on the hold-out alone.

    Raises:
        SceneError: where no run belongs to the present images.
    """
    profile = settings.profile(profile)
    dataset = experiments.sets(profile)[2]
    runs = [run for run in results.records(profile) if run.status == "finished" and run.dataset["key"] == dataset.key]
    for run in runs:
        if run.experiment not in catalogue.EXPERIMENTS:
            settings.say_once(f"{run.name}: left out, its experiment or design is not there any more")
    runs = [run for run in runs if run.experiment in catalogue.EXPERIMENTS]
    if not runs:
        raise SceneError(f"no finished run of profile {profile} on these images; run: make report PROFILE={profile}")
    return pd.concat([part for run in runs for part in parts(run)], ignore_index=True)


def parts(run: Run) -> list[pd.DataFrame]:
    """Return a run's predictions on each set that it was judged on."""
    splits = {"holdout": holdout(run)}
    if run.evaluated_on == "test":
        splits["test"] = experiments.tested(run)
    return [of_set(run, name, split) for name, split in splits.items() if f"{name}_labels" in run.arrays]


def holdout(run: Run) -> Split:
    """Return the hold-out that judged a run."""
    experiment = catalogue.get(run.experiment)
    split = experiments.sets(run.profile, experiment.drop_test_duplicates)[1]
    return split if experiment.without is None else data.without_class(split, experiment.without)[0]


def of_set(run: Run, name: str, split: Split) -> pd.DataFrame:
    """Return a run's predictions on one set.

    Raises:
        SceneError: where the run's labels are not those of the set.
    """
    labels, classes = run.arrays[f"{name}_labels"], np.array(run.classes)
    if not np.array_equal(labels, split.labels.numpy()):
        raise SceneError(f"{run.name}: its {name} labels are those of other images; RETRAIN=1 trains it again")
    logits = run.arrays.get(f"{name}_logits")
    probabilities = np.full((len(labels), len(classes)), np.nan)  # of the cases' runs the predicted classes are kept
    if logits is not None:
        probabilities = averaging.average_probabilities([logits])
    frame = pd.DataFrame({"image": split.names, "set": name, "label": classes[labels]})
    frame["predicted"] = classes[run.answers(name)]
    frame["model"], frame["seed"] = run.experiment, run.seed
    return frame.join(pd.DataFrame(probabilities.round(5), columns=[f"p_{each}" for each in run.classes]))


def path(profile: str | None = None) -> Path:
    """File of the table in the runs folder."""
    return settings.runs_dir() / f"predictions.{settings.profile(profile)}.csv.gz"


def write(profile: str | None = None) -> pd.DataFrame:
    """Write the table as compressed CSV (``pandas.read_csv`` reads it as it is), and return it."""
    rows = table(profile)
    settings.atomic_write(path(profile), lambda file: rows.to_csv(file, index=False, compression="gzip"))
    return rows
