"""Features of the last layer in a plane, before and after training: what a start is worth, as a picture."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from IPython.display import Markdown
from matplotlib.figure import Figure
from torch import nn

from scene_utils import plots, training
from scene_utils.data import Split
from scene_utils.plots import legend_below, line_style
from scene_utils.recipe import Recipe

IMAGES = 200  # of the hold-out that are shown


def last_input(model: nn.Module, split: Split, recipe: Recipe) -> np.ndarray:
    """Return what the last layer reads of each image: float (N, features)."""
    model = copy.deepcopy(model)  # prediction leaves tensors that cannot be trained on
    last, seen = list(model.modules())[-1], []
    with last.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].float().cpu())):
        training.predict(model, split, recipe)
    return torch.cat(seen).numpy()


def plane(model: nn.Module, split: Split, recipe: Recipe) -> dict:
    """Return the features of some images laid out in a plane by t-SNE, and how often the nearest one is of its class.

    Returns:
        ``points`` (n, 2), ``labels`` (n,) and ``neighbours``, a fraction, counted among all features.
    """
    from sklearn.manifold import TSNE
    from sklearn.neighbors import NearestNeighbors

    some = split.select(np.random.default_rng(0).permutation(len(split))[:IMAGES])
    found, labels = last_input(model, some, recipe), some.labels.numpy()
    nearest = NearestNeighbors(n_neighbors=2).fit(found).kneighbors(found, return_distance=False)[:, 1]
    points = TSNE(perplexity=min(30, (len(some) - 1) / 3), init="pca", random_state=0).fit_transform(found)
    same = float((labels[nearest] == labels).mean())
    return {"points": points.round(1).tolist(), "labels": labels.tolist(), "neighbours": round(same, 4)}


def figure(planes: Mapping[str, dict], classes: list[str]) -> Figure:
    """One panel per stage: a point per image, close where a network's features are alike."""
    drawn, axes = plots.subplots(2, 2, (8.4, 8.0))
    colors = plots.class_colors(len(classes))
    for axis, (title, told) in zip(axes.flat, planes.items(), strict=True):
        points, labels = np.array(told["points"]), np.array(told["labels"])
        for label, name in enumerate(classes):
            style = line_style(label) | {"linestyle": "none", "color": colors[label], "markersize": 5}
            axis.plot(*points[labels == label].T, label=name, **style)
        axis.set_title(f"{title}\nnearest neighbour of the same class: {told['neighbours']:.0%}", fontsize=9)
        axis.set(xticks=[], yticks=[])
    legend_below(drawn, axes[1, 0])
    told = "; ".join(f"{title} {each['neighbours']:.0%}" for title, each in planes.items())
    drawn.alt = f"Features of the last layer in a plane. Nearest neighbour of the same class: {told}."
    return drawn


def show(pair: list[dict], titles: list[str], classes: list[str]) -> Figure | Markdown:
    """Show both sides of a live pair before and after training; say so where the pair has kept no features."""
    kept = [(f"{title}, {stage} training", row["features"][stage]) for row, title in zip(pair, titles, strict=False)
            for stage in ("before", "after") if "features" in row]  # fmt: skip
    if len(kept) < 4:
        return Markdown("No pair with its features is there yet: write a prediction above, and run that cell.")
    return figure(dict(kept), classes)
