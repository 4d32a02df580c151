"""What is shown while something works: lines, and one bar with the time left for each call; one switch for both."""

from __future__ import annotations

import contextlib
import html
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from tqdm import tqdm

EVERY = 30.0  # seconds between two lines where nobody watches a bar
FORMAT = "{percentage:.0f}%|{bar}| {remaining} left{postfix}"
DONE = "{percentage:.0f}%|{bar}| {elapsed}"


class PageBar(tqdm):
    """tqdm's bar as HTML on a notebook's page; unlike a widget it is still there when the page is opened again."""

    def __init__(self, **options) -> None:
        self.shown = None
        super().__init__(file=io.StringIO(), **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show how far it is; tqdm calls this, at most ten times a second."""
        from IPython.display import display

        form = self.bar_format.replace("|{bar}|", ",").replace("{postfix}", "")
        text = self.format_meter(**self.format_dict | {"bar_format": form})
        bar = f'<progress value="{self.n:.4f}" max="{self.total}" style="width: 20em"></progress>'
        state = f"<br><small>{html.escape(self.postfix)}</small>" if self.bar_format == FORMAT else ""
        data = {"text/html": f"<div>{bar} {html.escape(text)}{state}</div>", "text/plain": text}
        if self.shown is None:
            self.shown = display(data, raw=True, display_id=True)
        else:
            self.shown.update(data, raw=True)


@dataclass
class _Call:
    """One call from outside: how much of it is done, the parts that it is in, and the bar that shows it."""

    visible: bool
    done: float = 0.0
    parts: list[tuple[float, float]] = field(default_factory=lambda: [(1.0, 1.0)])  # (width, end)
    name: str = ""
    bar: tqdm | None = None
    last: float = field(default_factory=time.monotonic)

    def skip(self, end: float) -> None:
        """Go to ``end`` without work: what was found, or done before, says nothing about the time left."""
        if self.bar is not None:
            self.bar.initial += end - self.done
            self.bar.n = end
        self.done = end


_call: _Call | None = None
_silent = 0


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Say nothing within, and start no bar: the one switch for output that is not wanted."""
    global _silent
    _silent += 1
    try:
        yield
    finally:
        _silent -= 1


def line(text: str, end: str = "\n") -> None:
    """Print a line about the work, unless it is not wanted."""
    if not _silent:
        with tqdm.external_write_mode():  # above a terminal's bar
            print(text + end, end="", flush=True)


line_once = cache(line)  # the members of an ensemble are asked for again and again


@contextlib.contextmanager
def part(share: float = 1.0) -> Iterator[None]:
    """Work that takes ``share`` of what is left of the work around it; also a decorator. The outermost has the bar.

    The bar appears when something trains, not for what is found.
    """
    global _call
    outermost = _call is None
    call = _call = _Call(visible=not _silent) if outermost else _call
    around = call.parts[-1][1]
    width = share * (around - call.done)
    call.parts.append((width, min(call.done + width, around)))
    try:
        yield
        call.skip(call.parts[-1][1])
        if outermost and call.bar is not None:
            call.bar.bar_format = DONE
    finally:
        call.parts.pop()
        if outermost:
            _call = None
            if call.bar is not None:
                call.bar.close()


def shared(items: Sequence, effort: Callable[[object], float] = lambda item: 1.0) -> list[tuple]:
    """Return each item with its share of what is left when its turn comes, by the effort that each takes."""
    efforts = [effort(item) for item in items]
    return [(item, efforts[i] / sum(efforts[i:])) for i, item in enumerate(items)]


def begin(name: str, done: float = 0.0) -> None:
    """The work of this part, called ``name``, begins; ``done`` of it (0 to 1) is there already. Shows the bar."""
    width, end = _call.parts[-1]
    _call.skip(end - width + done * width)
    _call.name = name
    if _call.bar is not None:
        _call.bar.set_postfix_str(name, refresh=False)
    elif _call.visible and not _silent and watched():
        kind = PageBar if on_page() else tqdm
        options = {"total": 1.0, "initial": _call.done, "postfix": name, "disable": False}
        _call.bar = kind(**options, smoothing=0, dynamic_ncols=True, bar_format=FORMAT)


def advance(fraction: float) -> None:
    """So much of this part has been done."""
    width, end = _call.parts[-1]
    _call.done = min(_call.done + fraction * width, end)
    if _call.bar is not None:
        _call.bar.update(_call.done - _call.bar.n)


def note(text: str) -> None:
    """Show the newest state beside the bar; as a line, now and then, where there is no bar."""
    line = f"{_call.name}: {text}"
    if _call.bar is not None:
        _call.bar.set_postfix_str(line, refresh=False)
    elif _call.visible and not _silent and time.monotonic() - _call.last >= EVERY:
        _call.last = time.monotonic()
        print(line, flush=True)


def roughly(seconds: float) -> str:
    """A long time for people: ``about 25 min``, ``about 3 h``, ``about 2 days``."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 36:
        return f"about {hours / 24:.0f} days"
    return f"about {hours:.0f} h" if hours >= 1.5 else f"about {5 * max(1, round(minutes / 5))} min"


def watched() -> bool:
    """Whether somebody may look at a bar: in a terminal or on a notebook's page, not in a run without a reader."""
    off = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    first = os.environ.get("RANK", "0") == "0"  # of several processes that train together
    return first and not off and (on_page() or sys.stderr.isatty())


def on_page() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
