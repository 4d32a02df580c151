"""Checks of 10: what an interval says, when a goal is reached, an honest best of many, and a choice that is argued."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from scene_utils.lessons import choosing
from scene_utils.lessons.checks import check, expect, given, number, require
from scene_utils.support.intervals import wilson_interval

COSTS = ("parameters", "seconds", "inference_ms")  # columns of ``choosing.costs`` that a limit may be set on
WORDS = 20  # of a reason, at least


@check("give five values, True or False, one for each sentence")
def interval_says(answer):
    """Which of five sentences a difference of +0.6 points, with an interval from -0.3 to +1.5, bears out."""
    low, high = -0.3, 1.5
    right = np.array([low > 0, low == high == 0, high < 2, low > -1 and high < 1, low > -1])
    own = np.asarray(answer)
    require(own.shape == right.shape and set(own.tolist()) <= {0, 1}, "five values, True or False, are needed")
    wrong = int((own.astype(bool) != right).sum())
    hint = "does the sentence hold wherever in the interval the true difference lies?"
    require(wrong == 0, f"{wrong} of 5 {'is' if wrong == 1 else 'are'} wrong; {hint}")


@check("give one number of images")
def goal_reached(answer):
    """The fewest correct of 3,407 images whose 95 % interval lies above 0.94."""
    right = next(k for k in range(3202, 3407) if wilson_interval(k, 3407)[0] > 0.94)
    expect(answer, right, "not the accuracy, but the lower end of its interval has to be above 0.94: try numbers")


@check("write a function (holdout, test) that returns one accuracy")
def best_of_many(answer):
    """The test accuracy of the model that is best on the hold-out: not of the one that is best on the test set."""
    random = np.random.default_rng(0)
    for models in (2, 5, 20):
        counts = random.permutation(np.arange(160, 160 + models))[:, None]
        holdout = random.permuted(np.arange(300) < counts, axis=1)
        test = random.random((models, 400)) < 0.55
        right = test[holdout.sum(1) == 159 + models].mean()
        own = number(answer(holdout.copy(), test.copy()))
        told = "that of the best on the test set" if abs(own - test.mean(1).max()) < 1e-6 else f"{own:.3f}"
        hint = f"with {models} models it should be {right:.3f}, yours is {told}; which images may choose?"
        expect(own, right, hint, 1e-6)


@functools.cache
def table() -> pd.DataFrame:
    """The published models whose costs are all known, as the page shows them: no limit can judge an unknown one."""
    return choosing.published().dropna()


@check("give a dict with the keys model, limits, rejected and because")
def argued(answer):
    """A choice from the table: within limits of one's own, with the limit that each more accurate model breaks."""
    known, choice = table(), dict(answer)
    model, rejected = choice["model"], dict(choice["rejected"])
    limits = {name: number(value) for name, value in dict(choice["limits"]).items()}
    require(model in known.index, f"{str(model)[:60]!r} is no model of the table; for example {known.index[0]!r}")
    hint = f"limits are highest values of one or more of: {', '.join(COSTS)}"
    require(limits and set(limits) <= set(COSTS), hint)
    broken = {name: {cost for cost in limits if not row[cost] <= limits[cost]} for name, row in known.iterrows()}
    require(not broken[model], f"your own model breaks the limit on {', '.join(sorted(broken[model]))}")
    better = known.index[known["accuracy"] > known["accuracy"][model]]
    for name in better:
        require(broken[name], f"{name} keeps your limits and is more accurate")
    for name in better:
        hint = f"{name} is more accurate; which limit does it break? `rejected` has no true answer"
        require(rejected.get(name) in broken[name], hint)
    for cost in limits:
        hint = f"no more accurate model is rejected for its {cost}: what is this limit for?"
        require(cost in rejected.values(), hint)
    words = len(str(given(choice["because"])).split())
    require(words >= WORDS, f"a reason has {WORDS} words or more, yours {words}: who needs these limits?")
