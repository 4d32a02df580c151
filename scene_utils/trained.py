"""Trained models: keep them, find them, load them, let them predict."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor, nn

from scene_utils import catalogue, results, training
from scene_utils.averaging import log_average
from scene_utils.data import Split
from scene_utils.pretraining import LOCAL_WEIGHTS
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

SHIPPED = Path(__file__).parent / "shipped"  # the one small model that comes with the package


def model_path(name: str, key: str) -> Path | None:
    """File of a finished run's weights: in the runs folder, or shipped with the package; None where there is none."""
    folders = (settings.runs_dir() / "models", SHIPPED)
    return next((path for folder in folders if (path := folder / f"{name}.{key}.safetensors").exists()), None)


def shipped_run() -> Run:
    """Return the run of the model that comes with the package.

    Raises:
        SceneError: where its weights or its published record are missing.
    """
    for path in SHIPPED.glob("*.safetensors"):
        experiment, profile, seed, key = path.stem.split(".")
        if run := results.find(experiment, profile, int(seed[1:]), key):
            return run
    raise SceneError(f"no record belongs to the weights in {SHIPPED}; restore both with git")


def save_model(model: nn.Module, name: str, key: str) -> None:
    """Keep the trained weights in the runs folder (they are not published)."""
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    settings.atomic_write(settings.runs_dir() / "models" / f"{name}.{key}.safetensors", save(state))


def load_model(run: Run) -> nn.Module:
    """Return the trained model of a run, in evaluation mode.

    Raises:
        SceneError: where its weights are not in the runs folder (a published record has none).
    """
    path = model_path(run.name, run.key)
    if path is None:
        raise SceneError(f"{run.name}: its weights are not in the runs folder; RETRAIN=1 trains it again")
    experiment, local = catalogue.get(run.experiment), run.weights_choice == "local"
    strides = {"strides": LOCAL_WEIGHTS[experiment.depth][1]} if experiment.depth and local else {}
    model = experiment.build(len(run.classes), **strides)
    model.load_state_dict(load_file(path))
    return model.eval()


def members(run: Run) -> list[Run | None]:
    """Return the runs whose probabilities a run averages: itself, or an ensemble's members (None: no record)."""
    if not run.members:
        return [run]
    found = [results.find(name.split(".")[0], run.profile, run.seed) for name in run.members]
    return [each if each is not None and each.dataset["key"] == run.dataset["key"] else None for each in found]


def nets(run: Run) -> list[tuple[nn.Module, Recipe]]:
    """Return the trained networks that a run averages, each with its recipe.

    Raises:
        SceneError: where the weights of the run, or of one of its members, are not at hand.
    """
    return [(load_model(member), Recipe(**member.recipe)) for member in members(run)]


def predict(run: Run, loaded: list[tuple[nn.Module, Recipe]], split: Split) -> Tensor:
    """Return the predictions of a run's ``nets``: logits, for an ensemble log-probabilities, float (N, classes)."""
    weights = run.recipe.get("weights")
    mirror = weights is not None  # they have been chosen on mirrored predictions
    logits = [training.predict(net, split, recipe, mirror=mirror) for net, recipe in loaded]
    return log_average(logits, weights) if run.members else logits[0]
