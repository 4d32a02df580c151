"""Figures that one lesson shows: one idea each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from scene_utils import plots
from scene_utils.plots import BLUE, GREEN, GREY, INK, RED, SKY, Figure, legend_below, percent, picture, show, subplots


def _numbers(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, dtype=float)


# --- 00a: one neuron


def channels(image: ArrayLike) -> Figure:
    """One image (3, H, W), uint8, and its three channels in grey."""
    figure, axes = plots.picture_axes(1, 4, 2.1, 2.4)
    show(axes[0, 0], picture(image), "the image", size=10)
    for number, (axis, name) in enumerate(zip(axes[0, 1:], ("red", "green", "blue"), strict=True)):
        show(axis, np.asarray(image)[number], f"channel {number}: {name}", size=10, vmin=0, vmax=255)
    figure.alt = "An image and its red, green and blue channel in grey."
    return figure


def scatter(points: ArrayLike, labels: ArrayLike, classes: Sequence[str], xlabel: str, ylabel: str) -> Figure:
    """Points (N, 2), a colour and a marker per class."""
    points, labels = _numbers(points), np.asarray(labels)
    figure, axis = subplots(size=(6.4, 4.2))
    for label, (name, color) in enumerate(zip(classes, plots.class_colors(len(classes)), strict=True)):
        marker = plots.MARKERS[label % len(plots.MARKERS)]
        axis.scatter(*points[labels == label].T, s=26, c=color, marker=marker, alpha=0.75, linewidths=0, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(loc="outside right upper")
    figure.alt = f"{ylabel} against {xlabel}, one point per image, a colour per class."
    return figure


def scores_and_probabilities(scores: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]) -> Figure:
    """Bars: the scores of one image on the left, the probabilities that softmax makes of them on the right."""
    figure, axes = subplots(1, 2, (8.4, 2.9))
    parts = ("scores", scores, GREY, ".1f"), ("probabilities", probabilities, BLUE, ".2f")
    for axis, (title, values, color, form) in zip(axes, parts, strict=True):
        drawn = axis.barh(list(classes), _numbers(values), color=color, height=0.6)
        axis.bar_label(drawn, [plots.signed(value, form) for value in _numbers(values)], padding=3)
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
    slope = plots.signed(gradient, ".3f")
    axis.plot(at + reach, loss + gradient * reach, "--", color=RED, label=f"tangent, slope {slope}")
    axis.plot(at, loss, "o", color=RED, label="now")
    plots.finish_lines(figure, axis, name, "loss")
    figure.alt = f"The loss against one weight; its slope now is {gradient:.3f}."
    return figure


def by_rate(rates: Sequence[float], losses: ArrayLike, before: float, xlabel: str) -> Figure:
    """A loss against the learning rate on a logarithmic axis, and the loss before."""
    figure, axis = subplots(size=(6.4, 3.2))
    axis.semilogx(rates, _numbers(losses), "o-", color=BLUE, label="after")
    axis.axhline(before, color=INK, linestyle=":", label="before")
    axis.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axis.minorticks_off()
    plots.finish_lines(figure, axis, xlabel, "loss")
    figure.alt = f"Loss against {xlabel}: " + ", ".join(
        f"{r:g} gives {v:.2f}" for r, v in zip(rates, _numbers(losses), strict=True)
    )
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
    for axis, column, name in zip(axes, (0, 1), ("loss", "accuracy"), strict=True):
        axis.plot(*plots.counted(values[:, column]), "--", color=BLUE, label="training")
        axis.plot(*plots.counted(values[:, column + 2]), "-", color=RED, label="validation")
        axis.set(xlabel="epoch", ylabel=name)
        plots.whole_numbers(axis.xaxis)
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(0, 1.03)
    percent(axes[1].yaxis)
    legend_below(figure, axes[0])
    last = values[-1]
    figure.alt = (
        f"Loss and accuracy per epoch. At the end: training loss {last[0]:.2f}, accuracy {last[1]:.0%}; "
        f"validation loss {last[2]:.2f}, accuracy {last[3]:.0%}."
    )
    return figure


def paths(walks: Mapping[str, ArrayLike], height) -> Figure:
    """Paths (N, 2) of gradient descent over the level lines of a function of two weights, its lowest point at 0, 0."""
    figure, axes = subplots(1, len(walks), (8.6, 3.2), sharey=True, squeeze=False)
    points = np.concatenate([*map(_numbers, walks.values()), [[2, 1.8], [-6.4, -1.8]]])
    (left, low), (right, high) = points.min(axis=0) - 0.1, points.max(axis=0) + 0.1
    across, up = np.meshgrid(np.linspace(left, right, 120), np.linspace(low, high, 90))
    for axis, (name, walk) in zip(axes[0], walks.items(), strict=True):
        axis.contour(across, up, height(across, up), levels=12, colors="#BBBBBB", linewidths=0.8)
        axis.plot(*_numbers(walk).T, "o-", color=BLUE, markersize=3, linewidth=1)
        axis.plot(0, 0, "*", color=RED, markersize=13)
        axis.set(title=name, xlabel="first weight", xlim=(left, right), ylim=(low, high))
        axis.grid(False)
    axes[0, 0].set_ylabel("second weight")
    figure.alt = "Paths of gradient descent to the lowest point of a long valley: " + ", ".join(walks)
    return figure


def pairs(
    names: Sequence[str], recorded: Sequence[Sequence[float]], own: Sequence[Sequence[float]],
    expected: float | None = None, xlabel: str = "",
) -> Figure:  # fmt: skip
    """Two rows, one for each side of an experiment: a point per recorded seed, a line per pair, the reader's as stars.

    Args:
        expected: the difference that the reader predicts, drawn from the reader's own first side.
    """
    figure, axis = plots.row_axes(list(names), xlabel, per_row=0.9, width=7.4, fractions="accuracy" in xlabel)
    for position, both in enumerate(recorded):
        axis.plot(both, [0, 1], "-o", color=BLUE, alpha=0.45, label="" if position else "recorded, one seed each")
    for position, both in enumerate(own):
        axis.plot(both, [0, 1], "-*", color=RED, markersize=13, label="" if position else "yours")
    if own and expected is not None:
        look = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.6, "label": "your prediction"}
        axis.plot([own[-1][0] + expected], [1], "D", color=INK, **look)
    legend_below(figure, axis)
    means = dict(zip(names, np.mean(recorded or own, axis=0), strict=True)) if recorded or own else {}
    figure.alt = f"{xlabel} of pairs of short trainings; on average: {plots.listed(means, '.3f')}"
    return figure


# --- 00c: convolution


def rate_range(rates: Sequence[float], losses: Sequence[float], smooth: int = 7) -> Figure:
    """The loss of each batch while the learning rate grows, and its running mean."""
    shown = np.asarray(losses, dtype=float)
    kept = np.minimum.accumulate(np.isfinite(shown) & (shown < 2 * shown[0]))
    mean = pd.Series(shown).where(kept).rolling(smooth, min_periods=1, center=True).mean().where(kept)
    figure, axis = subplots(size=(6.4, 3.4))
    axis.semilogx(rates, np.where(kept, shown, np.nan), "o", color=SKY, markersize=3, label="one batch")
    axis.semilogx(rates, mean, color=BLUE, label="running mean")
    lowest = rates[int(mean.argmin())]
    axis.axvline(lowest, color=INK, linestyle=":", label=f"lowest mean: {lowest:.2g}")
    axis.set(xlabel="learning rate", ylabel="loss", ylim=(None, 1.4 * shown[0]))
    plots.plain_log(axis.xaxis)
    legend_below(figure, axis)
    figure.alt = f"Loss while the learning rate grows from {rates[0]:g} to {rates[-1]:g}: lowest at {lowest:.2g}."
    return figure


def around_zero(values: ArrayLike) -> dict:
    """How to show values in grey, with zero as the grey in the middle."""
    largest = max(float(np.abs(values).max()), 1e-12)
    return {"cmap": "gray", "vmin": -largest, "vmax": largest}


def convolutions(image: ArrayLike, filters: ArrayLike, maps: ArrayLike, names: Sequence[str]) -> Figure:
    """One row a filter: the image, the filter's part for each channel with its numbers, and the map.

    Args:
        image: uint8 (3, H, W).
        filters: (K, 3, h, w), or (K, h, w) for filters of the grey image.
        maps: the response of each filter to the image, (K, H', W'); grey is zero, in a filter as in a map.
        names: a title for each map.
    """
    filters, maps = _numbers(filters), _numbers(maps)
    parts = filters if filters.ndim == 4 else filters[:, None]
    titles = [f"on {color}" for color in ("red", "green", "blue")] if filters.ndim == 4 else ["the filter"]
    width = 9 / (2.6 + parts.shape[1]) if parts.shape[1] > 1 else 2.5
    ratios = {"width_ratios": [1.3, *([1] * parts.shape[1]), 1.3]} if parts.shape[1] > 1 else None
    figure, axes = plots.picture_axes(len(parts), 2 + parts.shape[1], width * 1.12, width * 1.36, gridspec_kw=ratios)
    for row, kernels, response, name in zip(axes, parts, maps, names, strict=True):
        show(row[0], picture(image), "the image", size=10)
        for axis, kernel, title in zip(row[1:-1], kernels, titles, strict=True):
            show(axis, kernel, title, size=10, **around_zero(kernels))
            axis.spines[:].set(visible=True, color=GREY)
            for (y, x), value in np.ndenumerate(kernel):
                ink = "white" if value < 0 else INK
                axis.text(x, y, plots.signed(value, "g"), ha="center", va="center", color=ink, fontsize=10)
        show(row[-1], response, name, size=10, **around_zero(response))
    figure.alt = "An image, filters, and the maps that they make of it: " + "; ".join(names)
    return figure


def positions(cases: Sequence[tuple[int, int]], side: int = 7, kernel: int = 3) -> Figure:
    """Where a filter stops: for each (stride, padding) the pixels, the padding, and the middle of every position."""
    figure, axes = subplots(1, len(cases), (2.4 * len(cases), 2.9), squeeze=False)
    widest = max(padding for _, padding in cases)
    for axis, (stride, padding) in zip(axes[0], cases, strict=True):
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
    """Distributions of the values (N, K) of K maps before and after a layer, on the same axis from -4 to 4."""
    figure, axes = subplots(1, 2, (8.6, 2.9), sharey=True)
    edges = np.linspace(-4, 4, 65)
    for axis, values, title in zip(axes, (_numbers(before), _numbers(after)), ("before", "after"), strict=True):
        densities = [np.histogram(column, bins=edges, density=True)[0] for column in values.T]
        middles = (edges[1:] + edges[:-1]) / 2
        plots.draw_lines(axis, {name: (middles, each) for name, each in zip(names, densities, strict=True)}, marker="")
        axis.set(title=title, xlabel="value in the map")
    axes[0].set_ylabel("density")
    legend_below(figure, axes[0])
    figure.alt = "Distribution of the values of some maps, before and after: afterwards all have mean 0 and spread 1."
    return figure


def receptive_fields(image: ArrayLike, gradients: Mapping[str, ArrayLike]) -> Figure:
    """Where one output looks: the image with a frame around all pixels that have a gradient, one panel per network."""
    figure, axes = plots.picture_axes(1, len(gradients), 2.6, 2.9)
    sides = []
    for axis, (name, gradient) in zip(axes[0], gradients.items(), strict=True):
        rows, columns = np.nonzero(np.abs(_numbers(gradient)).sum(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        corner = (columns.min() - 0.5, rows.min() - 0.5)
        axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=RED, linewidth=2))
        show(axis, picture(image), f"{name}:\n{height} × {width}", size=10)
        sides.append(f"{name} {height} x {width}")
    figure.alt = "Receptive field of one position in the middle: " + ", ".join(sides)
    return figure


# --- 01: data


def class_means(means: ArrayLike, classes: Sequence[str]) -> Figure:
    """The mean image (C, 3, H, W) in 0..1 of each class, and below what differs from the mean of all, enlarged.

    Differences have one scale for all classes: grey is zero, and all but the largest 2 % lie within it.
    """
    means = np.asarray(means, dtype=float)[:plots.SHOWN]
    differences = means - means.mean(axis=0)
    factor = 0.5 / max(np.quantile(np.abs(differences), 0.98), 1e-12)
    rows = {"mean": means, f"difference\nx {factor:.1f}": 0.5 + factor * differences}
    side = min(1.15, plots.INCHES / len(means))
    width, titles = plots.cell(classes[: plots.SHOWN], side, side)
    highest = max(title.count("\n") for title in titles)
    figure, axes = plots.picture_axes(2, len(means), width, 1.25 + 0.15 * highest, list(rows))
    for row, (line, pictures) in enumerate(zip(axes, rows.values(), strict=True)):
        for axis, each, name in zip(line, pictures, titles, strict=False):
            show(axis, picture(each), "" if row else name)
    names = ", ".join(classes[: plots.SHOWN])
    figure.alt = f"The mean image of each class, and how it differs from the mean of all: {names}."
    return figure


def colour_means(mean: ArrayLike, deviation: ArrayLike, classes: Sequence[str]) -> Figure:
    """Mean and standard deviation of red, green and blue, each (C, 3) in 0..1, by class."""
    mean, deviation = np.asarray(mean, float), np.asarray(deviation, float)
    label = "mean of an image, and its standard deviation over the images"
    figure, axis = plots.row_axes(classes, label, per_row=0.5, width=6.4)
    channels = (("red", RED, "s"), ("green", GREEN, "^"), ("blue", BLUE, "o"))
    for channel, ((name, color, marker), shift) in enumerate(zip(channels, plots.dodged(3, 0.6), strict=True)):
        rows, bars = np.arange(len(classes)) + shift, np.stack([deviation[:, channel]] * 2)
        style = {"fmt": marker, "color": color, "markeredgecolor": color, "capsize": 2}
        plots.row_points(axis, rows, mean[:, channel], bars, label=name, **style)
    legend_below(figure, axis)
    figure.alt = "Mean colour of each class (red, green, blue): " + "; ".join(
        f"{name} " + ", ".join(f"{value:.2f}" for value in row) for name, row in zip(classes, mean, strict=True)
    )
    return figure


def image_pairs(first: ArrayLike, second: ArrayLike, titles: Sequence[str], columns: int = 5) -> Figure:
    """Pairs of images (N, 3, H, W), uint8, side by side, each pair with its title."""
    figure, axes = plots.picture_axes(max(1, -(-len(titles) // columns)), columns, 1.75, 1.3)
    for axis, left, right, title in zip(axes.flat, first, second, titles, strict=False):
        left, right = picture(left), picture(right)
        gap = np.full((len(left), 4, 3), 255, dtype=np.uint8)
        show(axis, np.concatenate([left, gap, right], axis=1), title)
    figure.alt = f"{len(titles)} pairs of images: {'; '.join(titles)}".replace("\n", ", ")
    return figure


# --- 03 to 09


def interaction(table: pd.DataFrame, xlabel: str = "") -> Figure:
    """One line a net over two or more variants, each point with its interval.

    Args:
        table: columns net, variant, accuracy, low, high; nets and variants are drawn in their order.
    """
    variants, nets = (list(dict.fromkeys(table[name])) for name in ("variant", "net"))
    figure, axis = subplots(size=(5.6, 3.8))
    for position, (net, shift) in enumerate(zip(nets, plots.dodged(len(nets), 0.04 * len(nets)), strict=True)):
        rows = table[table["net"] == net]
        places = [variants.index(variant) + shift for variant in rows["variant"]]
        errors = plots.error_bars(rows)
        axis.errorbar(places, rows["accuracy"], yerr=errors, capsize=4, label=net, **plots.line_style(position))
    axis.set_xticks(range(len(variants)), variants)
    axis.set_xlim(-0.4, len(variants) - 0.6)
    axis.grid(axis="x", visible=False)
    plots.finish_lines(figure, axis, xlabel, "accuracy on the test set", fractions=True)
    values = {f"{row.net}, {row.variant}": row.accuracy for row in table.itertuples()}
    figure.alt = "accuracy on the test set: " + plots.listed(values)
    return figure


def soft_labels(images: ArrayLike, targets: ArrayLike, classes: Sequence[str], titles: Sequence[str] = ()) -> Figure:
    """Images (N, 3, H, W), uint8 or float in 0..1, and below each its target (N, C): how much of which class.

    Up to eight images, and the classes of which they have most.
    """
    images, targets = images[:8], np.asarray(targets, dtype=float)[:8]
    if len(classes) > plots.SHOWN:
        kept = np.sort(targets.max(axis=0).argsort(kind="stable")[::-1][:8])
        targets, classes = targets[:, kept], [classes[position] for position in kept]
    count = len(images)
    size, heights = (1.35 * count + 0.9, 1.6 + 0.19 * len(classes)), [1.4, 0.19 * len(classes)]
    figure, axes = subplots(2, count, size, height_ratios=heights, squeeze=False)
    for column, (above, below) in enumerate(axes.T):
        show(above, picture(images[column]), titles[column] if len(titles) else "")
        shares = targets[column]
        look = {"color": plots.class_colors(len(classes)), "edgecolor": INK, "linewidth": 0.5}
        drawn = below.barh(range(len(classes)), shares, **look)
        below.bar_label(drawn, [f"{share:.0%}" if share > 0.005 else "" for share in shares], fontsize=8, padding=2)
        plots.name_rows(below, classes if column == 0 else [""] * len(classes), "")
        below.set(xlim=(0, 1.6), xticks=[])
        below.tick_params(axis="y", length=0)
        below.spines["bottom"].set_visible(False)
    figure.alt = "Images and their targets: " + "; ".join(
        ", ".join(f"{name} {share:.0%}" for name, share in zip(classes, row, strict=True) if share > 0.005)
        for row in targets
    )
    return figure


def mixup_interpolation(probabilities: Mapping[str, ArrayLike]) -> Figure:
    """What nets predict for mixtures of two images: the first one's class, and classes of neither.

    Args:
        probabilities: (S, 3) a net: probabilities of the first, the second and all other classes, for fractions
            of the first image from 0 to 1.
    """
    figure, axes = subplots(1, 2, (9, 3.6))
    axes[0].plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as mixed")
    parts = (0, "class of the first image"), (2, "class of neither image")
    for axis, (column, title) in zip(axes, parts, strict=True):
        points = {name: (np.linspace(0, 1, len(each)), np.asarray(each)[:, column])
                  for name, each in probabilities.items()}  # fmt: skip
        plots.draw_lines(axis, points, clip_on=False)
        axis.set(xlabel="fraction of the first image", ylabel="probability", title=title, ylim=(0, 1))
        percent(axis.xaxis)
        percent(axis.yaxis)
    legend_below(figure, axes[0])
    halves = {name: np.asarray(each)[len(each) // 2, 2] for name, each in probabilities.items()}
    figure.alt = "Probabilities along mixtures of two images. Halfway, for classes of neither: " + plots.listed(halves)
    return figure


def heatmaps(
    images: ArrayLike,
    maps: Mapping[str, ArrayLike],
    titles: Sequence[str] = (),
    answers: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Images above, and below one row a method or model with its heat maps (N, H, W), with a colour bar.

    Each map is scaled to its own largest value; what is negative counts as zero.

    Args:
        answers: what to write below each map of a row.
    """
    count, answers = len(images), answers or {}
    most = max(1.3, plots.INCHES / count)
    width = max(plots.cell(each, 1.3, most)[0] for each in [titles, *answers.values()])
    titles, *below = (plots.cell(each, width, width)[1] for each in [titles, *answers.values()])
    answers = dict(zip(answers, below, strict=True))
    highest = max((each.count("\n") for row in [titles, *below] for each in row), default=0)
    figure, axes = plots.picture_axes(1 + len(maps), count, width, 1.3 + 0.15 * max(highest, 1), ["image", *maps])
    for column, axis in enumerate(axes[0]):
        show(axis, picture(images[column]), titles[column] if len(titles) else "")
    for row, (name, heats) in zip(axes[1:], maps.items(), strict=True):
        below = answers.get(name, [""] * count)
        for axis, heat, words in zip(row, np.clip(np.asarray(heats, dtype=float), 0, None), below, strict=True):
            show(axis, heat / max(heat.max(), 1e-12), below=words, cmap="inferno", vmin=0, vmax=1)
    if maps:
        bar = figure.colorbar(ScalarMappable(cmap="inferno"), ax=axes[1:], ticks=[0, 1], aspect=14 * len(maps))
        bar.ax.set_yticklabels(["none", "strongest"])
    figure.alt = f"Heat maps of {', '.join(maps)} below {count} images. {'; '.join(titles)}".replace("\n", " ").strip()
    return figure


def member_probabilities(image: ArrayLike, table: pd.DataFrame, title: str = "") -> Figure:
    """One image (3, H, W) beside the probabilities of several models: rows are classes, a column a model.

    Of many classes the most probable ones are shown; the last column is black.
    """
    if len(table) > plots.SHOWN:
        table = table.loc[table.max(axis=1).sort_values(ascending=False).index[:plots.SHOWN]]
    count = table.shape[1]
    size = (8, max(2.8, 0.6 + (0.16 + 0.11 * count) * len(table)))
    figure, axis = plots.image_and_rows(image, list(table.index), title, size, 2.4)
    for position, (name, shift) in enumerate(zip(table, plots.dodged(count, 0.8), strict=True)):
        last = position == count - 1
        look = {"color": plots.LINE_COLORS[position % 6], "hatch": plots.HATCHES[position % 6]}
        look = {"color": INK} if last else look
        axis.barh(np.arange(len(table)) + shift, table[name], 0.8 / count, edgecolor="white", label=name, **look)
    axis.set_xlim(0, 1)
    legend_below(figure, axis)
    best = [f"{name} {table[name].idxmax()} {table[name].max():.0%}" for name in table]
    figure.alt = f"{title}. Most probable class: {'; '.join(best)}."
    return figure


def hyperparameter_levels(trials: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Accuracy of every trial against each hyperparameter's levels, with the mean of each level as a line.

    Args:
        trials: one column a hyperparameter, and accuracy.
    """
    figure, axes = subplots(1, len(names), (2 * len(names) + 0.6, 3), sharey=True, squeeze=False)
    means = {name: trials.groupby(name)["accuracy"].mean() for name in names}
    for axis, (name, mean) in zip(axes[0], means.items(), strict=True):
        places = trials[name].map(list(mean.index).index)
        axis.plot(places, trials["accuracy"], "o", color=SKY, markeredgecolor=INK, markeredgewidth=0.4, alpha=0.8)
        axis.plot(range(len(mean)), mean, "_-", color=RED, markersize=12)
        axis.set_xticks(range(len(mean)), [f"{value:g}" for value in mean.index])
        axis.set(xlim=(-0.5, len(mean) - 0.5), xlabel=name.replace("_", " "))
    axes[0, 0].set_ylabel("hold-out accuracy")
    percent(axes[0, 0].yaxis)
    figure.alt = f"hold-out accuracy of {len(trials)} trials against " + "; ".join(
        f"{name}, means " + ", ".join(f"{v:g}: {m:.1%}" for v, m in mean.items()) for name, mean in means.items()
    )
    return figure
