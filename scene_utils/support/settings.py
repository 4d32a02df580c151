"""Profile, seed, folders, environment values, and the one atomic write."""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

PROFILES = ("sample", "short", "full")

# The environment; README.md says what the variables mean.
FOLDERS = ("SCENE_RUNS_DIR", "SCENE_CACHE_DIR", "SCENE_DATA_DIR", "SCENE_DATA_URL", "SCENE_WEIGHTS_DIR")
CHOICES = {  # known values of a variable, the default first
    "SCENE_WEIGHTS": ("", "imagenet", "imagenet-v2", "local"),
    "SCENE_DEVICE": ("auto", "cpu", "cuda", "mps"),
    "SCENE_TRAIN": ("1", "0"),
    "SCENE_TENSORBOARD": ("0", "1"),
}
VARIABLES = ("SCENE_PROFILE", *FOLDERS, *CHOICES, "SCENE_THREADS")


class SceneError(Exception):
    """An error that a user can mend; its message is one line: what, where, remedy."""


def check_known(what: str, value: object, known: Iterable[object]) -> None:
    """Raise ``SceneError`` for a value that is none of the known ones."""
    if value not in (known := list(known)):
        raise SceneError(f"{what} {value!r} is unknown; known: {', '.join(str(each) for each in known if each != '')}")


def check_environment() -> None:
    """Refuse unknown ``SCENE_*`` variables and unknown values.

    Raises:
        SceneError: naming the variable, its value and those that are known.
    """
    for name in os.environ:
        if name.startswith("SCENE_") and name not in VARIABLES:
            raise SceneError(f"environment variable {name} is unknown; known: {', '.join(VARIABLES)}")
    profile()
    for name in CHOICES:
        choice(name)
    threads()
    check_checkout()


def check_checkout() -> None:
    """Refuse to work inside one checkout with the code of another, which a copied environment would do silently."""
    with contextlib.suppress(OSError):  # a working folder that has been deleted
        here, code = Path.cwd().resolve(), Path(__file__).resolve().parents[2]
        checkouts = (f for f in (here, *here.parents) if (f / "scene_utils/__init__.py").exists())
        other = next(checkouts, code)
        if other != code and (other / "notebooks").is_dir():
            raise SceneError(
                f"this is {other}, but Python takes scene_utils from {code}, where it was installed from;"
                f" call {sys.executable} -m pip install -e {other} (and restart the kernel)"
            )


def profile(name: str | None = None) -> str:
    """Return the profile: ``name``, else ``SCENE_PROFILE``, else ``sample``.

    Raises:
        SceneError: for a name that is none of ``PROFILES``.
    """
    chosen = name or os.environ.get("SCENE_PROFILE") or "sample"
    check_known("profile", chosen, PROFILES)
    return chosen


def seed(value: int | None = None) -> int:
    """Return the seed: ``value``, else 0; raise ``SceneError`` for what is no whole number from 0 up."""
    chosen = 0 if value is None else value
    if not isinstance(chosen, int) or chosen < 0:
        raise SceneError(f"seed {value!r} is no whole number from 0 up; set seed = 0")
    return chosen


def choice(name: str) -> str:
    """Return the value of a variable of ``CHOICES``; raise ``SceneError`` for an unknown one."""
    chosen = os.environ.get(name) or CHOICES[name][0]
    check_known(name, chosen, CHOICES[name])
    return chosen


def threads() -> int | None:
    """Return ``SCENE_THREADS``, None where it is not set; raise ``SceneError`` for what is no number from 1 up."""
    value = os.environ.get("SCENE_THREADS") or None
    if value is not None and not (value.isdecimal() and int(value)):
        raise SceneError(f"SCENE_THREADS {value!r} is no whole number from 1 up; set 1, 2 …, or unset it")
    return int(value) if value else None


def check_may_train(run: str, command: str) -> None:
    """Raise ``SceneError``, naming a missing run and the command that trains it, where nothing is to be trained."""
    if choice("SCENE_TRAIN") == "0":
        raise SceneError(f"{run} is missing, and SCENE_TRAIN=0 trains nothing; call: {command}")


def tensorboard() -> bool:
    """Whether ``SCENE_TENSORBOARD`` asks for curves and TensorBoard is installed, else that is said."""
    wanted = choice("SCENE_TENSORBOARD") == "1"
    if wanted and importlib.util.find_spec("tensorboard") is None:
        say_once("SCENE_TENSORBOARD=1: no curves, TensorBoard is not installed; call: pip install tensorboard")
        return False
    return wanted


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
    return Path(__file__).resolve().parents[2]


def published_dir() -> Path:
    """Folder of published records."""
    return project_dir() / "report" / "results"


# --- folders that the user names


def started_in() -> Path:
    """Folder from which relative folders are meant: where the command or, for a notebook, Jupyter was started.

    A kernel works in the notebook's folder; the shell that started Jupyter has left its own in ``PWD``.
    """
    if "ipykernel" in sys.modules and os.path.isdir(shell := os.environ.get("PWD", "")):
        return Path(shell)
    try:
        return Path.cwd()
    except OSError:  # it has been deleted
        return project_dir()


STARTED_IN = started_in()


def absolute(value: str, name: str = "folder") -> Path:
    """Return a path that may be relative (to ``STARTED_IN``) or begin with ``~`` as an absolute one."""
    try:
        return Path(os.path.normpath(STARTED_IN / Path(value).expanduser()))
    except RuntimeError as error:  # no such user
        raise SceneError(f"{name} {value!r}: its ~ names nobody's home; write the folder in full") from error


def in_full(name: str) -> str | None:
    """Return the value of one of ``FOLDERS``, a path as an absolute one; None where the variable is not set."""
    value = os.environ.get(name) or None
    is_address = name == "SCENE_DATA_URL" and re.match(r"[^/]*:", value or "")  # https://..., host:path
    return str(absolute(value, name)) if value and not is_address else value


def named_folder(name: str) -> Path | None:
    """Return the folder that an environment variable names, absolute; None where it names none."""
    value = in_full(name)
    return Path(value) if value else None


def data_dir() -> Path | None:
    """Folder of the user's own images, where ``SCENE_DATA_DIR`` names one."""
    return named_folder("SCENE_DATA_DIR")


def runs_dir() -> Path:
    """Folder of records, checkpoints and executed notebooks."""
    return named_folder("SCENE_RUNS_DIR") or project_dir() / "runs"


def results_dir() -> Path:
    """Folder of records that are not published."""
    return runs_dir() / "results"


def cache_dir() -> Path:
    """Folder of the cloned dataset and the decoded images."""
    default = named_folder("XDG_CACHE_HOME") or absolute("~/.cache")
    return named_folder("SCENE_CACHE_DIR") or default / "scene-classification"


def tell_subprocesses() -> None:
    """Write into the environment what jobs and kernels, which have other working folders, must take from here.

    That is every folder in full, and this package itself: theirs may be installed from another checkout. Called when
    this module is imported, so before anything starts.
    """
    for name in FOLDERS:
        with contextlib.suppress(SceneError):  # whoever needs the folder says what is wrong
            if value := in_full(name):
                os.environ[name] = value
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    own = str(project_dir())
    if (project_dir() / "notebooks").is_dir() and own not in before[:1]:
        os.environ["PYTHONPATH"] = os.pathsep.join([own, *before])


tell_subprocesses()


# --- what is said


def say(line: str) -> None:
    """Print a line that a user waits for, or must not miss; others go through ``progress.line``."""
    print(line, flush=True)


say_once = cache(say)


def escaped(text: str) -> str:
    """Text, such as a class name, as it can stand in Markdown and look the same."""
    return re.sub(r"([\\`*_<>&$|~^\[\]])", r"\\\1", text)


def file_lock(path: Path):
    """A lock file at ``path``; on a drive without file locks one for this machine alone, in its temporary folder.

    A file that is a lock by being there would outlive a session that is cut off, and nobody could go on.
    """
    from filelock import FileLock

    if not has_locks(path.parent):
        name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"scene-locks-{os.getuid()}" / f"{name}.lock"
        path.parent.mkdir(exist_ok=True)
    return FileLock(path)


def has_locks(folder: Path) -> bool:
    """Whether the file system of a folder knows file locks: a drive that is mounted over the network may not."""
    try:
        import fcntl
    except ImportError:  # Windows has others
        return True
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL):
                return False
            raise  # a fault of the drive: on another machine the lock may be held
    return True


@contextlib.contextmanager
def locked(path: Path, waiting: str, variable: str = "SCENE_RUNS_DIR") -> Iterator[None]:
    """Hold the lock file ``path``; where another process holds it, say ``waiting`` first.

    Args:
        variable: what names the folder of the lock.

    Raises:
        SceneError: where that folder cannot be written.
    """
    from filelock import Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = file_lock(path)
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            say(waiting)
            held = lock.acquire()
    except OSError as error:
        reason = error.strerror or error
        raise SceneError(f"cannot write {path.parent}: {reason}; set {variable} to a folder of your own") from error
    with held:
        yield


def atomic_write(path: Path, content: bytes | str | Callable[[BinaryIO], object]) -> Path:
    """Write ``path`` so that a reader finds the old file or the new one, never a part.

    Args:
        content: bytes, text (written as UTF-8), or a function that writes to an open binary file.

    Raises:
        SceneError: where the system refuses (disk full, no permission); the old file is unharmed.
    """
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
