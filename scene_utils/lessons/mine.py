"""``my_scene.py``, the module that the reader writes lesson by lesson: keep a piece in it, use it on later pages."""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from scene_utils.lessons import checks, our_scene
from scene_utils.support.settings import SceneError, atomic_write

FILE = "my_scene.py"  # in the folder of the notebooks: the working directory
HEADER = '''"""My own module: what I wrote on the pages of this course."""

import math

import torch
import torch.nn.functional as F
from torch import nn
'''
CHECKS: dict[str, Callable[[object], None]] = {
    "SceneDataset": checks.dataset,
    "batches": checks.batches,
    "train_epoch": checks.train_epoch,
    "evaluate": checks.evaluate,
    "conv2d": checks.conv2d,
    "LeNet": checks.lenet,
    "fit": checks.fit,
    "ResidualBlock": checks.residual_block,
    "resnet18": checks.resnet18,
}


def keep(piece: object) -> None:
    """Check a class or function of the reader's; if it is right, write it to ``my_scene.py``, else say what is wrong.

    Raises:
        SceneError: for a piece that no lesson asks for.
    """
    name = getattr(piece, "__name__", str(piece))
    if name not in CHECKS:
        raise SceneError(f"{FILE}: no lesson asks for {name!r}; name your piece as one of {', '.join(CHECKS)}")
    verdict = CHECKS[name].verdict(piece)
    print(verdict)
    if verdict != "right":
        return
    text = _with(Path(FILE).read_text(encoding="utf-8") if Path(FILE).exists() else HEADER, name, _source(piece))
    problem = _problem(text, name)
    if problem:
        print(f"not kept in {FILE}: {problem}; define or import what it needs inside {name}")
    else:
        atomic_write(Path(FILE), text)
        print(f"kept in {FILE}")


def use(name: str, quiet: bool = False) -> object:
    """Return the reader's own piece from ``my_scene.py`` where it passes its check, else ours; say which."""
    own = None
    if Path(FILE).exists():
        with contextlib.suppress(Exception):
            own = getattr(_module(Path(FILE).read_text(encoding="utf-8")), name, None)
        own = own if CHECKS[name].verdict(own) == "right" else None
    if not quiet:
        print(f"{name}: {'ours' if own is None else f'yours, from {FILE}'}")
    return getattr(our_scene, name) if own is None else own


def _module(text: str) -> ModuleType:
    module = ModuleType("my_scene")
    exec(compile(text, FILE, "exec"), module.__dict__)
    return module


def _problem(text: str, name: str) -> str:
    """Why a piece does not work from the file alone; empty where it does."""
    try:
        verdict = CHECKS[name].verdict(getattr(_module(text), name))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if verdict == "right" else verdict.removeprefix("not yet: ")


def _source(piece: object) -> str:
    """Source of a class or function, decorators included, from the cell or file that defines it."""
    function = inspect.unwrap(piece)
    if inspect.isclass(piece):  # the class itself does not know its cell, its methods do
        function = next(member for member in vars(piece).values() if inspect.isfunction(member))
    lines = linecache.getlines(function.__code__.co_filename)
    nodes = [node for node in ast.parse("".join(lines)).body if getattr(node, "name", "") == piece.__name__]
    first = min([nodes[-1].lineno, *(each.lineno for each in nodes[-1].decorator_list)])
    return "".join(lines[first - 1 : nodes[-1].end_lineno]).rstrip() + "\n"


def _with(text: str, name: str, source: str) -> str:
    """The module's text with a definition of ``name``: in place of an earlier one, else at the end."""
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if getattr(node, "name", "") == name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            return "".join([*lines[: first - 1], source, *lines[node.end_lineno :]])
    return f"{text.rstrip()}\n\n\n{source}"
