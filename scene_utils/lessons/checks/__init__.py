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
import torch.nn.functional as F
from torch import Tensor, nn

from scene_utils import data
from scene_utils.lessons import our_scene
from scene_utils.support.layers import count

CHECKS: dict[str, Callable] = {}  # by name, of all pages
VALIDATION = 0.25  # fraction of the sample's training images that the first lessons validate on


class Unanswered(Exception):
    """A blank that the reader has not filled in."""


class Wrong(Exception):
    """What is wrong with an answer: a hint."""


def check(hint: str) -> Callable:
    """Make a check of a function that states, by ``require``, what holds for a right answer.

    Args:
        hint: what to say where an answer cannot be tried at all.
    """

    def decorate(try_out: Callable[[object], None]) -> Callable[[object], None]:
        def verdict(answer: object) -> str:
            try:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(0)
                    try_out(given(answer))
            except Unanswered:
                return "not answered yet"
            except Wrong as problem:
                return f"not yet: {problem}"
            except (Exception, SystemExit) as error:
                if "ellipsis" in str(error).lower():  # the blank ... of a function that is half written
                    return "not answered yet"
                first_line = (str(error).splitlines() or [""])[0][:120]
                return f"not yet: {hint} (yours: {type(error).__name__}: {first_line})"
            return "right"

        @functools.wraps(try_out)
        def run(answer: object) -> None:
            print(verdict(answer))

        if try_out.__name__ in CHECKS:
            raise ValueError(f"two checks are called {try_out.__name__!r}")
        CHECKS[try_out.__name__] = run
        run.verdict = verdict
        return run

    return decorate


def require(holds: bool | Tensor, hint: str) -> None:
    """Go on where this holds; else the answer is wrong, and the reader gets the hint."""
    if not holds:
        raise Wrong(hint)


def expect(answer: object, right: float, hint: str, tolerance: float = 0.0) -> None:
    """Require a number, up to a tolerance."""
    require(abs(number(answer) - right) <= tolerance, hint)


def given(value: object) -> object:
    """The value, unless it is a blank."""
    if value is None or value is ...:
        raise Unanswered
    return value


def number(answer: object) -> float:
    """A number, given as one or as a tensor of one value."""
    if isinstance(given(answer), str | bool) or not math.isfinite(float(answer)):
        raise TypeError(f"a number is needed, not {answer!r}")
    return float(answer)


def numbers(answer: object) -> Tensor:
    """A tensor without its gradient, given as one, as an array or as lists."""
    return torch.as_tensor(given(answer)).detach()


def tensor(answer: object, *shape: int) -> Tensor:
    """Numbers as float64, of this shape."""
    values = numbers(answer).double()
    if tuple(values.shape) != shape:
        raise ValueError(f"shape {tuple(values.shape)} instead of {shape}")
    return values


def network(answer: object) -> nn.Module:
    """The answer, where it is a network."""
    if not isinstance(answer, nn.Module):
        raise TypeError(f"a trained network (nn.Module) is needed, not {type(answer).__name__}")
    return answer


def close(first: Tensor, second: Tensor, tolerance: float = 1e-4) -> bool:
    return bool(torch.allclose(first.double(), second.double(), atol=tolerance, rtol=tolerance))


@functools.cache
def sets() -> tuple[data.Split, data.Split]:
    """Training and validation images of the first lessons, from the embedded sample."""
    return data.holdout_split(data.load_sample().train, VALIDATION)


@functools.cache
def validation_set(pixels: int) -> our_scene.SceneDataset:
    """The validation images of ``sets`` at 64 or 32 pixels."""
    _, validation = sets()
    images = F.avg_pool2d(validation.images.float(), 64 // pixels).round().byte()
    return our_scene.SceneDataset(images, validation.labels)


def small_and_good(net: nn.Module, most: int, goal: float, pixels: int = 32) -> None:
    """Require a trained network of at most so many weights that reaches a goal on the validation images."""
    own = count(network(net))
    _, accuracy = our_scene.evaluate(net, our_scene.batches(validation_set(pixels), 32))
    print(f"{own:,} weights, validation accuracy {accuracy:.1%}")
    require(own <= most, f"at most {most:,} weights")
    require(accuracy >= goal, f"the goal is {goal:.0%}")


for _page in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_page.name}")
globals().update(CHECKS)
