import math

import numpy as np
import torch

from scene_utils.lessons.checks.conclusions import table

WHY = "a museum lends such a small computer to its visitors and nobody wants to wait for longer than a heartbeat or so"


def argued(cost, highest, **changes):
    known = table()
    model = known["accuracy"][known[cost] <= highest].idxmax()
    better = known.index[known["accuracy"] > known["accuracy"][model]]
    choice = {"model": model, "limits": {cost: highest}, "rejected": dict.fromkeys(better, cost), "because": WHY}
    return choice | changes


def both():
    first, second = argued("parameters", 12e6), argued("inference_ms", 1.5)
    limits, known = first["limits"] | second["limits"], table()
    rejected = {name: "parameters" if known["parameters"][name] > 12e6 else "inference_ms"
                for name in second["rejected"]}  # fmt: skip
    return second | {"limits": limits, "rejected": rejected}


def by_sorting(holdout, test):
    ranks = sorted(range(len(holdout)), key=lambda i: -holdout[i].sum())
    return test[ranks[0]].sum() / test.shape[1]


ANSWERS = {
    "interval_says": (
        [[False, False, True, False, True], np.array([0, 0, 1, 0, 1]), torch.tensor([0.0, 0, 1, 0, 1])],
        [[True] * 5, [False] * 5, [True, False, True, False, True], [False, True, True, True, True], [False, True]],
    ),
    "goal_reached": ([3230, 3230.0, torch.tensor(3230)], [3203, 3202.58, 3229, 0.94, 3407]),
    "best_of_many": (
        [
            lambda holdout, test: test[holdout.mean(1).argmax()].mean(),
            by_sorting,
            lambda holdout, test: torch.tensor(test)[torch.tensor(holdout).sum(1).argmax()].double().mean(),
        ],
        [
            lambda holdout, test: test.mean(1).max(),
            lambda holdout, test: holdout.mean(1).max(),
            lambda holdout, test: test.mean(),
            lambda holdout, test: test[np.hstack([holdout, test]).mean(1).argmax()].mean(),
            lambda holdout, test: test[holdout.mean(1).argmin()].mean(),
        ],
    ),
    "argued": (
        [argued("parameters", 5_000_000), argued("seconds", 1000), both()],
        [
            argued("parameters", 12e6, rejected={}),
            argued("parameters", 12e6, because="it is the best"),
            argued("parameters", 12e6, limits={"parameters": 12e6, "seconds": math.inf}),
            argued("parameters", 12e6, model="CustomLeNet"),
            argued("accuracy", 1),
        ],
    ),
}
