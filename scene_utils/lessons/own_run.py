"""ResNet18 trained by the reader's own ``my_scene.py``, beside recorded seeds of the same recipe in our engine."""

from __future__ import annotations

import inspect
from collections.abc import Collection

import numpy as np
import torch
from scipy import stats

from scene_utils import experiments, plots, results, training
from scene_utils.lessons import live, mine, our_scene
from scene_utils.recipe import Recipe, make_optimizer, make_scheduler
from scene_utils.support import progress, settings
from scene_utils.support.intervals import LEVEL
from scene_utils.text import say
from scene_utils.text.shown import Paragraph, shown

PIECES = ("SceneDataset", "batches", "train_epoch", "evaluate", "resnet18")
LIVE = "transfer"  # the live experiment whose first side is ResNet18 from a random start


def _may_train() -> bool:
    return settings.choice("SCENE_TRAIN") != "0"


def pieces(ours: Collection[str] = ()) -> dict[str, object]:
    """Return the reader's pieces where they pass their checks, else ours; those named in ``ours`` are ours anyway."""
    return {name: getattr(our_scene, name) if name in ours else mine.use(name, quiet=True) for name in PIECES}


def own(used: dict[str, object]) -> list[str]:
    """Names of the pieces that are the reader's."""
    return [name for name, piece in used.items() if piece is not getattr(our_scene, name)]


def train(used: dict[str, object], recipe: Recipe, images: int, profile: str) -> float:
    """Train ResNet18 by the reader's loop; return its hold-out accuracy."""
    whole, holdout, _ = experiments.sets(profile)
    part = live.some(whole, images)
    torch.manual_seed(recipe.seed)
    net = used["resnet18"](len(whole.classes))
    optimizer = make_optimizer(net, recipe)
    scheduler = make_scheduler(optimizer, recipe, -(-len(part) // recipe.batch_size))
    optimizer.register_step_post_hook(lambda *_: scheduler.step())  # the rate changes after each step
    training_set, validation_set = (used["SceneDataset"](each.images, each.labels) for each in (part, holdout))
    history, limit = training.History(), torch.get_num_threads()
    try:
        for _ in range(recipe.epochs):
            with training.timed(torch.device("cpu"), history, limit):  # on as many threads as are free
                used["train_epoch"](net, used["batches"](training_set, recipe.batch_size, shuffle=True), optimizer)
    finally:
        torch.set_num_threads(limit)
    return float(used["evaluate"](net, used["batches"](validation_set, 128))[1])


def run(profile: str, seed: int, ours: Collection[str] = ()) -> dict:
    """Return a run of ``my_scene.py``: its accuracy and whose pieces it used; found, or trained now."""
    used = pieces(ours)
    mine_now = own(used)
    chosen = live.side(LIVE, "first", profile, seed, experiments.sets(profile)[2].key)
    sources = {name: inspect.getsource(used[name]) for name in mine_now}
    key = results.run_key(base=chosen.key, sources=sources, torch=torch.__version__)
    row = {"key": key, "seed": seed, "own": mine_now}
    return live.once("my_scene", profile, key, "the page itself",
                     lambda: row | {"accuracy": train(used, chosen.recipe, chosen.images, profile)})  # fmt: skip


def recorded(profile: str) -> list[float]:
    """Return hold-out accuracies of the same recipe in our engine: the recorded seeds, where they are of other images
    three run now.
    """
    if (profile == "sample" or experiments.own_images()) and _may_train():
        return [live.run(LIVE, "first", profile, seed)["accuracy"] for seed in (101, 102, 103)]
    return [first["accuracy"] for first, _ in live.recorded(LIVE)]


def expected(known: list[float]) -> tuple[float, float]:
    """Return the 95 % prediction interval of one more seed: where it falls in 19 of 20 cases (Student's t)."""
    n, spread = len(known), np.std(known, ddof=1)
    reach = stats.t.ppf((1 + LEVEL) / 2, n - 1) * spread * np.sqrt(1 + 1 / n)  # 0 where all seeds are equal
    return float(np.mean(known) - reach), float(np.mean(known) + reach)


def compare(profile: str, seed: int) -> None:
    """Train ``my_scene.py`` and show its accuracy beside the recorded seeds; say whether it fits them."""
    known = recorded(profile)
    values = {"our engine, one point per seed": known}
    if _may_train():
        row = run(profile, seed)
        values["my_scene.py"] = [row["accuracy"]]
        told = [say("own.pieces", names=row["own"] or say("none"))]
        if len(known) > 1:
            low, high = expected(known)
            told.append(say("own.inside" if low <= row["accuracy"] <= high else "own.outside",
                            accuracy=row["accuracy"], seeds=len(known), low=low, high=high))  # fmt: skip
    else:
        told = [say("own.not_run")]
    values = {name: each for name, each in values.items() if each}
    shown(plots.seeds(values, "hold-out accuracy") if values else None, Paragraph(told))


@progress.part()
def find_out(profile: str, seed: int) -> None:
    """Replace one piece of the reader's after the other by ours, and show what each changes; none where none is own."""
    names = own(pieces())
    if not names or not _may_train():
        return shown(say("own.nothing"))
    values = {"all of my_scene.py": [run(profile, seed)["accuracy"]]}
    values |= {f"our {name} instead": [run(profile, seed, [name])["accuracy"]] for name in names}
    shown(plots.seeds(values, "hold-out accuracy"))
