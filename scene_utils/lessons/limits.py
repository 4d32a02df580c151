"""The case ``nan``: the lowest learning rate at which LeNet's loss stops being finite, setting by setting.

Each training is a row of ``nan.<profile>.csv`` beside the run records; an interrupted search goes on after its last
row. Nothing is judged but whether the loss stays finite, so neither hold-out nor test set is read.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
from collections.abc import Callable

import pandas as pd
import torch

from scene_utils import cases, experiments, models, training
from scene_utils.lessons.trials import Trials, matching
from scene_utils.recipe import Recipe
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

COLUMNS = ("pixel_scale", "momentum", "batch_size", "rate", "seed", "diverged_step", "seconds", "design")
SAMPLE = {"epochs": 1, "images": 96}


def kept(profile: str | None = None) -> Trials:
    """Return the table in which these trainings are kept; ``diverged_step`` is 0 where the loss stayed finite."""
    design = {"design": cases.digest("nan")}
    return Trials(f"nan.{settings.profile(profile)}.csv", COLUMNS, design, ("momentum", "rate"))


def diverges(setting: dict, rate: float, profile: str, seed: int) -> bool:
    """Whether LeNet's loss stops being finite at ``rate``: found in the table, or trained now."""
    recipe = Recipe(**cases.design("nan")["recipe"] | setting, learning_rate=rate, seed=seed)
    recipe = recipe.replace(**SAMPLE) if profile == "sample" else recipe

    def train() -> dict:
        images, _ = experiments.sealed_sets(profile)
        torch.manual_seed(recipe.seed)
        name = f"LeNet, rate {rate:g}, " + ", ".join(f"{key} {value}" for key, value in setting.items())
        history = training.fit(models.LeNet(len(images.classes)), images, None, recipe, name=name)
        return {"diverged_step": history.diverged_step or 0, "seconds": round(history.seconds, 1)}

    decides, command = setting | {"rate": rate, "seed": seed}, f"python -m scene_utils case nan --profile {profile}"
    return bool(kept(profile).find_or_train({}, decides, train, command)["diverged_step"])


def recorded(setting: dict, rate: float, profile: str, seed: int) -> bool:
    """Whether LeNet's loss stopped being finite at ``rate``, by the table.

    Raises:
        SceneError: where the table does not have it.
    """
    found = matching(kept(profile).rows(), setting | {"rate": rate, "seed": seed})
    if not len(found):
        raise SceneError(f"LeNet has not been trained at rate {rate:g} with {setting}")
    return bool(found["diverged_step"].iloc[0])


def limit(setting: dict, profile: str | None = None, seed: int = 0, ask: Callable | None = None) -> float | None:
    """Return the lowest rate of the ladder at which a setting diverges, by bisection; None where none does.

    ``ask`` is ``diverges``, which trains what is missing, or ``recorded``.
    """
    profile = settings.profile(profile)
    rates = cases.ladder("nan")
    found = bisect.bisect_left(rates, True, key=lambda rate: (ask or diverges)(setting, rate, profile, seed))
    return rates[found] if found < len(rates) else None


def all_settings() -> list[dict]:
    """Return the settings of the design: each combination of its factors."""
    factors = cases.design("nan")["factors"]
    return [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]


def limits(profile: str | None = None, ask: Callable | None = None) -> pd.DataFrame:
    """Return one row per setting, kind of loss and seed: the factors, ``loss``, ``seed`` and ``limit`` (NaN: none).

    A setting whose limit lies within a factor of two of the claimed one is repeated with two more seeds. A loss summed
    over the batch has the limit of the mean divided by the batch size: its gradient is that many times as long.
    """
    rows = []
    for setting in all_settings():
        for seed, rate in enumerate(repeated(setting, profile, ask)):
            for loss, factor in (("mean", 1), ("sum", setting["batch_size"])):
                rows.append(setting | {"loss": loss, "seed": seed, "limit": rate and rate / factor})
    return pd.DataFrame(rows)


def repeated(setting: dict, profile: str | None, ask: Callable | None) -> list[float | None]:
    """Return the limit of a setting for each seed: one, or three where a first limit is close to the claimed one."""
    claimed, first = cases.design("nan")["limit"], limit(setting, profile, 0, ask)
    near = first and any(claimed / 2 <= first / factor <= claimed * 2 for factor in (1, setting["batch_size"]))
    return [first, *(limit(setting, profile, seed, ask) for seed in ((1, 2) if near else ()))]


def progress(profile: str | None = None) -> tuple[int, int]:
    """Return how many of the settings have been searched to the end, and how many there are."""
    done, every = 0, all_settings()
    for setting in every:
        with contextlib.suppress(SceneError):
            repeated(setting, profile, recorded)
            done += 1
    return done, len(every)
