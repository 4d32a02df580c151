"""Do maps of what a network looks at depend on what it has learnt? The check of Adebayo et al. (2018)."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor, nn

from scene_utils import explain, plots, trained
from scene_utils.data import Split
from scene_utils.lessons.sketches import picture, show
from scene_utils.recipe import Recipe
from scene_utils.results import Run

PARTS = {  # of EfficientNet-Lite0, from the last layer backwards
    "as trained": (),
    "last layer\nrandom": ("classifier",),
    "last stage\nrandom too": ("bn2", "conv_head", "blocks.6"),
    "half of it\nrandom": ("blocks.5", "blocks.4"),
    "all random": ("blocks.3", "blocks.2", "blocks.1", "blocks.0", "bn1", "conv_stem"),
}


def randomised(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Yield the model, then copies in which more and more of its layers are drawn anew, the last ones first."""
    model = copy.deepcopy(model)
    torch.manual_seed(seed)
    for name, parts in PARTS.items():
        for part in parts:
            for module in model.get_submodule(part).modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
        yield name, model


def gradients(model: nn.Module, batch: Tensor, target: Tensor) -> np.ndarray:
    """How strongly each pixel moves the class's logit: the largest of its three derivatives, (N, H, W)."""
    from captum.attr import Saliency

    return Saliency(model).attribute(batch.clone().requires_grad_(), target=target).amax(1).detach().numpy()


def grad_cam(model: nn.Module, batch: Tensor, target: Tensor) -> np.ndarray:
    """Where the last maps speak for the class, enlarged to the image's size, (N, H, W)."""
    from captum.attr import LayerGradCam

    maps = LayerGradCam(model, model.bn2).attribute(batch, target=target).relu().detach()
    return F.interpolate(maps, batch.shape[2:], mode="bilinear", align_corners=False)[:, 0].numpy()


def edges(model: nn.Module, batch: Tensor, target: Tensor) -> np.ndarray:
    """The edges of the image, (N, H, W): no network is asked."""
    grey = batch.mean(1, keepdim=True)
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    slopes = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), torch.stack([sobel, sobel.T])[:, None])
    return slopes.norm(dim=1).numpy()


METHODS = {"gradient": gradients, "Grad-CAM": grad_cam, "edges\n(no network)": edges}


def checked(run: Run, images: Split, positions: list[int]) -> dict[str, list[np.ndarray]]:
    """Return the maps of each of ``METHODS``, one array (N, H, W) for each step of ``randomised``."""
    recipe = Recipe(**run.recipe)
    batch = explain.to_batch(images, positions, recipe.input_size)
    model = trained.load_model(run).float()
    target = model(batch).argmax(1)
    steps = [{name: method(net, batch, target) for name, method in METHODS.items()} for _, net in randomised(model)]
    return {name: [step[name] for step in steps] for name in METHODS}


def agreement(maps: list[np.ndarray]) -> list[float]:
    """Spearman's rank correlation of each step's maps with those of the trained network, mean over the images."""
    return [float(np.mean([_rank(a, b) for a, b in zip(maps[0], each, strict=True)])) for each in maps]


def _rank(first: np.ndarray, second: np.ndarray) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:  # an empty map agrees with none
        return 0.0
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def figure(image: np.ndarray, maps: dict[str, list[np.ndarray]], nth: int = 0) -> Figure:
    """One image, and its maps while the network is made random: a row per method, the agreement below each map."""
    drawn, axes = plots.picture_axes(len(maps), 1 + len(PARTS), 1.2, 1.5, list(maps))
    for row, (axis_row, steps) in enumerate(zip(axes, maps.values(), strict=True)):
        show(axis_row[0], picture(image) if row == 0 else None, "image" if row == 0 else "")
        for column, (axis, name, step, value) in enumerate(
            zip(axis_row[1:], PARTS, steps, agreement(steps), strict=True)
        ):
            heat = step[nth] / max(float(np.quantile(step[nth], 0.99)), 1e-12)
            below = "" if column == 0 else f"agreement {plots.signed(value, '.2f')}"
            show(axis, heat.clip(0, 1), name if row == 0 else "", below, cmap="inferno", vmin=0, vmax=1)
    told = (f"{' '.join(name.split())}: {agreement(steps)[-1]:.2f}" for name, steps in maps.items())
    drawn.alt = "Maps of three methods while a network is made random; agreement at the end: " + "; ".join(told)
    return drawn
