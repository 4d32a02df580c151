"""Ensembles: the average of several models' probabilities, its weights, and what voting does in images.

Logits are (N, C), labels (N,); see ``evaluation``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax
from torch import Tensor

from scene_utils.evaluation import accuracy, predictions
from scene_utils.results import Run

INVERSE_TEMPERATURES = np.geomspace(0.5, 2, 9)  # that are tried


def average_probabilities(logits: Sequence[ArrayLike], weights: Sequence[float] | None = None) -> np.ndarray:
    """Mean of the members' probabilities, (N, C) float64; its logarithm serves as the ensemble's logits.

    Args:
        logits: one (N, C) array a member.
        weights: one weight a member, in any scale; equal ones where there are none.
    """
    return np.average(
        [softmax(np.asarray(member, dtype=float), axis=1) for member in logits], axis=0, weights=weights
    )


def hard_vote(logits: Sequence[ArrayLike]) -> np.ndarray:
    """Classes (N,) with the most votes; among classes with as many votes the mean probability decides."""
    average = average_probabilities(logits)
    votes = sum(np.eye(average.shape[1])[predictions(member)] for member in logits)
    return (votes + average / 2).argmax(axis=1)


def choose_weights(logits: Sequence[ArrayLike], labels: ArrayLike, steps: int = 10) -> tuple[float, ...]:
    """Weights, adding up to 1, whose weighted average has the lowest log loss; for the hold-out.

    All multiples of ``1 / steps`` are tried; among equals the first, and it is the log loss rather than
    the accuracy because a few hundred hold-out images hardly tell accuracies apart. Each average is sharpened or
    flattened as suits it best (temperature scaling, Guo et al., 2017), or the surest member would beat a better mean.
    """
    labels = np.asarray(labels)
    members = np.stack([softmax(np.asarray(member, dtype=float), axis=1) for member in logits])
    grid = [w for w in itertools.product(range(steps + 1), repeat=len(members)) if sum(w) == steps]
    losses = []
    for weights in np.array(grid) / steps:
        average = np.log(np.maximum(np.tensordot(weights, members, 1), 1e-12))
        scaled = (log_softmax(average * factor, axis=1) for factor in INVERSE_TEMPERATURES)
        losses.append(min(-each[np.arange(len(labels)), labels].mean() for each in scaled))
    return tuple(weight / steps for weight in grid[int(np.argmin(losses))])


@dataclass(frozen=True)
class EnsembleAnalysis:
    """What voting does, in images.

    Attributes:
        total: number of images.
        disagree: images on which the members differ.
        rescued: images that the ensemble has right and the best single member wrong.
        lost: images that the ensemble has wrong and the best single member right.
        none_right: images that no member has right.
        best: position of the best single member.
    """

    total: int
    disagree: int
    rescued: int
    lost: int
    none_right: int
    best: int


def analyse_ensemble(
    members: Sequence[ArrayLike], combined: ArrayLike, labels: ArrayLike, best: int | None = None
) -> EnsembleAnalysis:
    """Count where the members disagree, and what the ensemble rescues and loses against one member.

    Args:
        members: logits or predictions of each member.
        combined: the ensemble's probabilities (N, C) or predictions (N,).
        best: position of the member to compare with (chosen on the hold-out); else the best here.
    """
    labels, voted = np.asarray(labels), predictions(combined)
    predicted = np.stack([predictions(member) for member in members])
    right = predicted == labels
    best = int(right.sum(axis=1).argmax()) if best is None else best
    return EnsembleAnalysis(
        total=len(labels),
        disagree=int((predicted != predicted[0]).any(axis=0).sum()),
        rescued=int((~right[best] & (voted == labels)).sum()),
        lost=int((right[best] & (voted != labels)).sum()),
        none_right=int((~right.any(axis=0)).sum()),
        best=best,
    )


def shared_errors(logits: Mapping[str, ArrayLike], labels: ArrayLike) -> pd.DataFrame:
    """Images on which two members differ, on which both are wrong, and how many these would be by chance.

    Columns members, disagree, both_wrong, if_independent: errors that fall independently meet on the product
    of the two error rates.
    """
    labels = np.asarray(labels)
    wrong = {name: predictions(values) != labels for name, values in logits.items()}
    rows = []
    for a, b in itertools.combinations(logits, 2):
        differ = int((predictions(logits[a]) != predictions(logits[b])).sum())
        expected = wrong[a].mean() * wrong[b].mean() * len(labels)
        rows.append((f"{a} + {b}", differ, int((wrong[a] & wrong[b]).sum()), round(float(expected), 1)))
    return pd.DataFrame(rows, columns=["members", "disagree", "both_wrong", "if_independent"])


# --- of runs


def ensemble(members: list[Run], weighted: bool) -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays and the recipe of an ensemble whose members count alike, or by weights chosen on the hold-out.

    With weights the mirrored predictions are averaged.
    """
    arrays = {name: members[0].arrays[name] for name in ("test_labels", "holdout_labels")}
    if not weighted:
        for name in ("test_logits", "holdout_logits", "test_logits_mirror", "holdout_logits_mirror", "train_logits"):
            if all(name in member.arrays for member in members):
                arrays[name] = to_float16(log_average([member.arrays[name] for member in members]))
        return arrays, {"combination": "mean of probabilities"}
    mirrored = {of: [member.arrays[f"{of}_logits_mirror"] for member in members] for of in ("test", "holdout")}
    weights = choose_weights(mirrored["holdout"], arrays["holdout_labels"])
    arrays |= {f"{of}_logits": to_float16(log_average(logits, weights)) for of, logits in mirrored.items()}
    combination = "mean of mirrored probabilities, weights chosen on the hold-out"
    return arrays, {"combination": combination, "weights": list(weights)}


def history(members: list[Run]) -> list[dict]:
    """Return the hold-out accuracy of the members' mean after each epoch, and what that epoch took them all."""
    rows, labels = [], members[0].arrays["holdout_labels"]
    curves = [np.moveaxis(member.arrays["holdout_curve"], -1, 0) for member in members]
    for epoch, at_epoch in enumerate(zip(*curves, strict=True), 1):
        seconds = sum(member.record["history"][epoch - 1]["seconds"] for member in members)
        mean = np.mean([probabilities.astype(np.float32) for probabilities in at_epoch], axis=0)
        rows.append({"epoch": epoch, "holdout_accuracy": accuracy(mean, labels), "seconds": seconds})
    return rows


def to_float16(logits: Tensor) -> np.ndarray:
    """Return logits as float16: what is stored is also what is scored."""
    return logits.clamp(-6e4, 6e4).to(torch.float16).numpy()


def to_bytes(logits: Tensor) -> np.ndarray:
    """Return logits (N, C) as probabilities in 255ths, uint8: enough for a curve, and a third of the room."""
    return (logits.float().softmax(1) * 255).round().to(torch.uint8).numpy()


def log_average(logits: Sequence[ArrayLike], weights: Sequence[float] | None = None) -> Tensor:
    """Return the logarithm of the (weighted) mean of the probabilities, (N, C)."""
    mean = average_probabilities(logits, weights)
    return torch.from_numpy(np.log(np.maximum(mean, 1e-30)))
