"""Checks of A2: known and unknown photos, what rounding moves, wrong answers of an app, and four bits."""

from __future__ import annotations

import functools

import numpy as np

from scene_utils import trained
from scene_utils.lessons.checks import check, expect, given, number, require
from scene_utils.lessons.deploy import RECALL

HIGHEST, ERROR = 7, 0.75  # of the open task: largest integer, squared error beside that of the usual scale


@check("write a function (known, unknown) that returns one number from 0 to 1")
def auroc(answer):
    """The fraction of pairs in which the known photo has the higher confidence; a tie counts one half."""
    random = np.random.default_rng(0)
    pairs = [(np.array([0.9, 0.8, 0.8, 0.3]), np.array([0.8, 0.2])), (np.full(3, 0.5), np.full(4, 0.5))]
    pairs += [(random.random(30), random.random(7)), (random.integers(3, 9, 40) / 9, random.integers(0, 9, 50) / 9)]
    for known, unknown in pairs:
        right = np.mean((np.sign(known[:, None] - unknown) + 1) / 2)
        own = number(answer(known.copy(), unknown.copy()))
        told = f"{len(known)} known and {len(unknown)} unknown photos make {len(known) * len(unknown)} pairs"
        hint = f"{told}; it should be {right:.3f}, yours is {own:.3f}; what does a pair of equals count?"
        expect(own, right, hint, 1e-6)


@check("give one number")
def rounding(answer):
    """How far rounding to multiples of 2.54 / 127 moves a weight at most."""
    moved = 2.54 / 127 / 2
    hint = "the integers are one scale apart: how far is the nearest, and which weight is farthest from it?"
    expect(answer, moved, hint, 1e-3 * moved)


@check("give a fraction from 0 to 1")
def wrong_answers(answer):
    """The fraction of wrong answers of an app that is given 900 known and 100 unknown photos."""
    known, unknown = 0.95 * 900, 0.60 * 100  # that pass the threshold
    require(0 <= number(answer) <= 1, "a fraction is between 0 and 1")
    hint = "count the answers first, then the wrong ones: of both kinds of photos"
    expect(answer, (0.04 * known + unknown) / (known + unknown), hint, 2e-3)


@check("write a function (known, unknown) that returns one number from 0 to 1")
def false_positives(answer):
    """The fraction of unknown photos at or above the threshold that lets 95% of the known ones pass."""
    random = np.random.default_rng(0)
    for a, b in ((9, 2), (5, 1), (3, 3)):
        known, unknown = random.beta(a, b, 2000), random.beta(3, 3, 1500)
        lowest = np.sort(known)[round((1 - RECALL) * len(known))]
        right = np.count_nonzero(unknown >= lowest) / len(unknown)
        own = number(answer(known.copy(), unknown.copy()))
        hint = f"it should be {right:.0%}, yours is {own:.0%}; how many of the known photos pass your threshold?"
        expect(own, right, hint, 0.01)


@functools.cache
def kernels() -> list[np.ndarray]:
    """Weights of the shipped model's convolutions with few rows of many weights, one row per output channel."""
    weights = [each for each in trained.load_model(trained.shipped_run()).state_dict().values() if each.ndim == 4]
    rows = [each.flatten(1).numpy() for each in weights]
    return [each for each in rows if len(each) < each.shape[1] >= 96 and each.size < 80_000]


def squared_error(weights: np.ndarray, integers: np.ndarray, scales: np.ndarray) -> float:
    """Return the sum of the squared differences that integers and one scale per row leave."""
    return float(((integers * scales.reshape(-1, 1) - weights) ** 2).sum())


@check("write a function (weights) that returns two arrays: integers, as large as the weights, and one scale per row")
def four_bits(answer):
    """Integers from -7 to 7 and one scale per row that come closer to a network's weights than the usual ones."""
    ratios = []
    for weights in kernels():
        integers, scales = (np.asarray(given(each), dtype=float) for each in answer(weights.copy()))
        wanted = f"shape {weights.shape} and {len(weights)} scales"
        require(integers.shape == weights.shape and scales.size == len(weights),
                f"integers and scales of {wanted} are needed, not {integers.shape} and {scales.shape}")  # fmt: skip
        require((integers == np.round(integers)).all() and np.abs(integers).max() <= HIGHEST,
                f"four bits hold whole numbers from {-HIGHEST} to {HIGHEST} here")  # fmt: skip
        usual = np.abs(weights).max(1, keepdims=True) / HIGHEST
        ratios.append(squared_error(weights, integers, scales)
                      / squared_error(weights, np.round(weights / usual), usual))  # fmt: skip
    mean = float(np.mean(ratios))
    print(f"squared error beside that of the largest weight's scale: {mean:.2f}")
    require(mean <= ERROR, f"the goal is {ERROR}")
