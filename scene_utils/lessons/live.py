"""Live experiments: two short trainings that differ in one thing, beside ten recorded pairs (``live.toml``)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from scene_utils import catalogue, data, experiments, models, pretraining, results, training
from scene_utils.lessons import features, sketches
from scene_utils.recipe import Recipe
from scene_utils.support import progress, settings
from scene_utils.support.devices import processor
from scene_utils.support.settings import SceneError
from scene_utils.text import say, sentences
from scene_utils.text.shown import Paragraph, shown

DECLARED = tomllib.loads(Path(__file__).with_name("live.toml").read_text(encoding="utf-8"))
SIDES = ("first", "second")
SEEDS = range(101, 111)  # of the recorded pairs; a reader takes another one
SAMPLE = {"images": 96, "epochs": 6, "batch_size": 4}  # the profile sample: at most so many images, divided by so much


class Three(nn.Module):
    """Three networks of one kind: in training they take turns, one batch each; then their probabilities are averaged.

    Returns logits (N, classes), for the average its logarithm.
    """

    def __init__(self, build: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.members, self.turn = nn.ModuleList(build() for _ in range(3)), 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.turn = (self.turn + 1) % 3
            return self.members[self.turn](images)
        return torch.stack([member(images).softmax(1) for member in self.members]).mean(0).log()


MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet-logit-dropout": lambda classes: nn.Sequential(models.LeNet(classes), nn.Dropout(0.5)),
    "three": lambda classes, **options: Three(partial(models.LeNet, classes, **options)),
    "linear": lambda classes: nn.Sequential(nn.Flatten(), nn.Linear(3 * data.SIDE**2, classes)),
    "mlp": lambda classes, hidden=64: nn.Sequential(
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 32 * 32, hidden), nn.ReLU(), nn.Linear(hidden, classes)
    ),
    "cnn": lambda classes: nn.Sequential(
        nn.AvgPool2d(2), nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(32, classes),
    ),
}
PIXELS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sixteen": lambda images: F.interpolate(F.avg_pool2d(images.float(), 4), scale_factor=4).round().byte(),
    "grey": lambda images: images.float().mean(1, keepdim=True).round().byte().expand(-1, 3, -1, -1),
}
MEASURES = {
    "accuracy": "hold-out accuracy", "holdout_loss": "hold-out loss", "training_loss": "training loss",
    "gap": "training minus hold-out accuracy",
}  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One of the two trainings of a live experiment; ``key`` is the hash of everything that decides its numbers."""

    experiment: catalogue.Experiment
    recipe: Recipe
    images: int
    pixels: str | None
    keep: bool
    key: str


def side(name: str, which: str, profile: str, seed: int, dataset: str, **changes) -> Side:
    """Return the ``first`` or ``second`` side of an experiment on a dataset (its key).

    Args:
        changes: fields of ``Recipe`` that a reader sets.

    Raises:
        SceneError: for a name that is not declared, or a recipe that cannot be.
    """
    if name not in DECLARED:
        raise SceneError(f"live experiment {name!r} is unknown; known: {', '.join(DECLARED)}")
    told = DECLARED[name] | DECLARED[name][which]
    both = {part: DECLARED[name].get(part, {}) | DECLARED[name][which].get(part, {}) for part in ("recipe", "options")}
    recipe, images = Recipe(**both["recipe"] | changes | {"seed": seed}), told["images"]
    if profile == "sample":
        small = {field: -(-getattr(recipe, field) // SAMPLE[field]) for field in ("epochs", "batch_size")}
        most = max((DECLARED[name] | DECLARED[name][each])["images"] for each in SIDES)
        recipe, images = recipe.replace(**small), images * min(most, SAMPLE["images"]) // most
    build = MODELS.get(told["model"]) or catalogue.builder(told["model"])
    title = ", ".join(f"{field.replace('_', ' ')} {value}" for field, value in changes.items()) or told["title"]
    made = catalogue.Experiment(f"live-{name}", title, told["model"], partial(build, **both["options"]), {},
                                depth=told.get("pretrained"))  # fmt: skip
    decides = {part: told.get(part) for part in ("model", "pixels", "pretrained")} | {"options": both["options"]}
    versions = {"engine": training.ENGINE_VERSION, "version": models.VERSION}
    key = results.run_key(recipe=recipe.fields(), images=images, data=dataset, **decides, **versions)
    return Side(made, recipe, images, told.get("pixels"), told.get("keep_features", False), key)


def some(whole: data.Split, images: int) -> data.Split:
    """Return at most so many of the training images, the same for every seed."""
    return whole.select(np.random.default_rng(0).permutation(len(whole))[:images])


def train(chosen: Side, profile: str) -> dict:
    """Train one side on its part of the training images; return what the hold-out says of it."""
    whole, holdout, _ = experiments.sets(profile)
    part = some(whole, chosen.images)
    if chosen.pixels:
        part, holdout = (replace(each, images=PIXELS[chosen.pixels](each.images)) for each in (part, holdout))
    torch.manual_seed(chosen.recipe.seed)
    source = pretraining.pretrained_source(chosen.experiment, profile, chosen.recipe.seed)
    model, _ = pretraining.build(chosen.experiment, source, len(whole.classes))
    kept = {"before": features.plane(model, holdout, chosen.recipe)} if chosen.keep else {}
    with progress.part():
        progress.begin(chosen.experiment.title)
        with progress.silent():  # a bar, but no line for each
            history = training.fit(model, part, None, chosen.recipe, name=chosen.experiment.title)
    spent = {"seconds": round(history.seconds, 1), "processor": processor()}
    if history.status == "diverged":
        return {"accuracy": 1 / len(whole.classes), **spent}
    if chosen.keep:
        spent["features"] = kept | {"after": features.plane(model, holdout, chosen.recipe)}
    judged, trained = (training.evaluate(model, each, chosen.recipe) for each in (holdout, part))
    return {"accuracy": judged["accuracy"], "gap": trained["accuracy"] - judged["accuracy"],
            "holdout_loss": judged["loss"], "training_loss": trained["loss"], **spent}  # fmt: skip


def kept(name: str, profile: str) -> Path:
    """Return the file of the runs folder that keeps the runs of an experiment."""
    return settings.results_dir() / "live" / f"{name}.{profile}.json"


def rows(path: Path) -> list[dict]:
    """Return the runs that a file keeps, one row each."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def once(name: str, profile: str, key: str, command: str, make: Callable[[], dict]) -> dict:
    """Return the row with this key from the file of an experiment's runs; where it is missing, ``make`` and add it.

    Raises:
        SceneError: where it is missing and nothing may be trained; it names the command that does.
    """
    with experiments.run_lock(f"live.{name}.{profile}"):
        before = rows(path := kept(name, profile))
        found = next((row for row in before if row["key"] == key), None)
        if found is None:
            settings.check_may_train(f"live-{name}", command)
            found = make()
            settings.atomic_write(path, json.dumps([*before, found], indent=1) + "\n")
    return found


def run(name: str, which: str, profile: str, seed: int, **changes) -> dict:
    """Return the row of one side: found in the runs folder, or trained now (``side`` has the arguments)."""
    chosen = side(name, which, profile, seed, experiments.sets(profile)[2].key, **changes)
    row = {"side": which, "seed": seed, "key": chosen.key}
    command = f"python -m scene_utils live {name} --profile {profile}"
    return once(name, profile, chosen.key, command, lambda: row | train(chosen, profile))


@progress.part()
def pair(name: str, profile: str, seed: int, **changes) -> list[dict]:
    """Return the rows of both sides with one seed; ``changes`` are made to the second."""
    done = []
    for which, share in progress.shared(SIDES):
        with progress.part(share):
            done.append(run(name, which, profile, seed, **(changes if which == "second" else {})))
    return done


def record(name: str, profile: str | None = None, count: int = len(SEEDS)) -> Path:
    """Run ``count`` of the recorded pairs, what is missing of them, and publish them as one file.

    Raises:
        SceneError: for the sample and for images of one's own: what is published is of the real dataset.
    """
    profile = settings.profile(profile)
    if profile == "sample" or experiments.own_images():
        raise SceneError("recorded pairs are of the real dataset; call with --profile short, without SCENE_DATA_DIR")
    found = [row for seed in SEEDS[:count] for row in pair(name, profile, seed)]
    found[2:] = [{field: value for field, value in row.items() if field != "features"} for row in found[2:]]
    path = settings.published_dir() / "live" / f"{name}.json"
    return settings.atomic_write(path, json.dumps(found, indent=1) + "\n")


def pairs(name: str, path: Path, profile: str, dataset: str) -> list[tuple[dict, dict]]:
    """Return the complete pairs that a file keeps of an experiment as it is declared now."""
    table = {row["key"]: row for row in rows(path)}
    seeds = dict.fromkeys(row["seed"] for row in table.values())
    keys = [[side(name, which, profile, seed, dataset).key for which in SIDES] for seed in seeds]
    return [tuple(table[key] for key in both) for both in keys if set(both) <= table.keys()]


def recorded(name: str) -> list[tuple[dict, dict]]:
    """Return the published pairs of an experiment; none for images of one's own, which are others."""
    if experiments.own_images():
        return []
    return pairs(name, settings.published_dir() / "live" / f"{name}.json", "short", data.COMMIT)


def pooled(name: str, profile: str) -> list[tuple[dict, dict]]:
    """Return the readers' pairs in the runs folder, which a class may share (``SCENE_RUNS_DIR``)."""
    found = pairs(name, kept(name, profile), profile, experiments.sets(profile)[2].key)
    return [both for both in found if both[0]["seed"] not in SEEDS]


def compare(name: str, profile: str | None, seed: int, guess: float | None = None, **changes) -> None:
    """Train a reader's pair, and show it and the prediction beside the recorded pairs: a picture and sentences.

    Without a prediction it trains nothing, and says so; where nothing is to be trained it shows the recorded pairs.

    Args:
        guess: what the reader expects, second side minus first: in points, a loss in its own unit.
        changes: fields of ``Recipe`` that the reader's second side has instead of the declared ones.
    """
    profile = settings.profile(profile)
    known, may_train = recorded(name), settings.choice("SCENE_TRAIN") != "0"
    if guess is None and may_train:
        seconds = np.mean([row["seconds"] for both in known for row in both]) if known and profile != "sample" else 3
        print(f"Write your prediction first; the cell then trains two networks, about {2 * seconds:.0f} s on one core.")
        return
    own = [pair(name, profile, seed, **changes)] if may_train else []
    others = [] if changes else [both for both in pooled(name, profile) if not own or both[0]["seed"] != seed]
    measure = DECLARED[name].get("measure", "accuracy")
    names = [DECLARED[name][which]["title"] for which in SIDES]
    expected = None if guess is None else guess / (1 if measure.endswith("loss") else 100)
    points = [[row.get(measure, np.nan) for row in both] for both in (*known, *others, *own)]
    labels = [names[0], f"{names[1]}\n(yours: {side(name, 'second', profile, seed, '', **changes).experiment.title})"]
    figure = sketches.pairs(labels if changes and own else names, points[: len(known)], points[len(known) :],
                            expected if own else None, MEASURES[measure])  # fmt: skip
    texts = sentences.live(names, points, len(known), bool(own), expected, MEASURES[measure])
    if experiments.own_images():
        texts[0] = say("live.foreign")
    texts += [say("live.sample")] if own and known and profile == "sample" else []
    shown(figure if points else None, Paragraph(texts))


def show_features(name: str, profile: str, seed: int) -> object:
    """Show the features of a reader's own pair before and after training, else those of the first recorded pair."""
    train, _, dataset = experiments.sets(profile)
    own = [both for both in pairs(name, kept(name, profile), profile, dataset.key) if both[0]["seed"] == seed]
    both = (own or recorded(name) or [()])[0]
    return features.show(both, [DECLARED[name][which]["title"] for which in SIDES], train.classes)
