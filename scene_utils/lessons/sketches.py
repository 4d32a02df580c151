"""Figures of the first lessons: one idea each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from scene_utils.plots import (
    BLUE,
    CLASS_MARKERS,
    GREY,
    INK,
    LINE_COLORS,
    RED,
    Figure,
    class_colors,
    subplots,
)  # fmt: skip


def _numbers(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, dtype=float)


def _minus(number: float, form: str = ".1f") -> str:
    return f"{number or 0.0:{form}}".replace("-", "−")  # zero has no sign


# --- 00a: one neuron


def channels(image: ArrayLike) -> Figure:
    """One image (3, H, W), uint8, and its three channels in grey."""
    values = np.asarray(image)
    figure, axes = subplots(1, 4, (8.4, 2.4))
    axes[0].imshow(np.moveaxis(values, 0, -1))
    for axis, channel in zip(axes[1:], values, strict=True):
        axis.imshow(channel, cmap="gray", vmin=0, vmax=255)
    for axis, title in zip(axes, ("the image", "channel 0: red", "channel 1: green", "channel 2: blue"), strict=True):
        axis.set_title(title)
        axis.axis("off")
    figure.alt = "An image and its red, green and blue channel in grey."
    return figure


def scatter(points: ArrayLike, labels: ArrayLike, classes: Sequence[str], xlabel: str, ylabel: str) -> Figure:
    """Points (N, 2), a colour and a marker per class."""
    points, labels = _numbers(points), np.asarray(labels)
    figure, axis = subplots(size=(6.4, 4.2))
    for label, (name, color) in enumerate(zip(classes, class_colors(len(classes)), strict=True)):
        marker = CLASS_MARKERS[label % len(CLASS_MARKERS)]
        axis.scatter(*points[labels == label].T, s=26, c=color, marker=marker, alpha=0.75, linewidths=0, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(loc="outside right upper")
    figure.alt = f"{ylabel} against {xlabel}, one point per image, a colour per class."
    return figure


def scores_and_probabilities(scores: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]) -> Figure:
    """Bars: the scores of one image on the left, the probabilities that softmax makes of them on the right."""
    figure, axes = subplots(1, 2, (8.4, 2.9))
    for axis, values, title, color in zip(
        axes, (_numbers(scores), _numbers(probabilities)), ("scores", "probabilities"), (GREY, BLUE), strict=True
    ):
        drawn = axis.barh(list(classes), values, color=color, height=0.6)
        labels = [_minus(v) for v in values] if title == "scores" else [f"{v:.2f}" for v in values]
        axis.bar_label(drawn, labels, padding=3)
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.margins(x=0.18)
        axis.set_title(title)
    axes[0].axvline(0, color=INK, linewidth=0.8)
    axes[1].set_xlim(0, 1)
    shown = ", ".join(f"{n} {p:.2f}" for n, p in zip(classes, _numbers(probabilities), strict=True))
    figure.alt = f"Six scores and the probabilities that softmax makes of them: {shown}."
    return figure


def log_loss(marks: Sequence[float]) -> Figure:
    """The loss −ln p against the probability p of the right class, with some values marked."""
    figure, axis = subplots(size=(6.4, 3.2))
    p = np.linspace(0.01, 1, 300)
    axis.plot(p, -np.log(p), color=BLUE)
    for mark in marks:
        axis.plot(mark, -np.log(mark), "o", color=RED)
        text = f"p = {mark:.2f} costs {max(-np.log(mark), 0):.2f}"
        axis.annotate(text, (mark, -np.log(mark)), xytext=(8, 8), textcoords="offset points")
    axis.set(xlabel="probability of the right class", ylabel="loss", xlim=(0, 1.25), ylim=(-0.15, 4.8))
    axis.set_xticks(np.linspace(0, 1, 6))
    figure.alt = "The loss falls from infinity at probability 0 to 0 at probability 1."
    return figure


def slope(weights: ArrayLike, losses: ArrayLike, at: float, loss: float, gradient: float, name: str) -> Figure:
    """The loss against one weight, and the tangent where the weight is now."""
    weights = _numbers(weights)
    figure, axis = subplots(size=(6.4, 3.4))
    axis.plot(weights, _numbers(losses), color=BLUE, label="loss")
    reach = np.array([-0.3, 0.3]) * np.ptp(weights)
    axis.plot(at + reach, loss + gradient * reach, "--", color=RED, label=f"tangent, slope {_minus(gradient, '.3f')}")
    axis.plot(at, loss, "o", color=RED, label="now")
    axis.set(xlabel=name, ylabel="loss")
    figure.legend(loc="outside lower center", ncols=3)
    figure.alt = f"The loss against one weight; its slope now is {gradient:.3f}."
    return figure


def by_rate(rates: Sequence[float], losses: ArrayLike, before: float, xlabel: str) -> Figure:
    """A loss against the learning rate on a logarithmic axis, and the loss before."""
    figure, axis = subplots(size=(6.4, 3.2))
    axis.semilogx(rates, _numbers(losses), "o-", color=BLUE, label="after")
    axis.axhline(before, color=INK, linestyle=":", label="before")
    axis.set(xlabel=xlabel, ylabel="loss")
    axis.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axis.minorticks_off()
    figure.legend(loc="outside lower center", ncols=2)
    figure.alt = f"Loss against {xlabel}: " + ", ".join(
        f"{r:g} gives {v:.2f}" for r, v in zip(rates, _numbers(losses), strict=True)
    )
    return figure


def step_lines(
    series: Mapping[str, Sequence[float]],
    level: tuple[str, float] | None = None,
    ylabel: str = "loss",
    xlabel: str = "step",
) -> Figure:
    """One line per name, its values at 1, 2, 3 and so on; a level across where one is given."""
    figure, axis = subplots(size=(6.4, 3.6))
    styles = ("-", "--", "-.", ":")
    for position, (name, values) in enumerate(series.items()):
        style = {"color": LINE_COLORS[position], "linestyle": styles[position % 4]}
        axis.plot(range(1, len(values) + 1), _numbers(values), label=name, **style)
    if level is not None:
        axis.axhline(level[1], color=INK, linestyle=(0, (1, 2)), linewidth=1.2, label=level[0])
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    figure.legend(loc="outside lower center", ncols=2 if len(series) > 2 else 3)
    figure.alt = f"{ylabel} per {xlabel}; last values: " + ", ".join(f"{n} {v[-1]:.2f}" for n, v in series.items())
    return figure


# --- 00b: training


def two_layers(shapes: Sequence[tuple[str, str]], operations: Sequence[tuple[str, str]]) -> Figure:
    """A network as boxes from input to loss: what is computed on the way there, and which gradients on the way back.

    Args:
        shapes: name and shape of each box.
        operations: for each arrow between two boxes its operation, and the gradient that goes back.
    """
    figure, axis = subplots(size=(9, 2.4))
    axis.axis("off")
    axis.set(xlim=(-0.6, 2 * len(shapes) - 1.4), ylim=(-1.3, 1.3))
    for position, (name, shape) in enumerate(shapes):
        axis.add_patch(Rectangle((2 * position - 0.55, -0.42), 1.1, 0.84, facecolor="#EEF4F8", edgecolor=INK))
        axis.text(2 * position, 0.12, name, ha="center", va="center", fontsize=11, weight="bold")
        axis.text(2 * position, -0.2, shape, ha="center", va="center", fontsize=8)
    for position, (forward, backward) in enumerate(operations):
        left, right = 2 * position + 0.58, 2 * position + 1.42
        for height, (start, end), color in ((0.2, (left, right), BLUE), (-0.2, (right, left), RED)):
            arrow = {"arrowstyle": "-|>", "color": color, "lw": 1.6}
            axis.annotate("", (end, height), (start, height), arrowprops=arrow)
        axis.text(2 * position + 1, 0.55, forward, ha="center", va="bottom", color=BLUE, fontsize=9)
        axis.text(2 * position + 1, -0.55, backward, ha="center", va="top", color=RED, fontsize=9)
    figure.alt = "A network as boxes, forwards: " + ", ".join(f for f, _ in operations) + "; and the gradients back."
    return figure


def relu() -> Figure:
    """ReLU and its slope."""
    figure, axes = subplots(1, 2, (7.4, 2.4))
    x = np.linspace(-3, 3, 301)
    axes[0].plot(x, x.clip(0), color=BLUE)
    axes[0].set(title="ReLU: max(0, a)", xlabel="a", ylabel="h")
    axes[1].plot(x[x < 0], 0 * x[x < 0], color=RED)
    axes[1].plot(x[x > 0], 0 * x[x > 0] + 1, color=RED)
    axes[1].set(title="its slope: 0 or 1", xlabel="a", ylabel="slope", ylim=(-0.1, 1.2), yticks=[0, 0.5, 1])
    figure.alt = "ReLU is 0 for negative inputs and the input itself for positive ones; its slope is 0 or 1."
    return figure


def train_validation(history: Sequence[Sequence[float]]) -> Figure:
    """Loss and accuracy per epoch, training dashed and validation solid.

    Args:
        history: per epoch training loss, training accuracy, validation loss, validation accuracy.
    """
    values = _numbers(history)
    figure, axes = subplots(1, 2, (8.6, 3.4))
    epochs = np.arange(1, len(values) + 1)
    for axis, column, name in zip(axes, (0, 1), ("loss", "accuracy"), strict=True):
        axis.plot(epochs, values[:, column], "--", color=BLUE, label="training")
        axis.plot(epochs, values[:, column + 2], "-", color=RED, label="validation")
        axis.set(xlabel="epoch", ylabel=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes[0].set_ylim(bottom=0)
    axes[1].set(ylim=(0, 1.03), yticks=np.linspace(0, 1, 6), yticklabels=[f"{p}%" for p in range(0, 101, 20)])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    last = values[-1]
    figure.alt = (
        f"Loss and accuracy per epoch. At the end: training loss {last[0]:.2f}, accuracy {last[1]:.0%}; "
        f"validation loss {last[2]:.2f}, accuracy {last[3]:.0%}."
    )
    return figure


def paths(walks: Mapping[str, ArrayLike], height) -> Figure:
    """Paths (N, 2) of gradient descent over the level lines of a function of two weights."""
    figure, axes = subplots(1, len(walks), (8.6, 3.2), sharey=True)
    across, up = np.meshgrid(np.linspace(-6.5, 2, 120), np.linspace(-1.9, 1.9, 90))
    for axis, (name, walk) in zip(axes, walks.items(), strict=True):
        axis.contour(across, up, height(across, up), levels=12, colors="#BBBBBB", linewidths=0.8)
        axis.plot(*_numbers(walk).T, "o-", color=BLUE, markersize=3, linewidth=1)
        axis.plot(0, 0, "*", color=RED, markersize=13)
        axis.set(title=name, xlabel="first weight", xlim=(-6.5, 2), ylim=(-1.9, 1.9))
        axis.grid(False)
    axes[0].set_ylabel("second weight")
    figure.alt = "Paths of gradient descent to the lowest point of a long valley: " + ", ".join(walks)
    return figure


def runs(values: Mapping[str, Sequence[float]], xlabel: str, guess: float | None = None) -> Figure:
    """One row per name, one point per run, a bar at their mean; the level of guessing where it is given."""
    figure, axis = subplots(size=(7.4, 1.2 + 0.5 * len(values)))
    for position, results in enumerate(values.values()):
        results = _numbers(results)
        offsets = np.linspace(-0.14, 0.14, len(results)) if len(results) > 1 else [0]
        axis.plot(results, position + np.asarray(offsets), "o", color=BLUE, alpha=0.8)
        axis.plot([results.mean()] * 2, [position - 0.28, position + 0.28], color=RED, linewidth=2)
    if guess is not None:
        axis.axvline(guess, color=INK, linestyle=":")
        axis.text(guess, 1.01, " guessing", transform=axis.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
    axis.set(yticks=range(len(values)), yticklabels=list(values), ylim=(len(values) - 0.5, -0.5), xlabel=xlabel)
    axis.set(xlim=(0, 1), xticks=np.linspace(0, 1, 6), xticklabels=[f"{p}%" for p in range(0, 101, 20)])
    axis.grid(axis="y", visible=False)
    figure.alt = f"{xlabel}: " + "; ".join(f"{n} {np.mean(v):.0%} on average" for n, v in values.items())
    return figure


# --- 00c: convolution


def filters_on_channels(image: ArrayLike, filters: ArrayLike, maps: ArrayLike, names: Sequence[str]) -> Figure:
    """One row per filter: the image, the filter's part for each channel with its numbers, and the map.

    Args:
        image: uint8 (3, H, W).
        filters: (K, 3, h, w).
        maps: (K, H', W'); grey is zero.
    """
    filters, maps = _numbers(filters), _numbers(maps)
    ratios = {"width_ratios": [1.3, 1, 1, 1, 1.3]}
    figure, axes = subplots(len(filters), 5, (9, 2.2 * len(filters)), squeeze=False, gridspec_kw=ratios)
    for row, weights, answer, name in zip(axes, filters, maps, names, strict=True):
        row[0].imshow(np.moveaxis(np.asarray(image), 0, -1))
        row[0].set_title("the image")
        largest = np.abs(weights).max()
        for axis, channel, color in zip(row[1:4], weights, ("red", "green", "blue"), strict=True):
            axis.imshow(channel, cmap="gray", vmin=-largest, vmax=largest)
            axis.set_title(f"on {color}")
            for (y, x), value in np.ndenumerate(channel):
                ink = "white" if value < 0 else INK
                axis.text(x, y, _minus(value, "g"), ha="center", va="center", color=ink, fontsize=9)
        reach = np.abs(answer).max()
        row[4].imshow(answer, cmap="gray", vmin=-reach, vmax=reach)
        row[4].set_title(name)
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.grid(False)
    figure.alt = "An image, filters on its three channels, and the maps that they make: " + "; ".join(names)
    return figure


def positions(cases: Sequence[tuple[int, int]], side: int = 7, kernel: int = 3) -> Figure:
    """Where a filter stops: for each (stride, padding) the pixels, the padding, and the middle of every position."""
    figure, axes = subplots(1, len(cases), (2.4 * len(cases), 2.9))
    widest = max(padding for _, padding in cases)
    for axis, (stride, padding) in zip(axes, cases, strict=True):
        count = (side + 2 * padding - kernel) // stride + 1
        for y in range(-padding, side + padding):
            for x in range(-padding, side + padding):
                inside = 0 <= x < side and 0 <= y < side
                face, edge = ("#EEF4F8", "#9FB4C2") if inside else ("white", "#C8C8C8")
                line = "-" if inside else ":"
                axis.add_patch(Rectangle((x, y), 1, 1, facecolor=face, edgecolor=edge, linestyle=line, linewidth=0.9))
        middles = [start * stride - padding + kernel / 2 for start in range(count)]
        axis.plot(*np.meshgrid(middles, middles), "o", color=BLUE, markersize=5)
        first = (-padding, -padding)
        axis.add_patch(Rectangle(first, kernel, kernel, fill=False, edgecolor=RED, linewidth=2.5))
        axis.set_title(f"stride {stride}, padding {padding}:\n{count} × {count} positions")
        limits = (-widest - 0.2, side + widest + 0.2)
        axis.set(xlim=limits, ylim=limits[::-1], aspect="equal")
        axis.axis("off")
    figure.alt = f"Positions of a {kernel} x {kernel} filter on {side} x {side} pixels for stride and padding: {cases}."
    return figure


def before_after(before: ArrayLike, after: ArrayLike, names: Sequence[str]) -> Figure:
    """Distributions of the values (N, K) of K maps before and after a layer, on the same axis."""
    figure, axes = subplots(1, 2, (8.6, 2.9), sharey=True)
    for axis, values, title in zip(axes, (_numbers(before), _numbers(after)), ("before", "after"), strict=True):
        for position, name in enumerate(names):
            density, edges = np.histogram(values[:, position], bins=np.linspace(-4, 4, 65), density=True)
            style = {"color": LINE_COLORS[position], "linestyle": ("-", "--", "-.", ":")[position % 4]}
            axis.plot((edges[1:] + edges[:-1]) / 2, density, label=name, **style)
        axis.set(title=title, xlabel="value in the map", xlim=(-3, 3))
    axes[0].set_ylabel("density")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(names))
    figure.alt = "Distribution of the values of some maps, before and after: afterwards all have mean 0 and spread 1."
    return figure


def receptive_fields(image: ArrayLike, gradients: Mapping[str, ArrayLike]) -> Figure:
    """Where one output looks: the image with a frame around all pixels that have a gradient, one panel per network."""
    figure, axes = subplots(1, len(gradients), (2.6 * len(gradients), 2.9))
    sides = []
    for axis, (name, gradient) in zip(axes, gradients.items(), strict=True):
        rows, columns = np.nonzero(np.abs(_numbers(gradient)).sum(0))
        axis.imshow(np.moveaxis(np.asarray(image), 0, -1))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        corner = (columns.min() - 0.5, rows.min() - 0.5)
        axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=RED, linewidth=2))
        axis.set_title(f"{name}:\n{height} × {width}")
        axis.axis("off")
        sides.append(f"{name} {height} x {width}")
    figure.alt = "Receptive field of one position in the middle: " + ", ".join(sides)
    return figure
