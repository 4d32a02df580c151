"""The predictions of all runs as one table, for courses on statistics: one row for each run and image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scene_utils import averaging, catalogue, experiments, results
from scene_utils.data import Split
from scene_utils.results import Run
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

COLUMNS = ("image", "set", "label", "predicted", "model", "seed")  # and p_<class>: README.md says what they are


def table(profile: str | None = None) -> pd.DataFrame:
    """Return the predictions of all finished runs of a profile on the present images, as ``of_set`` does.

    Runs that only serve to choose have predictions on the hold-out alone.

    Raises:
        SceneError: where no run belongs to the present images.
    """
    profile = settings.profile(profile)
    key, found = experiments.sets(profile)[2].key, []
    for run in results.records(profile):
        if run.status != "finished" or run.dataset["key"] != key:
            continue
        if run.experiment not in catalogue.EXPERIMENTS:
            settings.say_once(f"{run.name}: left out, its experiment or design is not there any more")
            continue
        found.append(of_set(run, "holdout", experiments.sets_of(catalogue.get(run.experiment), profile)[1]))
        if run.evaluated_on == "test":
            found.append(of_set(run, "test", experiments.tested(run)))
    if not found:
        raise SceneError(f"no finished run of profile {profile} on these images; run: make report PROFILE={profile}")
    return pd.concat(found, ignore_index=True)


def of_set(run: Run, name: str, split: Split) -> pd.DataFrame:
    """Return a run's predictions on one set: ``COLUMNS``, and the probability of each class.

    Of a class that the model does not know there is none, nor where a run keeps the predicted classes alone.

    Raises:
        SceneError: where the run's labels are not those of the set.
    """
    labels, classes = run.arrays[f"{name}_labels"], np.array(run.classes)
    if not np.array_equal(labels, split.labels.numpy()):
        raise SceneError(f"{run.name}: its {name} labels are those of other images; RETRAIN=1 trains it again")
    unknown = np.full((len(labels), len(classes)), np.nan)
    probabilities = averaging.average_probabilities([run.arrays.get(f"{name}_logits", unknown)]).round(5)
    values = (split.names, name, classes[labels], classes[run.answers(name)], run.experiment, run.seed)
    frame = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    return frame.join(pd.DataFrame(probabilities, columns=[f"p_{each}" for each in run.classes]))


def path(profile: str | None = None) -> Path:
    """File of the table in the runs folder."""
    return settings.runs_dir() / f"predictions.{settings.profile(profile)}.csv.gz"


def write(profile: str | None = None) -> pd.DataFrame:
    """Write the table as compressed CSV (``pandas.read_csv`` reads it as it is), and return it."""
    rows = table(profile)
    settings.atomic_write(path(profile), lambda file: rows.to_csv(file, index=False, compression="gzip"))
    return rows
