"""Checkpoints on disk: written whole or not at all, read without executing anything in them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import torch

from scene_utils.support import settings


def save(path: Path, content: dict) -> None:
    """Write ``content`` atomically; an interrupt waits until that is done."""
    with uninterrupted():
        settings.atomic_write(path, lambda file: torch.save(content, file))


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until this is done: in the middle of it ``torch.save`` fails with an error of its own."""
    if threading.current_thread() is not threading.main_thread():  # interrupts do not reach it
        yield
        return
    waiting = []
    before = signal.signal(signal.SIGINT, lambda *arguments: waiting.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        raise KeyboardInterrupt


def epochs_done(path: Path) -> int:
    """Return how many epochs a checkpoint has; 0 where there is none, or none that can be read."""
    try:
        return len(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["history"]["epochs"])
    except Exception:  # what keeps it from being read is said when training goes on from it
        return 0
