"""The case ``order``: two orders of tuning LeNet, several searches each, every trial with as many updates.

Each training is a row of ``order.<profile>.csv`` beside the run records; interrupted searches go on after their last
row. The hold-out judges; test set and sealed set are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd

from scene_utils import cases, catalogue, experiments
from scene_utils.lessons import tuning
from scene_utils.lessons.trials import Trials, matching
from scene_utils.recipe import Recipe
from scene_utils.support import progress as bars
from scene_utils.support import settings

IMAGES = 6_400  # of an epoch: whole batches of every size, and for each size a whole number of epochs
AGAIN = tuning.BUDGET + 1  # number of the winner's training with a new seed
COLUMNS = ("order", "search", "trial", *tuning.LEVELS, "training_seed", "accuracy", "diverged", "seconds", "design")


def kept(profile: str | None = None) -> Trials:
    """Return the table in which these trainings are kept."""
    design = {"design": cases.digest("order")}
    return Trials(f"order.{settings.profile(profile)}.csv", COLUMNS, design, (*tuning.LEVELS, "accuracy", "seconds"))


def seeds(order: str) -> list[tuple[int, int]]:
    """Return for each search of an order its seed, and that of its winner's second training."""
    count = cases.design("order")["searches"]
    return list(zip(cases.drawn("order", order, count), cases.drawn("order", f"{order}, again", count), strict=True))


def recipe(values: Mapping[str, float], profile: str, seed: int) -> Recipe:
    """Return how a trial trains: the design's number of updates whatever the batch size."""
    if profile == "sample":
        return tuning.RECIPES["sample"].replace(**values, seed=seed)
    epochs = cases.design("order")["updates"] * int(values["batch_size"]) // IMAGES
    return catalogue.OURS.replace(**values, seed=seed, epochs=epochs, images=IMAGES)


def trial(order: str, search: int, profile: str, seed: int, values: Mapping[str, float], number: int) -> float:
    """Return the hold-out accuracy of a trial: found in the table, or trained now; 1/classes where it diverges."""
    def train() -> dict:
        sets = experiments.sealed_sets(profile)[0], experiments.sets(profile)[1]
        return tuning.train(recipe(values, profile, seed), *sets, f"{order}, search {search + 1}, trial {number}")

    place, decides = {"order": order, "search": search, "trial": number}, {**values, "training_seed": seed}
    command = f"python -m scene_utils case order --profile {profile}"
    return float(kept(profile).find_or_train(place, decides, train, command)["accuracy"])


def run(profile: str | None = None) -> pd.DataFrame:
    """Run what is missing of all searches; return the accuracy of each winner, trained again, by order."""
    profile = settings.profile(profile)
    ranked = list(tuning.importances(tuning.study(profile), 0))
    orders = dict(zip(cases.design("order")["orders"], (ranked, ranked[::-1]), strict=True))
    for search in range(cases.design("order")["searches"]):
        for order, names in orders.items():
            seed, new_seed = seeds(order)[search]
            best = tuning.winner(pd.DataFrame(tuning.in_turn(names, partial(trial, order, search, profile, seed))))
            accuracy = trial(order, search, profile, new_seed, best, AGAIN)
            bars.line(f"{order}, search {search + 1}: the winner has {accuracy:.4f} with a new seed")
    return pd.DataFrame({order: winners(order, profile) for order in orders})


def winners(order: str, profile: str | None = None) -> list[float]:
    """Return the hold-out accuracy of each search's winner, trained again with a new seed."""
    return matching(kept(profile).rows(), {"order": order, "trial": AGAIN})["accuracy"].tolist()


def diverged(order: str, profile: str | None = None) -> int:
    """Return how many trainings of an order diverged."""
    return int(matching(kept(profile).rows(), {"order": order})["diverged"].sum())


def progress(profile: str | None = None) -> tuple[int, int]:
    """Return how many trainings exist, and how many there are to be."""
    told = cases.design("order")
    return len(kept(profile).rows()), len(told["orders"]) * told["searches"] * AGAIN
