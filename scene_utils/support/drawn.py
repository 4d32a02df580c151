"""The data of a drawn figure as a table, read back from its axes, for readers who cannot see it or want the numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

COLUMNS = ["panel", "at", "series", "value"]
MOST = 1500  # rows; a figure with more shows a cloud, which no table replaces

Row = tuple[str, object, str, float]


def csv(figure: Figure) -> str:
    """Return what a figure draws as CSV: panel, where on the axis of names or of x, series, value; empty for a picture.

    Ends of intervals are series of their own (``low``, ``high``); several points of a series at one place are numbered.
    """
    rows = [row for axis in figure.axes for row in _rows(axis)]
    if not 0 < len(rows) <= MOST:
        return ""
    frame = pd.DataFrame(rows, columns=COLUMNS)
    repeated = frame.groupby(COLUMNS[:3], sort=False).cumcount()
    frame["series"] += [f" ({number + 1})" if number else "" for number in repeated]
    return frame.to_csv(index=False, float_format="%.6g")


def panels(text: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield for each panel of ``csv``'s text its name and a table: one row per place, one column per series."""
    frame = pd.read_csv(io.StringIO(text), keep_default_na=False)
    for name, part in frame.groupby("panel", sort=False):
        wide = part.pivot(index="at", columns="series", values="value")
        wide = wide.reindex(index=part["at"].unique(), columns=part["series"].unique()).reset_index()
        yield str(name), wide.rename_axis(columns=None)


def _rows(axis: Axes) -> Iterator[Row]:
    across, down = _names(axis.xaxis), _names(axis.yaxis)
    flat = bool(down) and not across  # rows with names: values lie on the horizontal axis
    titles = (axis.get_xlabel(), axis.get_ylabel()) if flat else (axis.get_ylabel(), axis.get_xlabel())
    panel = " ".join((axis.get_title() or " against ".join(filter(None, titles))).split())

    def row(x: float, y: float, series: str) -> Row:
        names, at, value = (down, y, x) if flat else (across, x, y)
        nearest = min(names, key=lambda place: abs(place - at)) if names else None
        return panel, f"{at:.6g}" if nearest is None else names[nearest], series, float(value)

    bars = [each for each in axis.containers if isinstance(each, ErrorbarContainer)]
    own = {id(line) for each in bars for line in (each.lines[0], *each.lines[1])}  # points, caps
    for line in axis.get_lines():
        x, y = (np.asarray(values, float) for values in line.get_data(orig=False))
        label = str(line.get_label())
        if line.get_transform() == axis.transData and len(x) and id(line) not in own:
            if not (label.startswith("_") and len(x) == 2 and (x[0] == x[1] or y[0] == y[1])):  # only a guide
                yield from (row(a, b, _named(label)) for a, b in zip(x, y, strict=True))
    for each in axis.containers:
        if isinstance(each, BarContainer):
            yield from _bars(each, row)
        elif isinstance(each, ErrorbarContainer):
            yield from _ends(each, row)
    for each in axis.collections:
        if isinstance(each, PathCollection):
            yield from (row(a, b, _named(each.get_label())) for a, b in np.asarray(each.get_offsets(), float))
    cells = [(panel, name, column) for name in down.values() for column in across.values()]
    for each in (*axis.images, *(each for each in axis.collections if isinstance(each, QuadMesh))):
        values = np.ravel(each.get_array())
        if len(values) == len(cells):
            yield from ((*cell, float(value)) for cell, value in zip(cells, values, strict=True))


def _bars(bars: BarContainer, row) -> Iterator[Row]:
    """Rows of bars, whichever way they lie."""
    for bar in bars:
        lying = bars.orientation == "horizontal"
        x = bar.get_x() + (bar.get_width() if lying else bar.get_width() / 2)
        y = bar.get_y() + (bar.get_height() / 2 if lying else bar.get_height())
        yield row(x, y, _named(bars.get_label()))


def _ends(bars: ErrorbarContainer, row) -> Iterator[Row]:
    """Rows of points with intervals: the points, and both ends."""
    name = _named(bars.get_label())
    if bars.lines[0] is not None:
        yield from (row(a, b, name) for a, b in zip(*bars.lines[0].get_data(orig=False), strict=True))
    for lines in bars.lines[2]:
        for low, high in (segment for segment in lines.get_segments() if len(segment) == 2):
            yield row(*low, f"{name}, low" if name else "low")
            yield row(*high, f"{name}, high" if name else "high")


def _names(axis: Axis) -> dict[float, str]:
    """Names that stand on an axis instead of numbers, by position."""
    places = axis.get_majorticklocs() if isinstance(axis.get_major_locator(), FixedLocator) else []
    names = [" ".join(str(name).split()) for name in axis.get_major_formatter().format_ticks(places)]
    if not any(re.search("[^\\W\\d]", name) for name in names):  # numbers
        return {}
    return {float(place): name for place, name in zip(places, names, strict=True)}


def _named(label: object) -> str:
    """A label that a reader sees; Matplotlib's own begin with an underscore."""
    return "" if str(label).startswith("_") else " ".join(str(label).split())
