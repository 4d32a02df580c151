"""Checks of 09: how much a setting explains, how many seeds, equal updates, and searches of one's own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
from scipy import stats

from scene_utils.lessons.checks import check, expect, given, number, require

BUDGET, LANDSCAPES, REGRET = 24, 30, 0.015  # of the open task: trainings, made-up tasks, mean distance to the best
SPACE = {"rate": (0.001, 0.004, 0.016, 0.064), "batch_size": (32, 64, 128, 256), "momentum": (0.0, 0.5, 0.9, 0.95),
         "weight_decay": (0.0, 0.0001, 0.001, 0.01), "mixup": (0.0, 0.1, 0.3, 1.0)}  # fmt: skip


@check("give one number of epochs")
def equal_updates(answer):
    """Epochs of 10,800 images in batches of 128 that take as many steps as 8 epochs in batches of 32."""
    steps = [sum(1 for _ in range(0, 10_800, size)) for size in (32, 128)]
    taken, wanted = number(answer) * steps[1], 8 * steps[0]
    require(taken > 0, "a number of epochs is positive")
    expect(taken, wanted, f"that is {taken:,.0f} steps instead of {wanted:,}", 0.015 * wanted)


def _trials(seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rate, decay = generator.integers(0, 4, 40), generator.integers(0, 3, 40)
    accuracy = 0.7 + 0.05 * (rate == 2) - 0.02 * decay * (rate == 1) + 0.01 * generator.standard_normal(40)
    return pd.DataFrame({"learning_rate": rate, "weight_decay": decay, "accuracy": accuracy})


@check("write a function (trials, name) that returns one number from 0 to 1")
def share_explained(answer):
    """Variance of the level means, one per trial, over the variance of the accuracies."""
    for seed, name in itertools.product(range(3), ("learning_rate", "weight_decay")):
        trials = _trials(seed)
        groups = [group["accuracy"].to_numpy() for _, group in trials.groupby(name)]
        within = sum(((group - group.mean()) ** 2).sum() for group in groups)
        right = 1 - within / ((trials["accuracy"] - trials["accuracy"].mean()) ** 2).sum()
        own = number(answer(trials.copy(), name))
        hint = f"for {name} it should be {right:.3f}, yours is {own:.3f}; does each trial count once?"
        expect(own, right, hint, 1e-3)
    same = pd.DataFrame({"learning_rate": [1, 2, 3, 3], "accuracy": [0.5] * 4})
    expect(answer(same, "learning_rate"), 0, "if all accuracies are equal, nothing is to be explained: 0", 1e-6)


@check("write a function (spread, difference) that returns a whole number")
def seeds_needed(answer):
    """The fewest seeds per recipe whose interval, by Student's t, is not wider than the difference."""
    for spread, difference in ((0.008, 0.01), (0.008, 0.02), (0.02, 0.01), (0.003, 0.02), (0.006, 0.005)):
        n = number(answer(spread, difference))
        require(n.is_integer() and n >= 2, "a whole number from 2 up; one seed has no spread")
        halves = [stats.t.ppf(0.975, 2 * k - 2) * spread * math.sqrt(2 / k) for k in (n, n - 1) if k >= 2]
        where = f"for a spread of {100 * spread:g} and a difference of {100 * difference:g} points"
        require(halves[0] <= difference, f"{where} {n:.0f} seeds leave an interval of ± {100 * halves[0]:.2f}")
        require(n == 2 or halves[1] > difference, f"{where} fewer than {n:.0f} would do")


@check("write a function (start, levels, score) that returns the best values")
def one_at_a_time(answer):
    """Tuning one setting after the other, which keeps what was best and leaves the start alone."""
    levels = {"rate": [1, 2, 3], "decay": [0, 1, 2]}
    for target in ((2, 1), (1, 0), (3, 2), (2, 2)):
        start, seen = {"rate": 1, "decay": 0}, []

        def score(values, target=target, seen=seen):
            seen.append(dict(values))
            return -abs(values["rate"] - target[0]) - abs(values["decay"] - target[1])

        found = given(answer(start, levels, score))
        require(start == {"rate": 1, "decay": 0}, "the start has changed; how many dictionaries are there?")
        best = {"rate": target[0], "decay": target[1]}
        require(dict(found) == best, "it does not return the best values; how many dictionaries are there?")
        distinct = {tuple(each.values()) for each in seen}
        require(len(distinct) <= 5, f"one at a time looks at 5 combinations here, yours at {len(distinct)}")


def landscape(seed: int):
    """A made-up task: the accuracy of each combination of ``SPACE``, at most 0.75."""
    generator = np.random.default_rng(seed)
    best = {name: int(generator.integers(4)) for name in SPACE}
    weights = dict(zip(SPACE, generator.permutation([0.03, 0.015, 0.01, 0.005, 0.003]), strict=True))
    tie = generator.uniform(0.3, 0.9)  # rate and momentum work together

    def accuracy(values: dict) -> float:
        off = {name: levels.index(values[name]) - best[name] for name, levels in SPACE.items()}
        rest = sum(weights[name] * off[name] ** 2 for name in ("batch_size", "weight_decay", "mixup"))
        return max(1 / 6, 0.75 - 0.05 * (off["rate"] + tie * off["momentum"]) ** 2 - 0.01 * off["momentum"] ** 2 - rest)

    return accuracy


def noisy(accuracy, seed: int):
    """The accuracy of one training with one seed; raises after ``BUDGET`` trainings."""
    generator, left = np.random.default_rng(seed), [BUDGET]

    def train(values: dict) -> float:
        if left[0] == 0:
            raise RuntimeError(f"the budget of {BUDGET} trainings is spent")
        left[0] -= 1
        return accuracy(values) + 0.006 * generator.standard_normal()

    return train


@check("write a function (train, levels, budget) that returns the best values, a dict")
def search(answer):
    """A search that finds good values in few trainings, on made-up tasks."""
    regrets = []
    for seed in range(LANDSCAPES):
        accuracy = landscape(seed)
        found = given(answer(noisy(accuracy, seed), {name: tuple(each) for name, each in SPACE.items()}, BUDGET))
        regrets.append(0.75 - accuracy(dict(found)))
    mean = float(np.mean(regrets))
    print(f"mean distance from the best combination: {100 * mean:.2f} points")
    require(mean <= REGRET, f"the goal is {100 * REGRET:.1f} points")
