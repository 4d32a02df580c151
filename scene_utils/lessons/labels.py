"""Labels that deserve a second look: doubtful ones in ``train``, and a rater's verdicts on the test set's.

The table ``label-issues.<profile>.s<seed>.csv`` lies beside the run records, is published with them and found again.
The verdicts, one a test image, are data of the repository (``facts/verdicts.csv``), to be checked and redone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from scene_utils import catalogue, data, evaluation, experiments, pretraining, results, training
from scene_utils.data import Split
from scene_utils.lessons.trials import kept
from scene_utils.results import Run
from scene_utils.support import intervals, progress, settings

FOLDS = 5
VERDICTS = {
    "label": "the label is right",
    "answer": "the prediction is right",
    "both": "both fit the picture",
    "neither": "neither fits",
}
TEXT = ("image", "label", "likely")  # columns of the table that are words


# --- the training set


def issues(profile: str | None = None, seed: int = 0, weights: str | None = None) -> pd.DataFrame:
    """Return the images of ``train`` whose label cross-validated predictions doubt, the most doubtful first.

    The features are those of a ResNet50 that has seen none of our labels, the predictions a logistic regression's on
    folds that it was not fitted to; cleanlab (Northcutt et al., 2021: confident learning) tells which labels to doubt.

    Returns:
        Columns image, label, likely (class), label_probability, likely_probability.
    """
    profile, seed = settings.profile(profile), settings.seed(seed)
    experiment = catalogue.get("resnet50_final")
    choice = pretraining.pretrained_source(experiment, profile, seed, weights)
    train, dataset = everything(profile)
    key = results.run_key(data=dataset.key, weights=choice, folds=FOLDS, seed=seed, images=len(train))
    return kept(f"label-issues.{profile}.s{seed}.csv", key, lambda: find_issues(train, profile, choice, seed), TEXT)


def find_issues(train: Split, profile: str, choice: str | None, seed: int) -> pd.DataFrame:
    """Make the table of ``issues``; ``choice`` is the source of pretrained weights."""
    from cleanlab.filter import find_label_issues  # slow to import, and only needed here

    labels = train.labels.numpy()
    probabilities = cross_validated(features(train, profile, choice), labels, seed)
    doubtful = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    likely = probabilities[doubtful].argmax(1)
    return pd.DataFrame({
        "image": [train.names[i] for i in doubtful],
        "label": [train.classes[labels[i]] for i in doubtful],
        "likely": [train.classes[i] for i in likely],
        "label_probability": probabilities[doubtful, labels[doubtful]].round(4),
        "likely_probability": probabilities[doubtful, likely].round(4),
    })  # fmt: skip


def everything(profile: str) -> tuple[Split, data.Dataset]:
    """Return the training images together with the hold-out's, without those that also stand in the test set."""
    _, _, dataset = experiments.sets(profile)
    return data.without_duplicates(dataset.train, dataset.test), dataset


def features(split: Split, profile: str, choice: str | None) -> np.ndarray:
    """Return what a pretrained ResNet50 makes of the images, before any training on ours: float32 (N, 2048)."""
    experiment = catalogue.get("resnet50_final")
    model, source = pretraining.build(experiment, choice, len(split.classes))
    progress.line(f"features of {len(split):,} images, weights {source}")
    model.fc = nn.Identity()
    return training.predict(model, split, experiment.recipe(profile)).numpy()


def cross_validated(values: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return each image's class probabilities from a logistic regression fitted to the other folds, (N, classes)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    smallest = int(np.bincount(labels)[np.unique(labels)].min())  # each fold needs an image of each class
    folds = StratifiedKFold(max(2, min(FOLDS, smallest)), shuffle=True, random_state=seed)
    return cross_val_predict(model, values, labels, cv=folds, method="predict_proba")


# --- the test set


def verdicts() -> pd.DataFrame:
    """Return the automated rater's verdicts: columns image, label, answer (classes), verdict (one of ``VERDICTS``)."""
    return pd.read_csv(results.FACTS.with_name("verdicts.csv"))


def contradicted(run: Run) -> pd.DataFrame:
    """Return a run's mistakes on the test set, the most confident first, with the verdict where there is one.

    Columns: index (of the test image), image, label, answer, probability, verdict (NaN: not judged).
    """
    names = experiments.tested(run).names
    table = evaluation.most_confident_errors(run.logits, run.labels, run.total)
    table["image"] = [names[i] for i in table["index"]]
    table["answer"] = [run.classes[i] for i in table.pop("prediction")]
    table["label"] = [run.classes[i] for i in table["label"]]
    judged = verdicts().set_index(["image", "answer"])["verdict"]
    if run.dataset["commit"] != data.COMMIT:  # another image may have the same name
        judged = judged.head(0)
    table["verdict"] = judged.reindex(pd.MultiIndex.from_frame(table[["image", "answer"]])).to_numpy()
    return table[["index", "image", "label", "answer", "probability", "verdict"]]


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """Count verdicts: one row a verdict with images, share of those judged, and its 95 % interval."""
    judged = table["verdict"].dropna()
    rows = {}
    for verdict, meaning in VERDICTS.items():
        images = int((judged == verdict).sum())
        rows[meaning] = (images, images / max(len(judged), 1), *intervals.wilson_interval(images, max(len(judged), 1)))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["images", "share", "low", "high"])


def ceilings(run: Run) -> pd.DataFrame:
    """Return for each class what a model without a mistake of its own could reach, under two assumptions.

    Upper end: every label is right, so such a model gets all. Lower end: the rater is right, so it contradicts each
    label that the rater rejects. Mistakes that nobody has judged count as the model's own.

    Returns:
        Columns class, images, contradicted, judged, rejected, at least, at most.
    """
    table = contradicted(run).assign(rejected=lambda each: each["verdict"].isin(("answer", "neither")))
    columns = {"contradicted": ("index", "count"), "judged": ("verdict", "count"), "rejected": ("rejected", "sum")}
    found = table.groupby("label").agg(**columns).reindex(pd.Index(run.classes, name="class"), fill_value=0)
    found.insert(0, "images", np.bincount(run.labels, minlength=len(run.classes)))
    lowest = 1 - found["rejected"] / found["images"].clip(lower=1)
    return found.assign(**{"at least": lowest, "at most": 1.0}).reset_index()


def pictures(split: Split, names: list[str]) -> torch.Tensor:
    """Return the images of these names: uint8 (N, 3, 64, 64)."""
    place = {name: i for i, name in enumerate(split.names)}
    return split.images[[place[name] for name in names]]
