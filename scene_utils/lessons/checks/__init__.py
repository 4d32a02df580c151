"""Checks of the pages' exercises: they try out what an answer does, and never show the solution.

Each takes one answer and prints ``right``, ``not yet: <hint>`` or ``not answered yet``; ``<check>.verdict`` returns it.
Whatever the answer is or does, a check ends in one of these three lines and leaves the random numbers as they were.

One module per page. Its checks are found here by name (``checks.softmax``), so a name occurs once in all pages. A check
reads nothing of the page: what it compares with, it loads or computes itself, because ``make grade`` calls it without
the page, with an answer that lives in another process. Its answers for the tests stand in ``tests/answers/<page>.py``.
"""

from __future__ import annotations

import functools
import importlib
import math
import pkgutil
from collections.abc import Callable

import torch
from torch import Tensor

from scene_utils import data

CHECKS: dict[str, Callable] = {}  # by name, of all pages
VALIDATION = 0.25  # fraction of the sample's training images that the first lessons validate on


class Unanswered(Exception):
    """A blank that the reader has not filled in."""


def check(hint: str) -> Callable:
    """Make a check of a function that returns None for a right answer, else what is wrong with it.

    Args:
        hint: what to say where an answer cannot be tried at all.
    """

    def decorate(find_problem: Callable[[object], str | None]) -> Callable[[object], None]:
        def verdict(answer: object) -> str:
            try:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(0)
                    problem = find_problem(given(answer))
            except Unanswered:
                return "not answered yet"
            except (Exception, SystemExit) as error:
                if "ellipsis" in str(error).lower():  # the blank ... of a function that is half written
                    return "not answered yet"
                return f"not yet: {hint} (yours: {type(error).__name__}: {_first_line(error)})"
            return f"not yet: {problem}" if problem else "right"

        @functools.wraps(find_problem)
        def run(answer: object) -> None:
            print(verdict(answer))

        if find_problem.__name__ in CHECKS:
            raise ValueError(f"two checks are called {find_problem.__name__!r}")
        CHECKS[find_problem.__name__] = run
        run.verdict = verdict
        return run

    return decorate


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:120]


def given(value: object) -> object:
    """The value, unless it is a blank."""
    if value is None or value is ...:
        raise Unanswered
    return value


def number(answer: object) -> float:
    """A number, given as one or as a tensor of one value."""
    if isinstance(answer, str | bool) or not math.isfinite(float(answer)):
        raise TypeError(f"a number is needed, not {answer!r}")
    return float(answer)


def tensor(value: object, *shape: int) -> Tensor:
    """The value as float64, of this shape."""
    values = torch.as_tensor(given(value)).detach().double()
    if tuple(values.shape) != shape:
        raise ValueError(f"shape {tuple(values.shape)} instead of {shape}")
    return values


def close(first: Tensor, second: Tensor, tolerance: float = 1e-4) -> bool:
    return bool(torch.allclose(first.double(), second.double(), atol=tolerance, rtol=tolerance))


def whole(answer: object, right: int, hint: str) -> str | None:
    return None if number(answer) == right else hint


@functools.cache
def sets() -> tuple[data.Split, data.Split]:
    """Training and validation images of the first lessons, from the embedded sample."""
    return data.holdout_split(data.load_sample().train, VALIDATION)


for _page in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_page.name}")
globals().update(CHECKS)
