"""Profile, folders, environment values and the one atomic write."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PROFILES = ("sample", "short", "full")

ENVIRONMENT = {
    "SCENE_PROFILE": "profile where a notebook or command names none: " + ", ".join(PROFILES),
    "SCENE_RUNS_DIR": "folder for records, checkpoints and executed notebooks (default: runs)",
    "SCENE_CACHE_DIR": "folder for the cloned dataset and decoded images",
    "SCENE_DATA_DIR": "existing folder with train/<class>/ and, optionally, val/<class>/",
    "SCENE_DATA_URL": "replaces the address that the dataset is cloned from (a mirror, a bundle)",
    "SCENE_WEIGHTS_DIR": "folder of local files with pretrained weights",
    "SCENE_WEIGHTS": "source of pretrained weights: imagenet, imagenet-v2 (torchvision's), local",
    "SCENE_DEVICE": "device to train on: auto, cpu, cuda, mps",
}

DEVICES = ("auto", "cpu", "cuda", "mps")
WEIGHTS = ("imagenet", "imagenet-v2", "local")


class SceneError(Exception):
    """An error that a user can mend; its message is one line: what, where, remedy."""


def check_environment() -> None:
    """Refuse unknown ``SCENE_*`` variables and unknown values.

    Raises:
        SceneError: naming the variable, its value and those that are known.
    """
    for name in os.environ:
        if name.startswith("SCENE_") and name not in ENVIRONMENT:
            raise SceneError(f"environment variable {name} is unknown; known: {', '.join(ENVIRONMENT)}")
    profile()
    device_choice()
    weights_choice()


def profile(name: str | None = None) -> str:
    """Return the profile: ``name``, else ``SCENE_PROFILE``, else ``sample``.

    Raises:
        SceneError: for a name that is none of ``PROFILES``.
    """
    chosen = name or os.environ.get("SCENE_PROFILE") or "sample"
    if chosen not in PROFILES:
        raise SceneError(f"profile {chosen!r} is unknown; known: {', '.join(PROFILES)}")
    return chosen


def device_choice() -> str:
    """Return ``SCENE_DEVICE`` (default ``auto``); raise ``SceneError`` for an unknown value."""
    chosen = os.environ.get("SCENE_DEVICE") or "auto"
    if chosen not in DEVICES:
        raise SceneError(f"SCENE_DEVICE {chosen!r} is unknown; known: {', '.join(DEVICES)}")
    return chosen


def weights_choice() -> str | None:
    """Return ``SCENE_WEIGHTS``, None where it is not set; raise ``SceneError`` for an unknown value."""
    chosen = os.environ.get("SCENE_WEIGHTS") or None
    if chosen not in (None, *WEIGHTS):
        raise SceneError(f"SCENE_WEIGHTS {chosen!r} is unknown; known: {', '.join(WEIGHTS)}")
    return chosen


STARTED = datetime.datetime.now(datetime.UTC)


def retrain_since() -> str | None:
    """Return since when a run must have finished not to be trained again; None where any finished run will do.

    ``RETRAIN=1`` repeats what finished before this process began, so that nothing is trained twice in it; a date in
    its place (ISO 8601, as records have it) is handed on to the processes of one command.

    Raises:
        SceneError: for a value that is neither 0, 1 nor a date.
    """
    value = os.environ.get("RETRAIN") or "0"
    if value == "0":
        return None
    if value == "1":
        return STARTED.isoformat(timespec="seconds")
    try:
        return datetime.datetime.fromisoformat(value).isoformat(timespec="seconds")
    except ValueError:
        raise SceneError(f"RETRAIN {value!r} is neither 0, 1 nor a date; set RETRAIN=1 to train again") from None


def project_dir() -> Path:
    """Folder of the checkout (the one that holds ``notebooks`` and ``report``)."""
    return Path(__file__).resolve().parent.parent


def published_dir() -> Path:
    """Folder of published records."""
    return project_dir() / "report" / "results"


def runs_dir() -> Path:
    """Folder of records, checkpoints and executed notebooks."""
    return Path(os.environ.get("SCENE_RUNS_DIR") or project_dir() / "runs").expanduser().absolute()


def cache_dir() -> Path:
    """Folder of the cloned dataset and the decoded images."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "scene-classification"
    return Path(os.environ.get("SCENE_CACHE_DIR") or default).expanduser().absolute()


def weights_dir() -> Path | None:
    """Folder of local pretrained weights, where ``SCENE_WEIGHTS_DIR`` names one."""
    value = os.environ.get("SCENE_WEIGHTS_DIR")
    return Path(value).expanduser().absolute() if value else None


def atomic_write(path: Path, content: bytes | str | Callable[[BinaryIO], object]) -> Path:
    """Write ``path`` so that a reader finds the old file or the new one, never a part.

    Args:
        content: bytes, text (written as UTF-8), or a function that writes to an open binary file.

    Raises:
        SceneError: where the system refuses (disk full, no permission); the old file is unharmed.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise SceneError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
            " (SCENE_RUNS_DIR, SCENE_CACHE_DIR)"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return path


def clear_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what writes of ``name`` that were killed have left in ``folder``; only where nobody else writes there."""
    for path in folder.glob(f".{name}.*.tmp"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
