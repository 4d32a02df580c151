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

BINS = 15


# --- one model


def predictions(logits: ArrayLike) -> np.ndarray:
    """Predicted classes (N,) of logits or probabilities (N, C); predictions (N,) come back as they are."""
    values = np.asarray(logits)
    return values.argmax(axis=1) if values.ndim == 2 else values


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Fraction of correct predictions; takes logits (N, C) or predictions (N,)."""
    return float((predictions(logits) == np.asarray(labels)).mean())


def confusion(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str] | int) -> np.ndarray:
    """Confusion matrix (C, C) of counts: rows are the true classes, columns the predicted ones.

    Args:
        predicted: predictions (N,) or logits (N, C).
        classes: the class names, or their number.
    """
    number = classes if isinstance(classes, int) else len(classes)
    cells = np.asarray(labels) * number + predictions(predicted)
    return np.bincount(cells, minlength=number**2).reshape(number, number)


def per_class(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str] | None = None) -> pd.DataFrame:
    """Recall of each class with its Wilson interval: columns class, correct, total, recall, low, high.

    A class without images has NaN for its recall and interval.

    Args:
        predicted: predictions (N,) or logits (N, C).
        classes: the class names; without them the classes that occur, by number.
    """
    labels = np.asarray(labels)
    classes = range(int(labels.max()) + 1) if classes is None else classes
    total = np.bincount(labels, minlength=len(classes))
    correct = np.bincount(labels[predictions(predicted) == labels], minlength=len(classes))
    table = pd.DataFrame({"class": list(classes), "correct": correct, "total": total})
    counts = list(zip(correct.tolist(), total.tolist(), strict=True))
    table["recall"] = [c / t if t else np.nan for c, t in counts]
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
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:n]
    return pd.DataFrame(
        {
            "index": order,
            "label": labels[order],
            "prediction": predicted[order],
            "probability": confidence[order],
        }
    )


# --- calibration


def calibration_error(logits: ArrayLike, labels: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al., 2017): mean gap of confidence and accuracy."""
    table = reliability(logits, labels, bins)
    gaps = (table["confidence"] - table["accuracy"]).abs()
    return float((gaps * table["count"]).sum() / table["count"].sum())


def reliability(logits: ArrayLike, labels: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """The bins of a reliability diagram: columns low, high, count, confidence, accuracy.

    Bins have equal width; an empty one has NaN for confidence and accuracy.
    """
    probabilities = softmax(np.asarray(logits, dtype=float), axis=1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == np.asarray(labels)
    edges = np.linspace(0, 1, bins + 1)
    frame = pd.DataFrame({"bin": _bin(confidence, bins), "c": confidence, "r": right})
    grouped = frame.groupby("bin").agg(count=("c", "size"), confidence=("c", "mean"), accuracy=("r", "mean"))
    table = grouped.reindex(range(bins))
    table["count"] = table["count"].fillna(0).astype(int)
    table.insert(0, "low", edges[:-1])
    table.insert(1, "high", edges[1:])
    return table.reset_index(drop=True)


def compare_calibration(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, bins: int = BINS, seed: int = 0
) -> Interval:
    """Paired bootstrap interval of the second model's calibration error minus the first's.

    Args:
        first, second: logits (N, C) of the two models on the same images.
    """
    labels = np.asarray(labels)
    drawn = np.random.default_rng(seed).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=2000)
    errors = []
    for logits in (first, second):
        probabilities = softmax(np.asarray(logits, dtype=float), axis=1)
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
        gaps = np.zeros((len(labels), bins))
        gaps[np.arange(len(labels)), _bin(confidence, bins)] = confidence - right
        errors.append(np.abs(drawn @ gaps).sum(axis=1) / len(labels))
    low, high = np.quantile(errors[1] - errors[0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Position of the bin of each confidence; bins are closed on the right."""
    return np.searchsorted(np.linspace(0, 1, bins + 1), confidence).clip(1, bins) - 1


# --- two models on the same images


def compare(first: ArrayLike, second: ArrayLike, labels: ArrayLike, seed: int = 0) -> Comparison:
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
    return compare_counts(int((~before & after).sum()), int((before & ~after).sum()), len(labels), seed)


def class_changes(first: ArrayLike, second: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Images of each class that the second model gains and loses: columns class, gained, lost, net."""
    first, second, labels = predictions(first), predictions(second), np.asarray(labels)
    before, after = first == labels, second == labels
    number = len(classes)
    gained = np.bincount(labels[~before & after], minlength=number)
    lost = np.bincount(labels[before & ~after], minlength=number)
    return pd.DataFrame({"class": list(classes), "gained": gained, "lost": lost, "net": gained - lost})
