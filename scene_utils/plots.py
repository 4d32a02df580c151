"""Every figure of the series, in one style.

Functions return a ``Figure`` of this module: the last expression of a notebook cell shows it once, together
with its alternative text, and ``save`` writes it. No pyplot figure is ever open, so nothing is shown twice
and nothing has to be closed. Colours are those of Okabe and Ito (2008), told apart in grey by markers, line
styles and hatches.
"""

from __future__ import annotations

import io
import re
import warnings
from base64 import b64encode
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib import figure as mpl_figure
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.font_manager import fontManager
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import ArrayLike
from PIL import Image
from scipy.optimize import isotonic_regression
from scour import scour

from scene_utils.support.intervals import wilson_interval
from scene_utils.support.report_facts import counts as report_counts
from scene_utils.support.report_facts import total as report_total
from scene_utils.support.settings import atomic_write, say_once

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY, INK = "#56B4E9", "#CC79A7", "#F0E442", "#7F7F7F", "#222222"

# buildings, forests, glacier, mountains, sea, street
CLASS_COLORS = (RED, GREEN, SKY, PURPLE, BLUE, ORANGE)
CLASS_MARKERS = ("s", "^", "D", "v", "o", "P")
LINE_COLORS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, INK)
LINE_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", "--", "-.", ":")
SHOWN = 20  # classes in a picture of images; with more, the first ones stand for all
INCHES = 16.0  # no figure is wider or higher for many classes: 40 in a row are still read

# a folder of one's own may have names in Hangul, which Matplotlib's own font lacks
HANGUL = ("Noto Sans CJK KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
NO_GLYPH = "Glyph .* missing from"
warnings.filterwarnings("ignore", NO_GLYPH)  # a line for each letter and figure; render says it once
INSTALLED = [name for name in HANGUL if name in fontManager.get_font_names()]

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 144,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans", *INSTALLED],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
    "text.parse_math": False,  # a class may be named $1_to_$5
    "svg.hashsalt": "scene",
    "svg.fonttype": "path",
    "savefig.format": "png",
}


SMALL_SVG = {  # for scour
    "strip_comments": True,
    "newlines": False,  # a notebook keeps a line apiece, at a price
    "strip_xml_space_attribute": True,
    "indent_type": "none",
    "strip_ids": True,
    "shorten_ids": True,
    "shorten_ids_prefix": "part-",
    "digits": 4,
}


def use_style(format: str = "png") -> None:
    """Set the style for every figure made afterwards; importing this module does it once.

    Args:
        format: what notebooks embed, ``png`` or ``svg``.
    """
    matplotlib.rcParams.update(STYLE | {"savefig.format": format})


use_style()


class Figure(mpl_figure.Figure):
    """A Matplotlib figure that carries an alternative text (``alt``) into notebooks and files.

    One of photographs (``photos``) is embedded as JPEG, at a fifth of the size of a PNG.
    """

    alt = ""
    photos = False

    def _repr_mimebundle_(self, include=None, exclude=None):
        if matplotlib.rcParams["savefig.format"] == "svg" and not self.photos:
            return {"image/svg+xml": shortened(render(self, "svg"))}, {"image/svg+xml": {"alt": self.alt}}
        kind = "jpeg" if self.photos else "png"
        width, height = (round(size * self.dpi) for size in self.get_size_inches())
        metadata = {"alt": self.alt, "width": width, "height": height}
        drawn = render(self, kind)
        if not self.photos:
            drawn = in_palette(drawn)
        return {f"image/{kind}": b64encode(drawn).decode()}, {f"image/{kind}": metadata}


def render(figure: mpl_figure.Figure, format: str = "png") -> bytes:
    """The figure as bytes of a PNG, JPEG, SVG or PDF file, the same bytes each time."""
    alt = alt_text(figure)
    metadata = {
        "png": {"Description": alt},
        "svg": {"Description": alt, "Date": None},
        "pdf": {"Subject": alt, "CreationDate": None},
        "jpeg": None,
    }
    buffer = io.BytesIO()
    options = {"pil_kwargs": {"quality": 80}} if format == "jpeg" else {}
    with warnings.catch_warnings(record=True) as found:
        warnings.filterwarnings("always", NO_GLYPH)
        figure.savefig(buffer, format=format, metadata=metadata[format], **options)
    for warning in found:
        if re.match(NO_GLYPH, str(warning.message)):
            say_once("no installed font has all letters of the names in the figures; install Noto Sans CJK, say")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return buffer.getvalue()


def shortened(svg: bytes) -> str:
    """The SVG at some two thirds of the size; its parts have names of their own, as a page may hold several figures."""
    small = scour.scourString(svg.decode(), SimpleNamespace(**SMALL_SVG))
    return re.sub(r'(id="|#)part-', rf"\1f{crc32(small.encode()):x}-", small)


def in_palette(png: bytes) -> bytes:
    """The PNG in 256 colours, at half the size; as it is where that would change its colours visibly."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(256, kmeans=1, dither=Image.Dither.NONE)
    if np.abs(np.asarray(few.convert("RGB"), np.int16) - np.asarray(picture)).mean() > 1:  # of 255
        return png
    buffer = io.BytesIO()
    few.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def save(figure: mpl_figure.Figure, path: Path | str) -> Path:
    """Write the figure; the file's suffix (.png, .svg, .pdf) names the format."""
    return atomic_write(Path(path), render(figure, Path(path).suffix.lstrip(".")))


def alt_text(figure: mpl_figure.Figure) -> str:
    """The figure's alternative text."""
    return getattr(figure, "alt", "")


def subplots(rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 3.8), **options):
    """A figure of this module and its axes, as ``pyplot.subplots`` gives them, without pyplot."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def class_colors(number: int) -> list[str]:
    """Colours of the first ``number`` classes; they repeat after ``CLASS_COLORS``."""
    return list(islice(cycle(CLASS_COLORS), number))


def line_style(position: int) -> dict:
    """Colour, marker and line style of the series at ``position``, different also in grey."""
    return {
        "color": LINE_COLORS[position % len(LINE_COLORS)],
        "marker": LINE_MARKERS[position % len(LINE_MARKERS)],
        "linestyle": LINE_STYLES[position % len(LINE_STYLES)],
    }


def _percent(axis, decimals: int = 0) -> None:
    axis.set_major_formatter(PercentFormatter(1, decimals=decimals))


def _plain_log(axis) -> None:
    """A logarithmic axis with numbers as one says them: 0.001, 20, 1,000; over few decades 2 and 5 of each too."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _epochs(axis: Axes) -> None:
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _signed(number: float) -> str:
    """A count with its sign; zero has none."""
    return f"{number:+,.0f}".replace("-", "−") if number else "0"


def _error_bars(values: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Lengths of the error bars below and above, (2, N), as Matplotlib takes them."""
    values = np.asarray(values, dtype=float)
    return np.clip([values - np.asarray(low, float), np.asarray(high, float) - values], 0, None)


def _class_ticks(axis: Axes, classes: Sequence[str]) -> None:
    """Class names below an axis: upright and smaller where there are many."""
    many = len(classes) > SHOWN
    axis.set_xticks(range(len(classes)), classes, rotation=90 if many else 0)
    if many:
        axis.tick_params(axis="x", labelsize=max(4, min(9, 800 / len(classes))))


def _thinned(count: int, limit: int = 20) -> int:
    """Every how many points a marker stands."""
    return max(1, count // limit)


# --- training


def as_histories(history: pd.DataFrame | Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """One history, or a mapping of names to histories, as a mapping to data frames."""
    named = history if isinstance(history, Mapping) and "loss" not in history else {"": history}
    return {name: pd.DataFrame(value) for name, value in named.items()}


def curves(history: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Figure:
    """Loss and accuracy over epochs: hold-out solid, train dashed, one colour a run.

    Args:
        history: one history (columns epoch, loss, accuracy, holdout_loss, holdout_accuracy), or one a name;
            a column that a history lacks is not drawn.
    """
    histories = as_histories(history)
    figure, axes = subplots(1, 2, (9, 3.6))
    for position, (name, table) in enumerate(histories.items()):
        for axis, column in zip(axes, ("loss", "accuracy"), strict=True):
            for kind, key in (("train", column), ("hold-out", f"holdout_{column}")):
                if key in table:
                    label = f"{name}, {kind}" if name else kind
                    axis.plot(
                        table["epoch"], table[key], label=label, **_curve_style(position, kind, len(table))
                    )
    for axis, column in zip(axes, ("loss", "accuracy"), strict=True):
        axis.set_ylabel(column)
        _epochs(axis)
    _percent(axes[1].yaxis)
    _legend_below(figure, axes[1])
    figure.alt = "Loss and accuracy per epoch, train and hold-out. Last hold-out accuracy: " + _told(
        {name: table["holdout_accuracy"].dropna().iloc[-1] for name, table in histories.items()}
    )
    return figure


def _curve_style(position: int, kind: str, epochs: int) -> dict:
    style = line_style(position)
    if kind == "train":
        size = 3 if epochs > 1 else 9  # a single epoch has no line to see
        return {"color": style["color"], "linestyle": "--", "marker": ".", "markersize": size, "alpha": 0.8}
    return style | {"linestyle": "-", "markevery": _thinned(epochs, 10)}


def _told(values: Mapping[str, float], form: str = ".1%") -> str:
    """Names and values for an alternative text."""
    return "; ".join(f"{name} {value:{form}}".strip() for name, value in values.items()) + "."


def lines(
    series: Mapping[str, Sequence[float]],
    xlabel: str = "epoch",
    ylabel: str = "hold-out accuracy",
    percent: bool = False,
    log: bool = False,
    level: tuple[str, float] | None = None,
) -> Figure:
    """One line a name, its values at 1, 2, 3 and so on.

    Args:
        percent: whether values are shares, shown in per cent.
        log: whether the vertical axis is logarithmic.
        level: a name and a value to draw across, such as a goal or the report's figure.
    """
    figure, axis = subplots(size=(6.4, 3.8))
    for position, (name, values) in enumerate(series.items()):
        style = line_style(position) | {"markevery": _thinned(len(values), 10)}
        axis.plot(np.arange(1, len(values) + 1), values, label=name, **style)
    if level is not None:
        axis.axhline(level[1], color=INK, linestyle=":", label=level[0])
    axis.set(ylabel=ylabel, yscale="log" if log else "linear")
    if log:
        _plain_log(axis.yaxis)
    _epochs(axis)
    axis.set_xlabel(xlabel)
    if percent:
        _percent(axis.yaxis)
    _legend_below(figure, axis)
    last = {name: values[-1] for name, values in series.items()}
    figure.alt = f"{ylabel} against {xlabel}; last value: " + _told(last, ".1%" if percent else ".3g")
    return figure


def _legend_below(figure: Figure, axis: Axes, extra: Sequence[Artist] = ()) -> None:
    """A legend under the figure: one row where the names are short, else rows of three or four."""
    handles = [*axis.get_legend_handles_labels()[0], *extra]
    labels = [handle.get_label() for handle in handles]
    rows_of = 3 if len(labels) in (5, 6) else 4
    columns = len(labels) if sum(map(len, labels)) < 60 else min(rows_of, len(labels))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def schedule(rates: Mapping[str, Sequence[float]], log: bool = False) -> Figure:
    """Learning rate per epoch (from 1), one line a schedule."""
    figure, axis = subplots(size=(6.4, 3.2))
    for position, (name, values) in enumerate(rates.items()):
        epochs = np.arange(1, len(values) + 1)
        axis.plot(
            epochs,
            values,
            drawstyle="steps-mid",
            label=name,
            markevery=_thinned(len(values), 10),
            **line_style(position),
        )
    axis.set(ylabel="learning rate", yscale="log" if log else "linear")
    if log:
        _plain_log(axis.yaxis)
    else:
        axis.set_ylim(bottom=0)
    _epochs(axis)
    axis.legend()
    figure.alt = "Learning rate per epoch: " + "; ".join(
        f"{name} from {values[0]:g} to {values[-1]:g}" for name, values in rates.items()
    )
    return figure


def learning_rate_sweep(sweep: pd.DataFrame, reported: float | None = None) -> Figure:
    """The cliff: final loss against learning rate; diverged runs as crosses at the step where they ended.

    Args:
        sweep: columns learning_rate, loss, diverged_step (NaN or None where the run finished).
        reported: learning rate at which to draw a line.
    """
    sweep = sweep.sort_values("learning_rate")
    diverged = pd.to_numeric(sweep["diverged_step"]).notna()
    figure, (above, below) = subplots(2, 1, (6.4, 4.8), sharex=True, height_ratios=[3, 2])
    finished, ended = sweep[~diverged], sweep[diverged]
    above.plot(finished["learning_rate"], finished["loss"], "o-", color=BLUE, label="finished")
    cross = {"color": RED, "marker": "X", "markersize": 9, "linestyle": "none", "label": "diverged"}
    # A diverged run has no final loss: its cross stands at the upper edge, above every loss.
    edge = above.get_xaxis_transform()
    if len(ended):  # a line of nothing would lie at the figure's corner
        above.plot(ended["learning_rate"], np.full(len(ended), 0.97), transform=edge, clip_on=False, **cross)
    below.plot(ended["learning_rate"], ended["diverged_step"].astype(float), **cross)
    above.margins(y=0.15)
    above.set(xscale="log", ylabel="final loss")
    below.set(yscale="log", xlabel="learning rate", ylabel="diverged at step")
    below.margins(y=0.3)
    if ended.empty:
        below.set_ylim(1, 1000)
    _plain_log(below.xaxis)
    _plain_log(below.yaxis)
    if reported is not None:
        above.axvline(reported, color=INK, linestyle=":", label=f"report: {reported:g}")
        below.axvline(reported, color=INK, linestyle=":")
    _legend_below(figure, above)
    figure.alt = (
        f"Final loss against learning rate, {sweep['learning_rate'].min():g} to"
        f" {sweep['learning_rate'].max():g}: {len(finished)} runs finished, {len(ended)} diverged"
        + (f", the lowest at {ended['learning_rate'].min():g}." if len(ended) else ".")
    )
    return figure


def accuracy_vs_depth(table: pd.DataFrame) -> Figure:
    """Patience: hold-out accuracy against depth, one line per number of epochs.

    Args:
        table: columns depth, epochs, holdout_accuracy; optionally shortcuts (False for plain nets, dashed).
    """
    table = table.assign(shortcuts=table.get("shortcuts", True)).sort_values(["epochs", "depth"])
    depths = sorted(table["depth"].unique())
    figure, axis = subplots(size=(6.4, 4))
    lengths = sorted(table["epochs"].unique())
    for (epochs, plain), line in table.groupby(["epochs", ~table["shortcuts"].astype(bool)]):
        line = line.groupby("depth")["holdout_accuracy"].mean()
        style = line_style(lengths.index(epochs)) | {"linestyle": "--" if plain else "-"}
        fill = {"markerfacecolor": "white"} if plain else {}
        label = f"{epochs} epoch{'s' * (epochs > 1)}" + ", no shortcuts" * plain
        axis.plot(
            [depths.index(depth) for depth in line.index], line.to_numpy(), label=label, **style, **fill
        )
    axis.set_xticks(range(len(depths)), depths)
    axis.set(xlabel="layers", ylabel="hold-out accuracy")
    _percent(axis.yaxis)
    _legend_below(figure, axis)
    best = table.loc[table["holdout_accuracy"].idxmax()]
    figure.alt = (
        f"Hold-out accuracy against depth ({', '.join(map(str, depths))} layers), one line per number of"
        f" epochs ({', '.join(map(str, lengths))}). Best: {best['depth']} layers after"
        f" {best['epochs']} epochs, {best['holdout_accuracy']:.1%}."
    )
    return figure


def training_price(history: pd.DataFrame) -> pd.DataFrame:
    """Cumulative seconds and best hold-out accuracy so far: columns seconds, accuracy."""
    table = pd.DataFrame(history)
    return pd.DataFrame(
        {"seconds": table["seconds"].cumsum(), "accuracy": table["holdout_accuracy"].cummax()}
    )


def spread_out(values: Sequence[float], gap: float) -> list[float]:
    """Positions near the values, in their order, at least ``gap`` apart, so that labels do not overlap."""
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values, dtype=float)[order]
    steps = gap * np.arange(len(ordered))
    # Positions less their steps must not fall: isotonic regression moves the labels as little as possible.
    placed = isotonic_regression(ordered - steps).x + steps if len(ordered) else ordered
    positions = np.empty_like(placed)
    positions[order] = placed
    return positions.tolist()


def accuracy_vs_time(
    histories: Mapping[str, pd.DataFrame],
    tested: Mapping[str, float] | None = None,
    reported: Mapping[str, float] | None = None,
) -> Figure:
    """The price of a point: cumulative training seconds against the best hold-out accuracy so far.

    Args:
        histories: one history a model (columns seconds, holdout_accuracy).
        tested: accuracy on the test set, drawn as a diamond at the end of the model's line.
        reported: the report's accuracies, drawn as thin lines across.
    """
    tested, reported = tested or {}, reported or {}
    figure, axis = subplots(size=(8, 5))
    prices = {name: training_price(history) for name, history in histories.items()}
    for position, (name, price) in enumerate(prices.items()):
        style = line_style(position)
        axis.plot(price["seconds"], price["accuracy"], label=name, markevery=_thinned(len(price), 8), **style)
        if name in tested:
            diamond = {"color": style["color"], "markersize": 9, "markeredgecolor": INK}
            axis.plot(price["seconds"].iloc[-1], tested[name], "D", **diamond)
    ends = [price["accuracy"].iloc[-1] for price in prices.values()]
    shown = [*ends, *tested.values(), *reported.values()]
    # What matters is the last few points, not the climb from chance: it leaves the picture below.
    bottom, top = max(0, min(shown) - 0.1), min(1, max(shown) + 0.02)
    axis.set(xscale="log", xlabel="training seconds", ylabel="accuracy", ylim=(bottom, top))
    for (name, value), height in zip(
        reported.items(), spread_out(list(reported.values()), 0.042 * (top - bottom)), strict=True
    ):
        axis.axhline(value, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        axis.annotate(
            f"report: {name}",
            (1, value),
            xytext=(1.04, height),
            xycoords=axis.get_yaxis_transform(),
            textcoords=axis.get_yaxis_transform(),
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0},
            va="center",
            fontsize=8,
            annotation_clip=False,
        )
    _plain_log(axis.xaxis)
    _percent(axis.yaxis)
    diamond = {"color": "white", "markeredgecolor": INK, "markersize": 8, "linestyle": "none"}
    _legend_below(figure, axis, [Line2D([], [], marker="D", label="test set", **diamond)] if tested else [])
    seconds = {f"{name}:": price["seconds"].iloc[-1] for name, price in prices.items()}
    figure.alt = "Best hold-out accuracy against training time; training took, in seconds, " + _told(
        seconds, ",.0f"
    )
    return figure


def seeds(values: Mapping[str, Sequence[float]], label: str = "accuracy") -> Figure:
    """One point a seed, with the mean as a bar and the standard deviation as its length, a row a recipe."""
    figure, axis = subplots(size=(6.4, 0.9 + 0.45 * len(values)))
    for row, points in enumerate(values.values()):
        spread = np.std(points, ddof=1) if len(points) > 1 else 0
        axis.errorbar(np.mean(points), row, xerr=spread, fmt="|", color=INK, markersize=14, capsize=3)
        axis.plot(points, [row] * len(points), "o", color=BLUE, alpha=0.7, linestyle="none")
    axis.set_yticks(range(len(values)), list(values))
    axis.set_ylim(len(values) - 0.5, -0.5)
    axis.set_xlabel(label)
    _percent(axis.xaxis, 1)
    figure.alt = f"Mean of {label} over seeds: " + _told({name: np.mean(v) for name, v in values.items()})
    return figure


def two_by_two(table: pd.DataFrame, xlabel: str = "", ylabel: str = "accuracy on the test set") -> Figure:
    """One line a net over two or more variants, each point with its interval.

    Args:
        table: columns net, variant, accuracy, low, high; nets and variants are drawn in their order.
    """
    variants = list(dict.fromkeys(table["variant"]))
    figure, axis = subplots(size=(5.6, 3.8))
    for position, (net, rows) in enumerate(table.groupby("net", sort=False)):
        shift = 0.04 * (position - (table["net"].nunique() - 1) / 2)  # intervals beside one another
        places = [variants.index(variant) + shift for variant in rows["variant"]]
        errors = _error_bars(rows["accuracy"], rows["low"], rows["high"])
        axis.errorbar(places, rows["accuracy"], yerr=errors, capsize=4, label=net, **line_style(position))
    axis.set_xticks(range(len(variants)), variants)
    axis.set_xlim(-0.4, len(variants) - 0.6)
    axis.grid(axis="x", visible=False)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    _percent(axis.yaxis)
    _legend_below(figure, axis)
    told = {f"{row.net}, {row.variant}": row.accuracy for row in table.itertuples()}
    figure.alt = f"{ylabel}: " + _told(told)
    return figure


def bars(values: Mapping[str, float], label: str, percent: bool = False) -> Figure:
    """Horizontal bars with their values, in the order given."""
    figure, axis = subplots(size=(6.4, 0.8 + 0.36 * len(values)))
    drawn = axis.barh(list(values), list(values.values()), color=BLUE, height=0.6)
    axis.bar_label(drawn, fmt="{:.1%}" if percent else "{:.3g}", padding=3)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(label)
    if percent:
        _percent(axis.xaxis)
    figure.alt = f"{label}: " + _told(values, ".1%" if percent else ".3g")
    return figure


# --- results


def row_shares(confusion: ArrayLike) -> np.ndarray:
    """Confusion matrix with each row divided by its sum (rows without images stay zero)."""
    confusion = np.asarray(confusion, dtype=float)
    return confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)


def confusion_matrix(confusion: ArrayLike, classes: Sequence[str]) -> Figure:
    """Counts, and shares of each true class, side by side; rows are the true classes."""
    confusion = np.asarray(confusion)
    shares, number = row_shares(confusion), len(classes)
    side = min(max(3.4, 0.62 * number), INCHES / 2)
    figure, axes = subplots(1, 2, (2 * side + 1.8, side + 0.9), sharey=True)
    for axis, values, form, title in (
        (axes[0], confusion, "d", "images"),
        (axes[1], shares * 100, ".1f", "% of the true class"),
    ):
        seaborn.heatmap(
            values,
            ax=axis,
            annot=number <= 20,
            fmt=form,
            cmap="Blues",
            vmin=0,
            vmax=confusion.sum(axis=1).max() if form == "d" else 100,
            cbar=False,
            square=True,
            linewidths=0.5,
            linecolor="white",
            xticklabels=classes,
            yticklabels=classes,
            annot_kws={"fontsize": min(9, 29 * side / number)},
            rasterized=number > SHOWN,  # an SVG with a path for each of ten thousand cells is of no use
        )
        axis.set(title=title, xlabel="predicted")
        size = min(9, 58 * side / number)
        axis.tick_params(axis="x", rotation=35 if number <= SHOWN else 90, length=0, labelsize=size)
        axis.tick_params(axis="y", rotation=0, length=0, labelsize=size)
        for label in axis.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    axes[0].set_ylabel("true")
    off = confusion * (1 - np.eye(number, dtype=int))
    row, column = np.unravel_index(off.argmax(), off.shape)
    figure.alt = f"Confusion matrix, {confusion.trace():,} of {confusion.sum():,} images right."
    if off[row, column]:
        figure.alt += (
            f" Most frequent mistake: {off[row, column]} images of {classes[row]} taken for {classes[column]}."
        )
    return figure


def per_class_bars(table: pd.DataFrame, reported: Sequence[float] | None = None) -> Figure:
    """Accuracy of each class with its interval, ours beside the report's.

    Args:
        table: from ``evaluation.per_class`` (columns class, recall, low, high).
        reported: the report's recalls in the same order, where there are any.
    """
    positions, width = np.arange(len(table)), 0.38 if reported is not None else 0.6
    figure, axis = subplots(size=(min(max(6.4, 0.9 * len(table) + 1), INCHES), 3.6))
    shift = width / 2 if reported is not None else 0
    axis.bar(
        positions - shift,
        table["recall"],
        width,
        color=class_colors(len(table)),
        edgecolor=INK,
        linewidth=0.6,
        yerr=_error_bars(table["recall"], table["low"], table["high"]),
        capsize=3,
        ecolor=INK,
        label="ours",
    )
    if reported is not None:
        axis.bar(
            positions + shift,
            reported,
            width,
            color="white",
            edgecolor=INK,
            linewidth=0.6,
            hatch="////",
            label="report",
        )
        handles = [
            Patch(facecolor=GREY, edgecolor=INK, label="ours, with 95 % interval"),
            Patch(facecolor="white", edgecolor=INK, hatch="////", label="report"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    _class_ticks(axis, table["class"])
    axis.grid(axis="x", visible=False)
    axis.set(ylabel="accuracy", ylim=(0, 1.02))
    _percent(axis.yaxis)
    figure.alt = (
        "Accuracy per class: "
        + ", ".join(
            f"{name} {recall:.1%}" + (f" (report {reported[i]:.1%})" if reported is not None else "")
            for i, (name, recall) in enumerate(zip(table["class"], table["recall"], strict=True))
        )
        + "."
    )
    return figure


def reliability_diagram(tables: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy against confidence; the share of images in each bin below.

    Args:
        tables: one table from ``evaluation.reliability``, or one a model.
    """
    named = {"": tables} if isinstance(tables, pd.DataFrame) else dict(tables)
    figure, (above, below) = subplots(2, 1, (5.2, 5.4), sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as confident as right")
    for position, (name, table) in enumerate(named.items()):
        filled, style = table[table["count"] > 0], line_style(position)
        above.plot(filled["confidence"], filled["accuracy"], label=name or "model", clip_on=False, **style)
        edges = np.append(table["low"], table["high"].iloc[-1])
        below.stairs(
            table["count"] / table["count"].sum(),
            edges,
            color=style["color"],
            linestyle=style["linestyle"],
            linewidth=1.6,
        )
    above.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1))
    below.set(xlabel="confidence", ylabel="images")
    for axis in (above.xaxis, above.yaxis, below.yaxis):
        _percent(axis)
    above.legend()
    figure.alt = "Reliability diagram. Mean gap between confidence and accuracy: " + _told(
        {name: _gap(table) for name, table in named.items()}, ".3f"
    )
    return figure


def _gap(table: pd.DataFrame) -> float:
    weights = table["count"] / table["count"].sum()
    return float((weights * (table["confidence"] - table["accuracy"]).abs()).sum())


def ladder_table(
    ours: Mapping[str, tuple[int, int]], facts: Mapping, titles: Mapping[str, str]
) -> pd.DataFrame:
    """The seven models in the report's order, both readings.

    Args:
        ours: correct and total of each model of ours that has run.
        facts: the report's facts.
        titles: a name to print for each model.

    Returns:
        Columns model, title, report, report_low, report_high, report_step, ours, low, high, step. A step is
        the difference from the model above in images; what has not run is NaN.
    """
    total = sum(facts["dataset"]["val_counts"])
    rows = []
    for model in facts["results"]:
        count = report_total(facts, model)
        row = {
            "model": model,
            "title": titles.get(model, model),
            "report": count / total,
            "report_correct": count,
        }
        row["report_low"], row["report_high"] = wilson_interval(count, total)
        if model in ours:
            correct, images = ours[model]
            low, high = wilson_interval(correct, images)
            row |= {"ours": correct / images, "correct": correct, "low": low, "high": high}
        rows.append(row)
    columns = ["model", "title", "report", "report_correct", "report_low", "report_high"]
    table = pd.DataFrame(rows, columns=[*columns, "ours", "correct", "low", "high"])
    table["report_step"], table["step"] = (
        table["report_correct"].diff(),
        table["correct"].astype(float).diff(),
    )
    return table


def ladder(table: pd.DataFrame) -> Figure:
    """The ladder: the seven models, the report's and ours, with Wilson bars; steps labelled in images.

    Args:
        table: from ``ladder_table``.
    """
    figure, axis = subplots(size=(8, 0.62 * len(table) + 1.2))
    rows = np.arange(len(table))
    for shift, column, low, high, step, color, style, label in (
        (-0.17, "report", "report_low", "report_high", "report_step", ORANGE, "s", "report"),
        (0.17, "ours", "low", "high", "step", BLUE, "o", "ours"),
    ):
        axis.errorbar(
            table[column].astype(float),
            rows + shift,
            xerr=_error_bars(table[column], table[low], table[high]),
            fmt=style,
            color=color,
            markeredgecolor=INK,
            capsize=3,
            markersize=7,
            label=label,
            markerfacecolor=color if label == "ours" else "white",
        )
        for row, (value, images) in enumerate(zip(table[high].astype(float), table[step], strict=True)):
            if np.isfinite(images):
                axis.annotate(
                    _signed(images),
                    (value, row + shift),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color=INK,
                )
    axis.set_yticks(rows, table["title"])
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.margins(x=0.12)
    axis.set_xlabel("accuracy on the test set; steps in images")
    _percent(axis.xaxis)
    _legend_below(figure, axis)
    figure.alt = (
        "Accuracy of each model, the report's and ours: "
        + ", ".join(
            f"{row.title} {row.report:.1%}" + (f" and {row.ours:.1%}" if np.isfinite(row.ours) else "")
            for row in table.itertuples()
        )
        + "."
    )
    return figure


def confused(table: pd.DataFrame) -> Figure:
    """Images confused in each pair of classes, a row a pair, a mark a model (``evaluation.confused_by``)."""
    figure, axis = subplots(size=(7.4, 0.9 + 0.42 * len(table)))
    rows = np.arange(len(table))
    axis.hlines(rows, table.min(axis=1), table.max(axis=1), color="#BBBBBB", linewidth=2, zorder=1)
    for position, name in enumerate(table):
        style = line_style(position) | {"linestyle": "none", "markersize": 8}
        axis.plot(table[name], rows, label=name, zorder=2, **style)
    axis.set_yticks(rows, table.index)
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.set_xlim(left=0)
    axis.set_xlabel("test images taken for the other class of the pair")
    _legend_below(figure, axis)
    figure.alt = "Images confused in each pair of classes. " + "; ".join(
        f"{name}: " + ", ".join(f"{pair} {images}" for pair, images in table[name].items()) for name in table
    )
    return figure


def cost(table: pd.DataFrame) -> Figure:
    """Accuracy against what it costs, a mark a model: seconds of training, milliseconds for an image.

    Args:
        table: index model; columns accuracy, low, high, seconds, inference_ms.
    """
    figure, axes = subplots(1, 2, (9, 4.6), sharey=True)
    for axis, column, label in zip(
        axes, ("seconds", "inference_ms"), ("training: seconds", "answering: milliseconds an image"), strict=True
    ):
        for position, (name, row) in enumerate(table.iterrows()):
            error = [[row["accuracy"] - row["low"]], [row["high"] - row["accuracy"]]]
            style = line_style(position) | {"linestyle": "none", "markersize": 8}
            axis.errorbar(row[column], row["accuracy"], yerr=error, capsize=3, label=name, **style)
        axis.set(xscale="log", xlabel=label)
        _plain_log(axis.xaxis)
    axes[0].set_ylabel("accuracy on the test set")
    _percent(axes[0].yaxis)
    _legend_below(figure, axes[0])
    figure.alt = "Accuracy against cost: " + "; ".join(
        f"{name} {row['accuracy']:.1%}, {row['seconds']:,.0f} s, {row['inference_ms']:.1f} ms"
        for name, row in table.iterrows()
    )
    return figure


def report_changes(facts: Mapping, first: str, second: str) -> list[int]:
    """Net images per class that the report's second model gains over its first."""
    before, after = report_counts(facts, first), report_counts(facts, second)
    return [b - a for a, b in zip(before, after, strict=True)]


def class_changes(changes: pd.DataFrame, reported: Sequence[int] | None = None) -> Figure:
    """Images of each class gained and lost; Mixup's trade, where the report's net change stands beside.

    Args:
        changes: from ``evaluation.class_changes`` (columns class, gained, lost, net).
        reported: net images per class in the report, see ``report_changes``.
    """
    rows = np.arange(len(changes))
    figure, axis = subplots(size=(7, min(0.55 * len(changes) + 1.2, INCHES)))
    axis.barh(rows, changes["gained"], 0.55, color=SKY, edgecolor=INK, linewidth=0.6, label="gained")
    axis.barh(
        rows, -changes["lost"], 0.55, color=ORANGE, edgecolor=INK, linewidth=0.6, hatch="////", label="lost"
    )
    if reported is not None:
        square = {"markeredgecolor": RED, "markeredgewidth": 2, "markersize": 11, "linestyle": "none"}
        axis.plot(reported, rows, "s", color="white", label="report, net", **square)
    label = "net" if reported is None else "ours, net"
    axis.plot(changes["net"], rows, "D", color=INK, linestyle="none", markersize=6, label=label)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(rows, changes["class"])
    axis.set_ylim(len(changes) - 0.5, -0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value)))
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("images of the test set")
    _legend_below(figure, axis)
    figure.alt = (
        "Images gained and lost per class: "
        + ", ".join(f"{row[0]} +{row.gained} −{row.lost}" for row in changes.itertuples(index=False))
        + "."
    )
    return figure


def wall_table(right: Mapping[str, ArrayLike]) -> tuple[pd.DataFrame, np.ndarray]:
    """Test images by models, sorted by how many models succeed.

    Args:
        right: whether each model has each image right, (N,) booleans a model.

    Returns:
        The table (models x images; columns are positions in the test set, hardest images first; rows are
        models, best first), and the number of models that have each column right.
    """
    table = pd.DataFrame({name: np.asarray(values, dtype=bool) for name, values in right.items()})
    models = table.mean().sort_values(ascending=False, kind="stable").index
    table = table[models].assign(_solved=table.sum(axis=1))
    table = table.sort_values(["_solved", *models], kind="stable")
    return table[models].T, table["_solved"].to_numpy()


def wall_labels(solved: np.ndarray) -> tuple[list[float], list[str]]:
    """Places and texts of the labels above the wall: how many images so many models have right."""
    places, labels, gap = [], [], 0.07 * len(solved)
    parts = [(np.flatnonzero(solved == k), k) for k in np.unique(solved)]
    # The first part is the point of the picture, the others have a label where they are wide enough.
    for number, (columns, models) in enumerate(parts):
        place = float(columns.mean())
        if number == 0 or (len(columns) > gap / 2 and place - places[-1] >= gap):
            places.append(place)
            labels.append(f"{models} right:\n{len(columns):,}")
    return places, labels


def wall(
    right: Mapping[str, ArrayLike], images: ArrayLike | None = None, titles: Sequence[str] = ()
) -> Figure:
    """The wall: each column a test image, dark where a model is wrong; below, images that none gets.

    Args:
        right: see ``wall_table``.
        images: all test images (N, 3, H, W) uint8, to show up to twelve that no model gets.
        titles: the class name of each test image.
    """
    table, solved = wall_table(right)
    unsolved = table.columns[solved == 0]
    shown = unsolved[:: max(1, len(unsolved) // 12)][:12] if images is not None else []
    height = 0.32 * len(table) + 0.9
    figure = Figure(figsize=(9, height + (1.4 if len(shown) else 0)), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=[height, 1.4]) if len(shown) else [figure]
    axis = parts[0].subplots()
    axis.imshow(
        table.to_numpy(),
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap([INK, "#CFE3F1"]),
        vmin=0,
        vmax=1,
    )
    axis.set_yticks(range(len(table)), table.index)
    axis.grid(False)
    axis.set_xlabel("images of the test set, those that fewest models get first")
    for edge in np.flatnonzero(np.diff(solved)) + 0.5:
        axis.axvline(edge, color=RED, linewidth=0.8)
    places, labels = wall_labels(solved)
    top = axis.secondary_xaxis("top")
    top.set_xticks(places, labels, fontsize=8)
    top.tick_params(length=0)
    if len(shown):
        row = parts[1].subplots(1, 12)
        for cell in row:
            cell.axis("off")
        for cell, position in zip(row, shown, strict=False):
            cell.imshow(_picture(images[int(position)]))
            if len(titles):
                cell.set_title(titles[int(position)], fontsize=8)
        parts[1].suptitle("right in none of the models", fontsize=9)
        figure.photos = np.asarray(images[0]).dtype == np.uint8
    everyone = int((solved == len(table)).sum())
    figure.alt = (
        f"Each of {len(solved):,} test images by {len(table)} models: {everyone:,} are right in all models,"
        f" {len(unsolved):,} in none."
    )
    return figure


# --- images


def _picture(image: ArrayLike) -> np.ndarray:
    """An image (3, H, W) or (1, H, W), uint8 or float in 0..1, as imshow takes it."""
    picture = np.moveaxis(np.asarray(image), 0, -1)
    return picture.clip(0, 255 if picture.dtype == np.uint8 else 1)


def image_grid(images: ArrayLike, titles: Sequence[str] = (), columns: int = 8, alt: str = "") -> Figure:
    """Images (N, 3, H, W), uint8 or float in 0..1, in rows, each with its title."""
    count = len(images)
    columns = min(columns, count)
    rows = -(-count // columns)
    lines = max((str(title).count("\n") + 1 for title in titles), default=0)
    figure, axes = subplots(rows, columns, (1.15 * columns, rows * (1.15 + 0.17 * lines)), squeeze=False)
    for position, axis in enumerate(axes.flat):
        axis.axis("off")
        if position < count:
            axis.imshow(_picture(images[position]), cmap="gray")
            if len(titles):
                axis.set_title(str(titles[position]), fontsize=8, pad=3)
    figure.photos = np.asarray(images[0]).dtype == np.uint8
    figure.alt = alt or f"{count} images" + (": " + ", ".join(map(str, titles)) if len(titles) else "")
    figure.alt = figure.alt.replace("\n", " ")
    return figure


def scaled_filters(weights: ArrayLike) -> np.ndarray:
    """First-layer weights (K, C, h, w) in 0..1 for showing: each filter around 0.5, C is 1 or 3."""
    values = np.asarray(weights, dtype=float)
    largest = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + values / np.maximum(2 * largest, 1e-12)


def filters(weights: ArrayLike, titles: Sequence[str] = (), columns: int = 10) -> Figure:
    """First-layer filters (K, C, h, w) as small pictures; grey is zero, each filter has its own scale."""
    return image_grid(
        scaled_filters(weights), titles, columns, alt=f"{len(weights)} filters of a convolution"
    )


def filter_rows(rows: Mapping[str, ArrayLike]) -> Figure:
    """Filters (K, C, h, w) of several layers or stages, one row a name; grey is zero, each has its own scale."""
    arrays = [np.asarray(each) for each in rows.values()]
    pictures = [np.repeat(each, 3, axis=1) if each.shape[1] == 1 else each for each in arrays]
    figure = class_samples([scaled_filters(each) for each in pictures], list(rows))
    figure.photos = False
    figure.alt = "Filters of a convolution, one row each: " + ", ".join(rows)
    return figure


def feature_maps(maps: ArrayLike, titles: Sequence[str] = (), columns: int = 8) -> Figure:
    """Feature maps (K, H, W) of one image in grey, each from its smallest to its largest value."""
    values = np.asarray(maps, dtype=float)
    low, high = (f(values, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    scaled = (values - low) / np.maximum(high - low, 1e-12)
    return image_grid(scaled[:, None], titles, columns, alt=f"{len(values)} feature maps")


def convolutions(image: ArrayLike, kernels: ArrayLike, maps: ArrayLike, names: Sequence[str]) -> Figure:
    """One row a filter: the image, the filter with its numbers, and the map that it makes of the image.

    Args:
        image: the image (3, H, W), uint8.
        kernels: filters of one channel (K, h, w); grey is zero, in a filter as in a map.
        maps: what each filter answers to the image (K, H, W).
        names: a title for each map.
    """
    figure, axes = subplots(len(names), 3, (7.6, 2.6 * len(names)), squeeze=False)
    for row, kernel, answer, name in zip(axes, np.asarray(kernels), np.asarray(maps), names, strict=True):
        row[0].imshow(_picture(image))
        for axis, values in ((row[1], kernel), (row[2], answer)):
            largest = max(np.abs(values).max(), 1e-12)
            axis.imshow(values, cmap="gray", vmin=-largest, vmax=largest)
        for (y, x), value in np.ndenumerate(kernel):
            ink = "white" if value < 0 else INK
            row[1].text(x, y, f"{value:g}".replace("-", "−"), ha="center", va="center", color=ink, fontsize=13)
        for axis, title in zip(row, ("the image", "the filter", name), strict=True):
            axis.set(xticks=[], yticks=[], title=title)
            axis.spines[:].set_visible(False)
            axis.grid(False)
    figure.alt = "An image, filters, and what each makes of the image: " + "; ".join(names)
    return figure


def heatmaps(
    images: ArrayLike,
    maps: Mapping[str, ArrayLike],
    titles: Sequence[str] = (),
    answers: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Images above, and one row a method or model with its heat map (N, H, W) laid over them.

    Each map is scaled to its own largest value; yellow is strong, and only what is strong is covered.

    Args:
        answers: what to write below each map of a row.
    """
    count = len(images)
    figure, axes = subplots(1 + len(maps), count, (1.3 * count + 1.2, 1.4 * (1 + len(maps))), squeeze=False)
    for row, (name, rows) in enumerate({"image": None, **maps}.items()):
        for column in range(count):
            axis, picture = axes[row, column], _picture(images[column])
            axis.imshow(picture)
            if rows is not None:
                heat = np.clip(np.asarray(rows[column], dtype=float), 0, None)
                heat = heat / max(heat.max(), 1e-12)
                extent = (-0.5, picture.shape[1] - 0.5, picture.shape[0] - 0.5, -0.5)
                axis.imshow(
                    heat,
                    cmap="inferno",
                    alpha=0.75 * heat,
                    extent=extent,
                    interpolation="bilinear",
                    vmin=0,
                    vmax=1,
                )
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if row == 0 and len(titles):
                axis.set_title(str(titles[column]), fontsize=8)
            if name in (answers or {}):
                axis.set_xlabel(answers[name][column], fontsize=8)
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6)
    figure.photos = True
    figure.alt = f"Heat maps of {', '.join(maps)} over {count} images."
    return figure


def soft_labels(images: ArrayLike, targets: ArrayLike, classes: Sequence[str], titles: Sequence[str] = ()) -> Figure:
    """Images (N, 3, H, W), uint8 or float in 0..1, and below each its target (N, C): how much of which class.

    Up to eight images, and the classes of which they have most.
    """
    images, targets = images[:8], np.asarray(targets, dtype=float)[:8]
    if len(classes) > SHOWN:
        kept = np.sort(targets.max(axis=0).argsort(kind="stable")[::-1][:8])
        targets, classes = targets[:, kept], [classes[position] for position in kept]
    count = len(images)
    size, heights = (1.35 * count + 0.9, 1.6 + 0.19 * len(classes)), [1.4, 0.19 * len(classes)]
    figure, axes = subplots(2, count, size, height_ratios=heights, squeeze=False)
    for column, (above, below) in enumerate(axes.T):
        above.imshow(_picture(images[column]))
        above.axis("off")
        if len(titles):
            above.set_title(str(titles[column]), fontsize=8, pad=3)
        shares = targets[column]
        drawn = below.barh(range(len(classes)), shares, color=class_colors(len(classes)), edgecolor=INK, linewidth=0.5)
        below.bar_label(drawn, [f"{share:.0%}" if share > 0.005 else "" for share in shares], fontsize=8, padding=2)
        below.set(xlim=(0, 1.6), xticks=[], yticks=range(len(classes)))
        below.set_yticklabels(classes if column == 0 else [])
        below.tick_params(axis="y", length=0)
        below.invert_yaxis()
        below.grid(False)
        below.spines["bottom"].set_visible(False)
    figure.photos = True
    figure.alt = "Images and their targets: " + "; ".join(
        ", ".join(f"{name} {share:.0%}" for name, share in zip(classes, row, strict=True) if share > 0.005)
        for row in targets
    )
    return figure


def between(walks: Mapping[str, ArrayLike]) -> Figure:
    """What nets say of mixtures of two images: belief in the first one's class, and in neither's.

    Args:
        walks: from ``explain.mixup_interpolation``, (S, 3) a net: probabilities of first, second and other classes, for
            shares of the first image from 0 to 1.
    """
    figure, axes = subplots(1, 2, (9, 3.6))
    axes[0].plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as mixed")
    for position, (name, walk) in enumerate(walks.items()):
        shares = np.linspace(0, 1, len(walk))
        for axis, column in zip(axes, (0, 2), strict=True):
            axis.plot(shares, np.asarray(walk)[:, column], label=name, **line_style(position))
    for axis, title in zip(axes, ("the first image's class", "a class of neither image"), strict=True):
        axis.set(xlabel="share of the first image", ylabel="probability", title=title, ylim=(0, 1))
        _percent(axis.xaxis)
        _percent(axis.yaxis)
    _legend_below(figure, axes[0])
    halves = {name: np.asarray(walk)[len(walk) // 2, 2] for name, walk in walks.items()}
    figure.alt = "Probabilities along mixtures of two images. Halfway, for classes of neither: " + _told(halves)
    return figure


# --- data


def class_counts(counts: Mapping[str, Sequence[int]], classes: Sequence[str]) -> Figure:
    """Number of images of each class, one bar a set."""
    figure, axis = subplots(size=(min(max(6.4, 0.5 * len(classes)), INCHES), 3.8))
    width = 0.8 / len(counts)
    for position, (name, values) in enumerate(counts.items()):
        places = np.arange(len(classes)) + (position - (len(counts) - 1) / 2) * width
        color, hatch = (BLUE, ORANGE, GREEN)[position % 3], ("", "//", "..")[position % 3]
        drawn = axis.bar(places, values, width, label=name, color=color, hatch=hatch, edgecolor="white")
        if len(classes) <= SHOWN:
            axis.bar_label(drawn, fmt="{:,.0f}", fontsize=8, padding=2)
    _class_ticks(axis, classes)
    axis.set_ylabel("images")
    axis.grid(axis="x", visible=False)
    _legend_below(figure, axis)
    figure.alt = "Images of each class. " + " ".join(
        f"{name}: " + ", ".join(f"{c} {n:,}" for c, n in zip(classes, values, strict=True)) + "."
        for name, values in counts.items()
    )
    return figure


def class_samples(images: Sequence[ArrayLike], classes: Sequence[str]) -> Figure:
    """One row of images (N, 3, H, W) a class, for the first ``SHOWN`` classes."""
    note = f", the first {SHOWN} of {len(classes)}" if len(classes) > SHOWN else ""
    images, classes = images[:SHOWN], classes[:SHOWN]
    columns = max(map(len, images))
    figure, axes = subplots(len(classes), columns, (0.85 * columns + 0.9, 0.85 * len(classes)), squeeze=False)
    for row, name in enumerate(classes):
        for column, axis in enumerate(axes[row]):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if column < len(images[row]):
                axis.imshow(_picture(images[row][column]))
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6)
    figure.photos = True
    if note:
        figure.suptitle(note.removeprefix(", ") + " classes", fontsize=9)
    figure.alt = f"{columns} images of each class{note}: {', '.join(classes)}."
    return figure


def colour_means(mean: ArrayLike, deviation: ArrayLike, classes: Sequence[str]) -> Figure:
    """Mean and standard deviation of red, green and blue, each (C, 3) in 0..1, by class."""
    mean, deviation = np.asarray(mean, float), np.asarray(deviation, float)
    figure, axis = subplots(size=(6.4, min(0.9 + 0.5 * len(classes), INCHES)))
    for channel, (name, color, marker) in enumerate(
        (("red", RED, "s"), ("green", GREEN, "^"), ("blue", BLUE, "o"))
    ):
        places = np.arange(len(classes)) + (channel - 1) * 0.2
        axis.errorbar(
            mean[:, channel],
            places,
            xerr=deviation[:, channel],
            fmt=marker,
            color=color,
            label=name,
            capsize=2,
        )
    axis.set_yticks(range(len(classes)), classes)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("mean of an image, and its standard deviation over the images")
    _legend_below(figure, axis)
    figure.alt = "Mean colour of each class (red, green, blue): " + "; ".join(
        f"{name} " + ", ".join(f"{value:.2f}" for value in row)
        for name, row in zip(classes, mean, strict=True)
    )
    return figure


def image_pairs(first: ArrayLike, second: ArrayLike, titles: Sequence[str], columns: int = 5) -> Figure:
    """Pairs of images (N, 3, H, W), uint8, side by side, each pair with its title."""
    rows = max(1, -(-len(titles) // columns))
    figure, axes = subplots(rows, columns, (1.75 * columns, 1.3 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, left, right, title in zip(axes.flat, first, second, titles, strict=False):
        left, right = _picture(left), _picture(right)
        gap = np.full((len(left), 4, 3), 255, dtype=np.uint8)
        axis.imshow(np.concatenate([left, gap, right], axis=1))
        axis.set_title(title, fontsize=8, pad=3)
    figure.photos = True
    figure.alt = f"{len(titles)} pairs of images: {'; '.join(titles)}".replace("\n", ", ")
    return figure


def photo(image: ArrayLike, probabilities: pd.Series, title: str = "") -> Figure:
    """One image (3, H, W) beside the probability of each class, in the order of ``probabilities`` (the first 20)."""
    probabilities = probabilities.head(SHOWN)
    figure, (left, right) = subplots(1, 2, (7, max(2.2, 0.5 + 0.3 * len(probabilities))), width_ratios=[1, 2])
    left.imshow(_picture(image))
    left.axis("off")
    left.set_title(title, fontsize=9)
    drawn = right.barh(list(probabilities.index), probabilities.to_numpy(), color=BLUE, height=0.6)
    right.bar_label(drawn, fmt="{:.1%}", padding=3)
    right.invert_yaxis()
    right.set(xlim=(0, 1.15), xlabel="probability")
    right.grid(axis="y", visible=False)
    _percent(right.xaxis)
    right.set_xticks([0, 0.25, 0.5, 0.75, 1])
    figure.photos = True
    figure.alt = f"{title or 'A photo'}, probability of each class: " + _told(probabilities.to_dict(), ".1%")
    return figure


def intervals(table: pd.DataFrame, name: str, label: str = "accuracy on the test set") -> Figure:
    """Accuracies with their intervals, a row a way of answering.

    Args:
        table: columns accuracy, low, high, and ``name`` with what to write at each row.
    """
    figure, axis = subplots(size=(7, 0.9 + 0.36 * len(table)))
    rows = np.arange(len(table))
    bars = _error_bars(table["accuracy"], table["low"], table["high"])
    axis.errorbar(table["accuracy"], rows, xerr=bars, fmt="o", color=BLUE, markeredgecolor=INK, capsize=3)
    for row, (value, high) in enumerate(zip(table["accuracy"], table["high"], strict=True)):
        axis.annotate(f"{value:.2%}", (high, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(rows, table[name])
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.margins(x=0.15)
    axis.set_xlabel(label)
    _percent(axis.xaxis)
    figure.alt = f"{label}: " + _told(dict(zip(table[name], table["accuracy"], strict=True)), ".2%")
    return figure


def opinions(image: ArrayLike, table: pd.DataFrame, title: str = "") -> Figure:
    """One image (3, H, W) beside the probabilities of several models: rows are classes, a column a model.

    Of many classes the most probable ones are shown.
    """
    if len(table) > SHOWN:
        table = table.loc[table.max(axis=1).sort_values(ascending=False).index[:SHOWN]]
    figure, (left, right) = subplots(1, 2, (8, max(2.8, 0.6 + 0.48 * len(table))), width_ratios=[1, 2.4])
    left.imshow(_picture(image))
    left.axis("off")
    left.set_title(title)
    height = 0.8 / table.shape[1]
    for column, name in enumerate(table):
        places = np.arange(len(table)) + (column - (table.shape[1] - 1) / 2) * height
        last = column == table.shape[1] - 1
        color, hatch = (INK, "") if last else (LINE_COLORS[column], ("", "///", "...")[column % 3])
        right.barh(places, table[name], height, color=color, hatch=hatch, edgecolor="white", label=name)
    right.set_yticks(range(len(table)), table.index)
    right.set(xlim=(0, 1), xlabel="probability")
    right.invert_yaxis()
    right.grid(axis="y", visible=False)
    _percent(right.xaxis)
    _legend_below(figure, right)
    figure.photos = True
    figure.alt = f"{title}. Most probable class: " + "; ".join(
        f"{name} {table[name].idxmax()} {table[name].max():.0%}" for name in table
    )
    return figure


def levels(trials: pd.DataFrame, names: Sequence[str], label: str = "hold-out accuracy") -> Figure:
    """Accuracy of every trial against each hyperparameter's levels, with the mean of each level as a line.

    Args:
        trials: one column a hyperparameter, and accuracy.
    """
    figure, axes = subplots(1, len(names), (2 * len(names) + 0.6, 3), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        values = sorted(trials[name].unique())
        places = trials[name].map(values.index)
        axis.plot(places, trials["accuracy"], "o", color=SKY, markeredgecolor=INK, markeredgewidth=0.4, alpha=0.8)
        means = trials.groupby(name)["accuracy"].mean()
        axis.plot(range(len(values)), means, "_-", color=RED, markersize=12)
        axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axis.set_xlim(-0.5, len(values) - 0.5)
        axis.set_xlabel(name.replace("_", " "))
    axes[0, 0].set_ylabel(label)
    _percent(axes[0, 0].yaxis)
    figure.alt = f"{label} of {len(trials)} trials against " + "; ".join(
        f"{name}, means " + ", ".join(f"{v:g}: {m:.1%}" for v, m in trials.groupby(name)["accuracy"].mean().items())
        for name in names
    )
    return figure
