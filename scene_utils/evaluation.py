"""From logits to accuracies, intervals, paired tests and calibration.

Everywhere: logits are (N, C), predictions and labels (N,) integers, as NumPy arrays or tensors; results are
NumPy arrays, tables are pandas data frames. Intervals are pairs (low, high) at 95 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import softmax

from scene_utils.support.intervals import LEVEL, Comparison, Interval, compare_counts, wilson_interval
from scene_utils.support.settings import SceneError

EDGES = np.linspace(0, 1, 16)  # of the bins of confidence, each closed on the right


# --- one model


def predictions(logits: ArrayLike) -> np.ndarray:
    """Predicted classes (N,) of logits or probabilities (N, C); predictions (N,) come back as they are."""
    values = np.asarray(logits)
    return values.argmax(axis=1) if values.ndim == 2 else values


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Fraction of correct predictions; takes logits (N, C) or predictions (N,)."""
    return float((predictions(logits) == np.asarray(labels)).mean())


def confusion(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> np.ndarray:
    """Confusion matrix (C, C) of counts: rows are the true classes, columns the predicted ones.

    Args:
        predicted: predictions (N,) or logits (N, C).
        classes: the class names.
    """
    number = len(classes)
    cells = np.asarray(labels) * number + predictions(predicted)
    return np.bincount(cells, minlength=number**2).reshape(number, number)


def per_class(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Recall of each class with its Wilson interval: columns class, correct, total, recall, low, high.

    A class without images has NaN for its recall and interval.

    Args:
        predicted: predictions (N,) or logits (N, C).
        classes: the class names.
    """
    matrix = confusion(labels, predicted, classes)
    table = pd.DataFrame({"class": list(classes), "correct": matrix.diagonal(), "total": matrix.sum(axis=1)})
    table["recall"] = table["correct"] / table["total"]
    counts = zip(table["correct"], table["total"], strict=True)
    table[["low", "high"]] = [wilson_interval(c, t) if t else (np.nan, np.nan) for c, t in counts]
    return table


def confused_pairs(matrix: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Pairs of classes taken for one another, worst first: columns first, second, images, both ways.

    ``images`` counts both directions, ``first_as_second`` and ``second_as_first`` each one.
    """
    matrix = np.asarray(matrix)
    rows = [
        (classes[i], classes[j], int(matrix[i, j] + matrix[j, i]), int(matrix[i, j]), int(matrix[j, i]))
        for i, j in itertools.combinations(range(len(classes)), 2)
    ]
    columns = ["first", "second", "images", "first_as_second", "second_as_first"]
    return pd.DataFrame(rows, columns=columns).sort_values("images", ascending=False, kind="stable", ignore_index=True)


def confused_by(matrices: Mapping[str, ArrayLike], classes: Sequence[str], n: int = 6) -> pd.DataFrame:
    """The ``n`` pairs of classes most confused by the first model, and the images that each model confuses.

    Args:
        matrices: one confusion matrix a model, all on the same images.

    Returns:
        One row a pair (named ``first, second``), one column a model; both directions are counted.
    """
    counts = {}
    for name, matrix in matrices.items():
        table = confused_pairs(matrix, classes)
        counts[name] = table.set_index(table["first"] + ", " + table["second"])["images"]
    return pd.DataFrame(counts).sort_values(next(iter(counts)), ascending=False, kind="stable").head(n)


def most_confident_errors(logits: ArrayLike, labels: ArrayLike, n: int = 12) -> pd.DataFrame:
    """The wrong predictions with the highest probability: columns index, label, prediction, probability."""
    probabilities, labels = softmax(np.asarray(logits, dtype=float), axis=1), np.asarray(labels)
    columns = {"label": labels, "prediction": probabilities.argmax(axis=1), "probability": probabilities.max(axis=1)}
    table = pd.DataFrame(columns).rename_axis("index").query("prediction != label").reset_index()
    return table.sort_values("probability", ascending=False, kind="stable", ignore_index=True).head(n)


# --- calibration


def calibration_error(logits: ArrayLike, labels: ArrayLike) -> float:
    """Expected calibration error (Guo et al., 2017): mean gap of confidence and accuracy."""
    table = reliability(logits, labels)
    gaps = (table["confidence"] - table["accuracy"]).abs()
    return float((gaps * table["count"]).sum() / table["count"].sum())


def reliability(logits: ArrayLike, labels: ArrayLike) -> pd.DataFrame:
    """The bins of a reliability diagram: columns low, high, count, confidence, accuracy.

    Bins have equal width; an empty one has NaN for confidence and accuracy.
    """
    bins = _binned(logits, labels).groupby("bin", observed=False)
    table = bins.agg(count=("correct", "size"), confidence=("confidence", "mean"), accuracy=("correct", "mean"))
    table.insert(0, "low", EDGES[:-1])
    table.insert(1, "high", EDGES[1:])
    return table.reset_index(drop=True)


def compare_calibration(first: ArrayLike, second: ArrayLike, labels: ArrayLike) -> Interval:
    """Paired bootstrap interval of the second model's calibration error minus the first's.

    Args:
        first, second: logits (N, C) of the two models on the same images.
    """
    count, errors = len(labels), []
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=2000)
    for logits in (first, second):
        table = _binned(logits, labels)
        gaps = np.zeros((count, len(EDGES) - 1))
        gaps[np.arange(count), table["bin"].cat.codes] = table["confidence"] - table["correct"]
        errors.append(np.abs(drawn @ gaps).sum(axis=1) / count)
    low, high = np.quantile(errors[1] - errors[0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _binned(logits: ArrayLike, labels: ArrayLike) -> pd.DataFrame:
    """Confidence of each prediction, whether it is correct, and the bin of its confidence."""
    probabilities = softmax(np.asarray(logits, dtype=float), axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == np.asarray(labels)
    return pd.DataFrame({"confidence": confidence, "correct": correct, "bin": pd.cut(confidence, EDGES)})


# --- two models on the same images


def compare(first: ArrayLike, second: ArrayLike, labels: ArrayLike) -> Comparison:
    """Compare the second model with the first on the same images (``intervals.compare_counts``).

    Args:
        first, second: logits (N, C) or predictions (N,).

    Raises:
        SceneError: where the two models and the labels differ in length.
    """
    first, second, labels = predictions(first), predictions(second), np.asarray(labels)
    if not len(first) == len(second) == len(labels):
        raise SceneError(
            f"cannot compare {len(first)} and {len(second)} predictions on {len(labels)} labels;"
            " evaluate both models on the same images"
        )
    before, after = first == labels, second == labels
    return compare_counts(int((~before & after).sum()), int((before & ~after).sum()), len(labels))


def class_changes(first: ArrayLike, second: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Images of each class that the second model gains and loses: columns class, gained, lost, net."""
    first, second, labels = predictions(first), predictions(second), np.asarray(labels)
    before, after = first == labels, second == labels
    number = len(classes)
    gained = np.bincount(labels[~before & after], minlength=number)
    lost = np.bincount(labels[before & ~after], minlength=number)
    return pd.DataFrame({"class": list(classes), "gained": gained, "lost": lost, "net": gained - lost})
