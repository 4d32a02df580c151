"""Every figure of the series, in one style.

Functions return a ``Figure`` of this module: the last expression of a notebook cell shows it once, as an SVG whose
words are text, together with its alternative text. No pyplot figure is ever open, so nothing is shown twice and
nothing has to be closed. Colours are those of Okabe and Ito (2008); markers, line styles and hatches
tell the series apart in grey.

Most figures are of one of three families: rows with points or bars (``row_axes``), lines (``draw_lines``), and grids
of pictures (``picture_axes``, ``show``).
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle, islice

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

from scene_utils.support.drawn import csv as drawn_data
from scene_utils.support.intervals import counted as with_interval
from scene_utils.support.report_facts import total as report_total
from scene_utils.support.settings import say_once
from scene_utils.support.svg import PIXELATED, shortened

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY, INK = "#56B4E9", "#CC79A7", "#7F7F7F", "#222222"

# buildings, forests, glacier, mountains, sea, street
CLASS_COLORS = (RED, GREEN, SKY, PURPLE, BLUE, ORANGE)
LINE_COLORS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", "h", ">", "p")
LINE_STYLES = ("-", "--", "-.", ":")
HATCHES = ("", "///", "\\\\\\", "xxx", "---", "+++")  # dots would take 100 kB of an SVG
SHOWN = 20  # classes in a picture of images; with more, the first ones stand for all
INCHES = 16.0  # no figure is wider or higher for many classes: 40 in a row are still read
LETTER = 0.62  # mean width of a letter, in font sizes

FONT = "DejaVu Sans"
# a folder of one's own may have names in Hangul, which Matplotlib's own font lacks; browsers find a font themselves
HANGUL = ("Noto Sans CJK KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
NO_GLYPH = "Glyph .* missing from"
warnings.filterwarnings("ignore", NO_GLYPH)  # a line for each letter and figure; svg says it once
INSTALLED = [name for name in HANGUL if name in fontManager.get_font_names()]

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 144,
    "figure.facecolor": "white",
    "font.family": [FONT, *INSTALLED],
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
    "image.interpolation": "none",  # files carry every pixel once, at its own resolution
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
    "text.parse_math": False,  # a class may be named $1_to_$5
    "svg.hashsalt": "scene",
    "svg.fonttype": "none",  # text stays text: the report translates it
    "savefig.format": "svg",
}


def use_style() -> None:
    """Set the style for every figure made afterwards; importing this module does it once."""
    matplotlib.rcParams.update(STYLE)


use_style()


# --- files


class Figure(mpl_figure.Figure):
    """A Matplotlib figure that carries an alternative text (``alt``), and its data as CSV, into notebooks."""

    alt = ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = drawn_data(self)
        about = {"alt": str(self.alt)} | ({"data": data} if data else {})
        return {"image/svg+xml": svg(self)}, {"image/svg+xml": about}


def svg(figure: Figure) -> str:
    """The figure as an SVG, the same each time; letters that no font has are said once."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(record=True) as found:
        warnings.filterwarnings("always", NO_GLYPH)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    for warning in found:
        if re.match(NO_GLYPH, str(warning.message)):
            say_once("no installed font has all letters of the names in the figures; install Noto Sans CJK, say")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return shortened(buffer.getvalue().decode())


# --- the parts that figures share


def subplots(rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 3.8), **options):
    """A figure of this module and its axes, as ``pyplot.subplots`` gives them, without pyplot."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def class_colors(number: int) -> list[str]:
    """Colours of the first ``number`` classes; they repeat after ``CLASS_COLORS``."""
    return list(islice(cycle(CLASS_COLORS), number))


def line_style(position: int) -> dict:
    """Colour, marker and line style of the series at ``position``: 84 different ones, twelve different in grey."""
    return {
        "color": LINE_COLORS[position % len(LINE_COLORS)],
        "marker": MARKERS[position % len(MARKERS)],
        "linestyle": LINE_STYLES[position % len(LINE_STYLES)],
    }


class Percent(PercentFormatter):
    """Ticks in per cent, with the decimals that they have: 92%, or 92.5%."""

    def set_locs(self, locs):
        super().set_locs(locs)
        values = 100 * np.asarray(locs, dtype=float)
        self.decimals = next((d for d in range(4) if np.allclose(values, values.round(d), rtol=0, atol=1e-6)), 4)


def percent(axis) -> None:
    """An axis (``axes.xaxis``) of fractions, its ticks in per cent at 1, 2, 5, 10 and so on."""
    axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(Percent(1))


def whole_numbers(axis) -> None:
    """An axis (``axes.xaxis``) of counts."""
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def plain_log(axis) -> None:
    """A logarithmic axis with numbers as one says them: 0.001, 20, 1,000; over few decades 2 and 5 of each too."""
    low, high = axis.get_view_interval()
    if high < 10 * low:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_below(figure: Figure, axis: Axes, extra: Sequence[Artist] = ()) -> None:
    """A legend under the figure, in as many columns as have room; the figure grows by its rows."""
    handles = [*axis.get_legend_handles_labels()[0], *extra]
    labels = [handle.get_label() for handle in handles]

    def width(columns: int) -> float:  # points, with the line before each name
        longest = (max(map(len, part)) for part in np.array_split(np.array(labels, dtype=object), columns))
        return sum(LETTER * 9 * letters + 42 for letters in longest)

    fitting = [columns for columns in range(len(labels), 0, -1) if width(columns) < 72 * figure.get_figwidth()]
    columns = -(-len(labels) // -(-len(labels) // (fitting or [1])[0])) if labels else 1
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * max(0, -(-len(labels) // columns) - 1))


def listed(values: Mapping[str, float], form: str = ".1%") -> str:
    """Names and values for an alternative text."""
    return "; ".join(f"{name} {value:{form}}".strip() for name, value in values.items()) + "."


def signed(number: float, form: str = "+,.0f") -> str:
    """A number with a real minus sign; zero has no sign."""
    return f"{number or 0.0:{form if number else form.lstrip('+')}}".replace("-", "−")


def error_bars(table: pd.DataFrame, column: str = "accuracy") -> np.ndarray:
    """Lengths of the bars from a column to those named low and high, (2, N), as Matplotlib takes them."""
    return np.clip([table[column] - table["low"], table["high"] - table[column]], 0, None)


def class_ticks(axis: Axes, classes: Sequence[str]) -> None:
    """Class names below an axis: upright where they would touch, and smaller where there are many."""
    many = len(classes) > SHOWN
    room = 72 * 0.85 * axis.figure.get_figwidth() / max(1, len(classes))
    axis.set_xticks(range(len(classes)), classes)
    if many or LETTER * 9 * max(map(len, classes), default=0) > room:
        axis.tick_params(axis="x", rotation=90)
    if many:
        axis.tick_params(axis="x", labelsize=max(4, min(9, 800 / len(classes))))


def row_axes(names: Sequence[str], label: str, per_row: float = 0.36, width: float = 7.0, fractions: bool = False):
    """A figure with a row a name, the first one above, and a horizontal axis for ``label``.

    Args:
        per_row: inches.
        fractions: whether the horizontal axis is shown in per cent.

    Returns:
        The figure and its axes; rows lie at 0, 1, 2 and so on.
    """
    figure, axis = subplots(size=(width, min(0.9 + per_row * len(names), INCHES)))
    name_rows(axis, names, label, fractions)
    return figure, axis


def name_rows(axis: Axes, names: Sequence[str], label: str, fractions: bool = False) -> None:
    """Names of rows at the left, the first one above, and what the horizontal axis shows."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(max(len(names), 1) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(label)
    if fractions:
        percent(axis.xaxis)


def row_points(axis: Axes, rows: ArrayLike, values: ArrayLike, bars: ArrayLike, notes: Sequence[str] = (), **style):
    """Points in rows with error bars (2, N), and what to write to the right of each bar."""
    values = np.asarray(values, dtype=float)
    axis.errorbar(values, rows, xerr=bars, **{"fmt": "o", "color": BLUE, "markeredgecolor": INK, "capsize": 3} | style)
    for row, right, note in zip(rows, values + np.asarray(bars)[1], notes, strict=False):
        if note:
            axis.annotate(note, (right, row), (6, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    if notes:
        axis.margins(x=0.15)


def dodged(count: int, width: float) -> np.ndarray:
    """Offsets of ``count`` series in one row, over ``width`` of it, so that no mark hides another."""
    return width * (np.arange(count) - (count - 1) / 2) / max(count, 1)


def draw_lines(axis: Axes, series: Mapping[str, tuple[ArrayLike, ArrayLike]], markers: int = 10, **options) -> None:
    """One line a name through its points (x, y), with up to about ``markers`` markers each."""
    for position, (name, (x, y)) in enumerate(series.items()):
        style = {"label": name, "markevery": max(1, len(y) // markers)} | line_style(position) | options
        axis.plot(x, y, **style)


def finish_lines(figure: Figure, axis: Axes, xlabel: str, ylabel: str, fractions: bool = False, log: bool = False):
    """Name the axes, show the vertical one in per cent or logarithmic, and put the legend below."""
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        axis.set_yscale("log")
        plain_log(axis.yaxis)
    if fractions:
        percent(axis.yaxis)
    legend_below(figure, axis)


def counted(values: ArrayLike) -> tuple[np.ndarray, ArrayLike]:
    """Values over 1, 2, 3 and so on."""
    return np.arange(1, len(values) + 1), values


def picture(image: ArrayLike) -> np.ndarray:
    """An image (3, H, W) or (1, H, W), uint8 or float in 0..1, as imshow takes it."""
    shown = np.moveaxis(np.asarray(image), 0, -1)
    return shown.clip(0, 255 if shown.dtype == np.uint8 else 1)


def show(axis: Axes, shown: ArrayLike | None, title: str = "", below: str = "", size: float = 8, **options):
    """Draw pixels (H, W) or (H, W, 3) with every pixel square, a title and a line below; of None only these."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.grid(False)
    if title:
        axis.set_title(str(title), fontsize=size, pad=3)
    if below:
        axis.set_xlabel(below, fontsize=size)
    return None if shown is None else axis.imshow(shown, **{"cmap": "gray"} | options)


def picture_axes(rows: int, columns: int, width: float, height: float, names: Sequence[str] = (), **options):
    """A figure with a grid of empty axes (rows, columns), a cell ``width`` x ``height`` inches, and rows' names."""
    lines = [line for name in names for line in str(name).split("\n")]
    left = 0.2 + LETTER * 10 / 72 * max(map(len, lines)) if lines else 0
    figure, axes = subplots(rows, columns, (width * columns + left, height * rows), squeeze=False, **options)
    for axis in axes.flat:
        show(axis, None)
    for axis, name in zip(axes[:, 0], names, strict=False):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6)
    return figure, axes


# --- training


def curves(history: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Figure:
    """Loss and accuracy over epochs: hold-out solid, train dashed and hollow, one colour and marker a run.

    Args:
        history: one history (columns epoch, loss, accuracy, holdout_loss, holdout_accuracy), or one a name;
            a column that a history lacks is not drawn.
    """
    histories = {"": history} if isinstance(history, pd.DataFrame) else history
    figure, axes = subplots(1, 2, (9, 3.6))
    for axis, column in zip(axes, ("loss", "accuracy"), strict=True):
        for position, (name, table) in enumerate(histories.items()):
            for kind, key in (("train", column), ("hold-out", f"holdout_{column}")):
                if key in table:
                    label = f"{name}, {kind}" if name else kind
                    style = _curve_style(position, kind == "train") | {"markevery": max(1, len(table) // 10)}
                    axis.plot(table["epoch"], table[key], label=label, **style)
        axis.set(xlabel="epoch", ylabel=column)
        whole_numbers(axis.xaxis)
    percent(axes[1].yaxis)
    legend_below(figure, axes[1])
    last = {name: table["holdout_accuracy"].dropna().iloc[-1] for name, table in histories.items()}
    figure.alt = "Loss and accuracy per epoch, train and hold-out. Last hold-out accuracy: " + listed(last)
    return figure


def _curve_style(position: int, hollow: bool) -> dict:
    """A pair of lines in one colour: solid and filled, or dashed and hollow."""
    return line_style(position) | ({"linestyle": "--", "markerfacecolor": "white"} if hollow else {"linestyle": "-"})


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
        percent: whether values are fractions, shown in per cent.
        log: whether the vertical axis is logarithmic.
        level: a name and a value to draw across, such as a goal or the report's figure.
    """
    figure, axis = subplots(size=(6.4, 3.8))
    draw_lines(axis, {name: counted(values) for name, values in series.items()})
    if level is not None:
        axis.axhline(level[1], color=INK, linestyle=(0, (1, 2)), label=level[0])
    whole_numbers(axis.xaxis)
    finish_lines(figure, axis, xlabel, ylabel, percent, log)
    last = {name: values[-1] for name, values in series.items()}
    figure.alt = f"{ylabel} against {xlabel}; last value: " + listed(last, ".1%" if percent else ".3g")
    return figure


def schedule(rates: Mapping[str, Sequence[float]], log: bool = False) -> Figure:
    """Learning rate per epoch (from 1), one line a schedule."""
    figure, axis = subplots(size=(6.4, 3.2))
    draw_lines(axis, {name: counted(values) for name, values in rates.items()}, drawstyle="steps-mid")
    whole_numbers(axis.xaxis)
    finish_lines(figure, axis, "epoch", "learning rate", log=log)
    if not log:
        axis.set_ylim(bottom=0)
    figure.alt = "Learning rate per epoch: " + "; ".join(
        f"{name} from {values[0]:g} to {values[-1]:g}" for name, values in rates.items()
    )
    return figure


def learning_rate_sweep(sweep: pd.DataFrame, reported: float | None = None) -> Figure:
    """Final loss against learning rate; diverged runs as crosses, and below the step where they ended.

    Args:
        sweep: columns learning_rate, loss, diverged_step (NaN or None where the run finished).
        reported: learning rate at which to draw a line.
    """
    sweep = sweep.sort_values("learning_rate")
    diverged = sweep["diverged_step"].notna()
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
    if reported is not None:
        for axis in (above, below):
            axis.axvline(reported, color=INK, linestyle=":", label=f"report: {reported:g}")
    plain_log(below.xaxis)
    plain_log(below.yaxis)
    legend_below(figure, above)
    rates = f"{sweep['learning_rate'].min():g} to {sweep['learning_rate'].max():g}"
    figure.alt = f"Final loss against learning rate, {rates}: {len(finished)} runs finished, {len(ended)} diverged"
    figure.alt += f", the lowest at {ended['learning_rate'].min():g}." if len(ended) else "."
    return figure


def accuracy_vs_depth(table: pd.DataFrame) -> Figure:
    """Hold-out accuracy against depth, one line per number of epochs.

    Args:
        table: columns depth, epochs, holdout_accuracy, shortcuts (False for plain nets, dashed, hollow).
    """
    table = table.sort_values(["epochs", "depth"])
    depths, lengths = (sorted(table[name].unique()) for name in ("depth", "epochs"))
    figure, axis = subplots(size=(6.4, 4))
    for (epochs, plain), line in table.groupby(["epochs", ~table["shortcuts"].astype(bool)]):
        line = line.groupby("depth")["holdout_accuracy"].mean()
        label = f"{epochs} epoch{'s' if epochs > 1 else ''}{', no shortcuts' if plain else ''}"
        style = _curve_style(lengths.index(epochs), plain)
        axis.plot([depths.index(depth) for depth in line.index], line.to_numpy(), label=label, **style)
    axis.set_xticks(range(len(depths)), depths)
    finish_lines(figure, axis, "layers", "hold-out accuracy", fractions=True)
    best = table.loc[table["holdout_accuracy"].idxmax()]
    figure.alt = (
        f"Hold-out accuracy against depth ({', '.join(map(str, depths))} layers), one line per number of epochs"
        f" ({', '.join(map(str, lengths))}). Best: {best['depth']} layers after {best['epochs']} epochs,"
        f" {best['holdout_accuracy']:.1%}."
    )
    return figure


def accuracy_vs_time(histories: Mapping[str, pd.DataFrame], tested: Mapping[str, float] | None = None) -> Figure:
    """Cumulative training seconds against the best hold-out accuracy so far.

    Args:
        histories: one history a model (columns seconds, holdout_accuracy).
        tested: accuracy on the test set, drawn as a large hollow mark at the end of the model's line.
    """
    tested = tested or {}
    figure, axis = subplots(size=(8, 5))
    prices = {name: (each["seconds"].cumsum(), each["holdout_accuracy"].cummax()) for name, each in histories.items()}
    draw_lines(axis, prices, 8)
    hollow = {"markersize": 11, "markerfacecolor": "none", "linestyle": "none"}
    for position, (name, (seconds, _)) in enumerate(prices.items()):
        if name in tested:
            axis.plot(seconds.iloc[-1], tested[name], **line_style(position) | hollow)
    axis.set(xscale="log", xlabel="training time (seconds)", ylabel="best hold-out accuracy so far")
    plain_log(axis.xaxis)
    percent(axis.yaxis)
    mark = Line2D([], [], marker="o", color=INK, label="test set (large, hollow)", **hollow)
    legend_below(figure, axis, [mark] if tested else [])
    seconds = {f"{name}:": seconds.iloc[-1] for name, (seconds, _) in prices.items()}
    figure.alt = "Best hold-out accuracy against training time; training took, in seconds, " + listed(seconds, ",.0f")
    return figure


def seeds(values: Mapping[str, Sequence[float]], label: str = "accuracy", guessing: float | None = None) -> Figure:
    """One point a seed, with the mean as a bar and the standard deviation as its length, a row a recipe.

    Args:
        guessing: accuracy of guessing, drawn as a line.
    """
    figure, axis = row_axes(list(values), label, per_row=0.45, width=6.4, fractions=True)
    for row, points in enumerate(values.values()):
        spread = np.std(points, ddof=1) if len(points) > 1 else 0
        row_points(axis, [row], [np.mean(points)], [[spread], [spread]], fmt="|", color=INK, markersize=18)
        axis.plot(points, row + dodged(len(points), 0.4), "o", color=BLUE, alpha=0.7, linestyle="none")
    if guessing is not None:
        axis.axvline(guessing, color=INK, linestyle=":", label="guessing")
        legend_below(figure, axis)
    figure.alt = f"Mean of {label} over seeds: " + listed({name: np.mean(v) for name, v in values.items()})
    return figure


def bars(values: Mapping[str, float], label: str, percent: bool = False) -> Figure:
    """Horizontal bars with their values, in the order given."""
    figure, axis = row_axes(list(values), label, width=6.4, fractions=percent)
    drawn = axis.barh(range(len(values)), list(values.values()), color=BLUE, height=0.6)
    form = ".1%" if percent else ",.0f" if max(map(abs, values.values()), default=0) >= 1000 else ".3g"
    axis.bar_label(drawn, [signed(value, form) for value in values.values()], padding=3)
    axis.margins(x=0.12)
    figure.alt = f"{label}: " + listed(values, form)
    return figure


# --- results


def confusion_matrix(confusion: ArrayLike, classes: Sequence[str]) -> Figure:
    """Counts, and fractions of each true class, side by side; rows are the true classes."""
    confusion = np.asarray(confusion)
    number = len(classes)
    side = min(max(3.4, 0.62 * number), INCHES / 2)
    figure, axes = subplots(1, 2, (2 * side + 1.8, side + 0.9), sharey=True)
    _matrix(axes[0], confusion, "d", confusion.sum(axis=1).max(), classes, side)
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)  # a row without images stays zero
    _matrix(axes[1], fractions * 100, ".1f", 100, classes, side)
    axes[0].set(title="images", xlabel="predicted", ylabel="true")
    axes[1].set(title="% of the true class", xlabel="predicted")
    off = confusion * (1 - np.eye(number, dtype=int))
    row, column = np.unravel_index(off.argmax(), off.shape)
    figure.alt = f"Confusion matrix, {confusion.trace():,} of {confusion.sum():,} images correct."
    if off[row, column]:
        worst = f"{off[row, column]} images of {classes[row]} classified as {classes[column]}"
        figure.alt += f" Most frequent mistake: {worst}."
    return figure


def _matrix(axis: Axes, values: np.ndarray, form: str, largest: float, classes: Sequence[str], side: float) -> None:
    """One matrix of ``side`` inches, with its numbers where there are few enough to read."""
    number = len(classes)
    look = {"cmap": "Blues", "vmin": 0, "vmax": largest, "cbar": False, "linewidths": 0.5, "linecolor": "white"}
    look |= {"annot": number <= SHOWN, "fmt": form, "annot_kws": {"fontsize": min(9, 29 * side / number)}}
    look |= {"rasterized": number > SHOWN}  # an SVG with a path for each of ten thousand cells is of no use
    seaborn.heatmap(values, ax=axis, square=True, xticklabels=classes, yticklabels=classes, **look)
    size = min(9, 58 * side / number)
    axis.tick_params(axis="x", rotation=35 if number <= SHOWN else 90, length=0, labelsize=size)
    axis.tick_params(axis="y", rotation=0, length=0, labelsize=size)
    for label in axis.get_xticklabels():
        label.set(horizontalalignment="right", rotation_mode="anchor")


def per_class_bars(table: pd.DataFrame, reported: Sequence[float] | None = None) -> Figure:
    """Accuracy of each class with its interval, ours beside the report's.

    Args:
        table: from ``evaluation.per_class`` (columns class, recall, low, high).
        reported: the report's recalls in the same order, where there are any.
    """
    positions, width = np.arange(len(table)), 0.38 if reported is not None else 0.6
    figure, axis = subplots(size=(min(max(6.4, 0.9 * len(table) + 1), INCHES), 3.6))
    shift = width / 2 if reported is not None else 0
    look = {"edgecolor": INK, "linewidth": 0.6}
    errors = {"yerr": error_bars(table, "recall"), "capsize": 3, "ecolor": INK}
    colors = class_colors(len(table))
    axis.bar(positions - shift, table["recall"], width, color=colors, label="ours", **look, **errors)
    if reported is not None:
        axis.bar(positions + shift, reported, width, color="white", hatch="////", label="report", **look)
        ours = Patch(facecolor=GREY, edgecolor=INK, label="ours, with 95 % interval")
        report = Patch(facecolor="white", edgecolor=INK, hatch="////", label="report")
        figure.legend(handles=[ours, report], loc="outside lower center", ncols=2)
    class_ticks(axis, table["class"])
    axis.grid(axis="x", visible=False)
    axis.set(ylabel="accuracy", ylim=(0, 1.02))
    percent(axis.yaxis)
    theirs = [""] * len(table) if reported is None else [f" (report {value:.1%})" for value in reported]
    parts = [f"{c} {r:.1%}{other}" for c, r, other in zip(table["class"], table["recall"], theirs, strict=True)]
    figure.alt = f"Accuracy per class: {', '.join(parts)}."
    return figure


def reliability_diagram(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy against confidence; the fraction of images in each bin below.

    Args:
        tables: one table a model, from ``evaluation.reliability``.
    """
    figure, (above, below) = subplots(2, 1, (5.2, 5.6), sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (1, 1)), label="accuracy = confidence")
    filled = {name: table.dropna() for name, table in tables.items()}
    points = {name: (table["confidence"], table["accuracy"]) for name, table in filled.items()}
    draw_lines(above, points, markers=100, clip_on=False)
    for position, table in enumerate(tables.values()):
        style = line_style(position)
        edges = np.append(table["low"], table["high"].iloc[-1])
        look = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 1.6}
        below.stairs(table["count"] / table["count"].sum(), edges, **look)
    above.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1))
    below.set(xlabel="confidence", ylabel="images")
    for axis in (above.xaxis, above.yaxis, below.yaxis):
        percent(axis)
    legend_below(figure, above)
    gaps = {name: np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["count"])
            for name, table in filled.items()}  # fmt: skip
    figure.alt = "Reliability diagram. Mean gap between confidence and accuracy: " + listed(gaps, ".3f")
    return figure


def ladder_tables(ours: Mapping[str, tuple[int, int]], facts: Mapping) -> dict[str, pd.DataFrame]:
    """The readings of the seven models in the report's order: a table for ``report``, and one for ``ours``.

    Args:
        ours: correct and total of each model of ours that has run.
        facts: the report's facts.

    Returns:
        Index model; columns correct, accuracy, low, high, step. A step is the difference from the model above in
        images; what has not run is NaN.
    """
    total = sum(facts["dataset"]["val_counts"])
    report = {model: (report_total(facts, model), total) for model in facts["results"]}
    tables = {}
    for name, counts in {"report": report, "ours": ours}.items():
        rows = [with_interval(*counts[model]) if model in counts else {} for model in report]
        table = pd.DataFrame(rows, list(report), ["correct", "accuracy", "low", "high"], dtype=float)
        tables[name] = table.assign(step=table["correct"].diff())
    return tables


def ladder(tables: Mapping[str, pd.DataFrame], titles: Mapping[str, str]) -> Figure:
    """The seven models, the report's and ours, with Wilson intervals; steps labelled in images.

    Args:
        tables: from ``ladder_tables``.
        titles: a name to print for each model.
    """
    names = [titles[model] for model in tables["report"].index]
    label = "accuracy on the test set; steps in images"
    figure, axis = row_axes(names, label, per_row=0.62, width=8, fractions=True)
    looks = {"report": (-0.17, {"fmt": "s", "color": ORANGE, "markerfacecolor": "white"}), "ours": (0.17, {})}
    for name, (shift, style) in looks.items():
        table = tables[name]
        notes = [signed(images) if np.isfinite(images) else "" for images in table["step"]]
        rows = np.arange(len(table)) + shift
        row_points(axis, rows, table["accuracy"], error_bars(table), notes, markersize=7, label=name, **style)
    legend_below(figure, axis)
    accuracies = zip(names, tables["report"]["accuracy"], tables["ours"]["accuracy"], strict=True)
    figure.alt = "Accuracy of each model, the report's and ours: " + ", ".join(
        f"{name} {theirs:.1%}" + (f" and {ours:.1%}" if np.isfinite(ours) else "") for name, theirs, ours in accuracies
    )
    return figure


def intervals(table: pd.DataFrame, name: str, label: str = "accuracy on the test set") -> Figure:
    """Accuracies with their intervals, one in each row.

    Args:
        table: columns accuracy, low, high, and ``name`` with what to write at each row.
    """
    figure, axis = row_axes(list(table[name]), label, fractions=True)
    notes = [f"{value:.2%}" for value in table["accuracy"]]
    row_points(axis, range(len(table)), table["accuracy"], error_bars(table), notes)
    figure.alt = f"{label}: " + listed(dict(zip(table[name], table["accuracy"], strict=True)), ".2%")
    return figure


def confused(table: pd.DataFrame) -> Figure:
    """Images confused in each pair of classes, a row a pair, a mark a model (``evaluation.confused_by``)."""
    label = "test images of one class of the pair, classified as the other"
    figure, axis = row_axes(list(table.index), label, per_row=0.16 + 0.13 * table.shape[1], width=7.4)
    rows = np.arange(len(table))
    for position, (name, shift) in enumerate(zip(table, dodged(table.shape[1], 0.8), strict=True)):
        style = line_style(position) | {"linestyle": "none", "markersize": 7}
        axis.hlines(rows + shift, 0, table[name], color="#CCCCCC", linewidth=1, zorder=1)
        axis.plot(table[name], rows + shift, label=name, zorder=2, clip_on=False, **style)
    for edge in rows[1:] - 0.5:
        axis.axhline(edge, color="#DDDDDD", linewidth=0.6)
    axis.set_xlim(left=0)
    whole_numbers(axis.xaxis)
    legend_below(figure, axis)
    figure.alt = "Images confused in each pair of classes. " + "; ".join(
        f"{name}: " + ", ".join(f"{pair} {images}" for pair, images in table[name].items()) for name in table
    )
    return figure


def cost(table: pd.DataFrame) -> Figure:
    """Accuracy against what it costs, a hollow mark a model: seconds of training, milliseconds for an image.

    Args:
        table: index model; columns accuracy, low, high, seconds, inference_ms.
    """
    figure, axes = subplots(1, 2, (9, 4.6), sharey=True)
    labels = {"seconds": "training time (seconds)", "inference_ms": "inference time (milliseconds per image)"}
    errors = error_bars(table)
    for axis, (column, label) in zip(axes, labels.items(), strict=True):
        for position, (name, row) in enumerate(table.iterrows()):
            hollow = {"linestyle": "none", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.8}
            style = line_style(position) | hollow | {"capsize": 3, "elinewidth": 1}
            axis.errorbar(row[column], row["accuracy"], yerr=errors[:, [position]], label=name, **style)
        axis.set(xscale="log", xlabel=label)
        axis.margins(x=0.08)
        plain_log(axis.xaxis)
    axes[0].set_ylabel("accuracy on the test set")
    percent(axes[0].yaxis)
    legend_below(figure, axes[0])
    figure.alt = "Accuracy against cost: " + "; ".join(
        f"{name} {row['accuracy']:.1%}, {row['seconds']:,.0f} s, {row['inference_ms']:.1f} ms"
        for name, row in table.iterrows()
    )
    return figure


def class_changes(changes: pd.DataFrame, reported: Sequence[int] | None = None) -> Figure:
    """Images of each class gained and lost, and the net change; the report's beside it.

    Args:
        changes: from ``evaluation.class_changes`` (columns class, gained, lost, net).
        reported: net images per class in the report.
    """
    figure, axis = row_axes(list(changes["class"]), "images of the test set", per_row=0.55)
    rows, look = np.arange(len(changes)), {"edgecolor": INK, "linewidth": 0.6}
    axis.barh(rows, changes["gained"], 0.55, color=SKY, label="gained", **look)
    axis.barh(rows, -changes["lost"], 0.55, color=ORANGE, hatch="////", label="lost", **look)
    if reported is not None:
        square = {"markeredgecolor": RED, "markeredgewidth": 2, "markersize": 12, "linestyle": "none"}
        axis.plot(reported, rows, "s", color="white", label="report, net", **square)
    label = "net" if reported is None else "ours, net"
    axis.plot(changes["net"], rows, "D", color=INK, linestyle="none", markersize=6, label=label)
    axis.axvline(0, color=INK, linewidth=0.8)
    whole_numbers(axis.xaxis)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(value)))
    legend_below(figure, axis)
    parts = [f"{row[0]} +{row.gained} −{row.lost}" for row in changes.itertuples(index=False)]
    figure.alt = f"Images gained and lost per class: {', '.join(parts)}."
    return figure


def wall_table(right: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Test images by models: columns are positions in the test set, hardest first; rows are models, best first.

    Args:
        right: whether each model has each image right, (N,) booleans a model.
    """
    table = pd.DataFrame(right)
    models = table.mean().sort_values(ascending=False, kind="stable").index
    table = table[models].assign(_solved=table.sum(axis=1))
    return table.sort_values(["_solved", *models], kind="stable")[models].T


def wall_labels(solved: np.ndarray, models: int) -> tuple[list[float], list[str]]:
    """Places and texts of the labels above the wall: of how many models so many images are right."""
    places, labels, gap = [], [], 0.07 * len(solved)
    parts = [(np.flatnonzero(solved == k), k) for k in np.unique(solved)]
    # The first part is the point of the picture, the others have a label where they are wide enough.
    for number, (columns, right) in enumerate(parts):
        place = float(columns.mean())
        if number == 0 or (len(columns) > gap / 2 and place - places[-1] >= gap):
            places.append(place)
            labels.append(f"{right} / {models}\n{len(columns):,}")
    return places, labels


def wall(right: Mapping[str, ArrayLike], images: ArrayLike | None = None, titles: Sequence[str] = ()) -> Figure:
    """Each column a test image, dark where a model is wrong; below, images that every model gets wrong.

    Args:
        right: see ``wall_table``.
        images: all test images (N, 3, H, W) uint8, to show up to twelve that no model gets.
        titles: the class name of each test image.
    """
    table = wall_table(right)
    solved = table.sum().to_numpy()
    unsolved = table.columns[solved == 0]
    shown = unsolved[:: max(1, len(unsolved) // 12)][:12] if images is not None else []
    height = 0.32 * len(table) + 1.1
    figure = Figure(figsize=(9, height + (1.5 if len(shown) else 0)), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=[height, 1.5]) if len(shown) else [figure]
    axis = parts[0].subplots()
    thick = np.repeat(table.to_numpy(), PIXELATED, axis=0)  # a viewer may shrink it smoothly, and rows stay rows
    extent = (-0.5, len(solved) - 0.5, len(table) - 0.5, -0.5)
    axis.imshow(thick, aspect="auto", cmap=ListedColormap([INK, "#CFE3F1"]), vmin=0, vmax=1, extent=extent)
    axis.set_yticks(range(len(table)), table.index)
    axis.grid(False)
    axis.set_xlabel("images of the test set, the hardest first")
    for edge in np.flatnonzero(np.diff(solved)) + 0.5:
        axis.axvline(edge, color=RED, linewidth=0.8)
    top = axis.secondary_xaxis("top")
    top.set_xticks(*wall_labels(solved, len(table)), fontsize=8)
    top.set_xlabel("correct models, and number of images", fontsize=9)
    top.tick_params(length=0)
    if len(shown):
        row = parts[1].subplots(1, 12)
        for cell in row:
            cell.axis("off")
        for cell, position in zip(row, shown, strict=False):
            show(cell, picture(images[int(position)]), titles[int(position)] if len(titles) else "")
        parts[1].suptitle("misclassified by every model", fontsize=9)
    counts = f"all models are right on {(solved == len(table)).sum():,} images, none on {len(unsolved):,}"
    figure.alt = f"Each of {len(solved):,} test images by {len(table)} models: {counts}."
    return figure


# --- images


def cell(titles: Sequence[str], least: float, most: float) -> tuple[float, list[str]]:
    """Return how wide a picture's cell must be for these titles, from ``least`` to ``most`` inches, and the titles
    broken into lines that it holds: names of classes may be long.
    """
    letters = max((len(line) for title in titles for line in str(title).split("\n")), default=0)
    width = min(max(least, 0.1 + LETTER * 8 / 72 * letters), most)
    holds = int((width - 0.1) * 72 / (LETTER * 8) + 1e-6)
    return width, ["\n".join(textwrap.fill(line, holds) for line in str(title).split("\n")) for title in titles]


def image_grid(images: ArrayLike, titles: Sequence[str] = (), columns: int = 8, alt: str = "") -> Figure:
    """Images (N, 3, H, W), uint8 or float in 0..1, in rows, each with its title."""
    count, columns = len(images), min(columns, len(images))
    width, titles = cell(titles, 1.15, 2.3)
    highest = max((title.count("\n") + 1 for title in titles), default=0)
    figure, axes = picture_axes(-(-count // columns), columns, width, 1.15 + 0.17 * highest)
    for position, axis in enumerate(axes.flat[:count]):
        show(axis, picture(images[position]), titles[position] if titles else "")
    alt = alt or f"{count} images" + (": " + ", ".join(titles) if titles else "")
    figure.alt = alt.replace("\n", " ")
    return figure


def class_samples(images: Sequence[ArrayLike], classes: Sequence[str]) -> Figure:
    """One row of images (N, 3, H, W) a class, for the first ``SHOWN`` classes; as many images at most."""
    note = f"the first {SHOWN} of {len(classes)} classes" if len(classes) > SHOWN else ""
    images, classes = [each[:SHOWN] for each in images[:SHOWN]], classes[:SHOWN]
    columns = max(map(len, images))
    figure, axes = picture_axes(len(classes), columns, min(0.85, INCHES / columns), 0.85, classes)
    for row, pictures in zip(axes, images, strict=True):
        for axis, each in zip(row, pictures, strict=False):
            show(axis, picture(each))
    if note:
        figure.suptitle(note, fontsize=9)
    figure.alt = f"{columns} images of each class{note and f', {note}'}: {', '.join(classes)}."
    return figure


def scaled_filters(weights: ArrayLike) -> np.ndarray:
    """First-layer weights (K, C, h, w) in 0..1 for showing: each filter around 0.5, C is 1 or 3."""
    values = np.asarray(weights, dtype=float)
    largest = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + values / np.maximum(2 * largest, 1e-12)


def filters(weights: ArrayLike, titles: Sequence[str] = (), columns: int = 10) -> Figure:
    """First-layer filters (K, C, h, w) as small pictures; grey is zero, each filter has its own scale."""
    named = f": {', '.join(titles)}" if len(titles) else ""
    return image_grid(scaled_filters(weights), titles, columns, alt=f"Weights as {len(weights)} small pictures{named}")


def filter_rows(rows: Mapping[str, ArrayLike]) -> Figure:
    """Filters (K, C, h, w) of several layers or stages, one row a name; grey is zero, each has its own scale."""
    figure = class_samples([scaled_filters(each) for each in rows.values()], list(rows))
    figure.alt = "Filters of a convolution, one row each: " + ", ".join(rows)
    return figure


def feature_maps(maps: ArrayLike, titles: Sequence[str] = (), columns: int = 8) -> Figure:
    """Feature maps (K, H, W) of one image in grey, each from its smallest to its largest value."""
    values = np.asarray(maps, dtype=float)
    low, high = (f(values, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    scaled = (values - low) / np.maximum(high - low, 1e-12)
    return image_grid(scaled[:, None], titles, columns, alt=f"{len(values)} feature maps")


def image_and_rows(image: ArrayLike, names: Sequence[str], title: str, size: tuple, ratio: float):
    """One image, and rows for the probabilities of classes beside it; returns the figure and the rows' axes."""
    figure, (left, right) = subplots(1, 2, size, width_ratios=[1, ratio])
    show(left, picture(image), textwrap.fill(title, 22), size=9)
    name_rows(right, names, "probability", True)
    return figure, right


def photo(image: ArrayLike, probabilities: pd.Series, title: str = "") -> Figure:
    """One image (3, H, W) beside the probability of each class, in the order of ``probabilities`` (the first 20)."""
    probabilities = probabilities.head(SHOWN)
    size = (7, max(2.2, 0.5 + 0.3 * len(probabilities)))
    figure, axis = image_and_rows(image, list(probabilities.index), title, size, 2)
    drawn = axis.barh(range(len(probabilities)), probabilities.to_numpy(), color=BLUE, height=0.6)
    axis.bar_label(drawn, fmt="{:.1%}", padding=3)
    axis.set_xlim(0, 1.18)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1])
    figure.alt = f"{title or 'A photo'}, probability of each class: " + listed(probabilities.to_dict(), ".1%")
    return figure


# --- data


def class_counts(counts: Mapping[str, Sequence[int]], classes: Sequence[str]) -> Figure:
    """Number of images of each class, one bar a set."""
    figure, axis = subplots(size=(min(max(6.4, 0.5 * len(classes)), INCHES), 3.8))
    width = 0.8 / len(counts)
    for position, ((name, values), shift) in enumerate(zip(counts.items(), dodged(len(counts), 0.8), strict=True)):
        look = {"color": (BLUE, ORANGE, GREEN)[position % 3], "hatch": HATCHES[position % 6], "edgecolor": "white"}
        drawn = axis.bar(np.arange(len(classes)) + shift, values, width, label=name, **look)
        if len(classes) <= SHOWN:
            axis.bar_label(drawn, fmt="{:,.0f}", fontsize=8, padding=2)
    class_ticks(axis, classes)
    axis.set_ylabel("images")
    axis.grid(axis="x", visible=False)
    legend_below(figure, axis)
    parts = {name: dict(zip(classes, values, strict=True)) for name, values in counts.items()}
    figure.alt = "Images of each class. " + " ".join(f"{name}: {listed(each, ',')}" for name, each in parts.items())
    return figure
