"""The public dataset: clone it once, with git, at the one commit that is meant; and the user's own folder of images."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scene_utils.support import folder as folders
from scene_utils.support import progress, settings
from scene_utils.support.images import cache_lock, hash_of
from scene_utils.support.settings import SceneError

URL = "https://github.com/ndb796/Scene-Classification-Dataset-Split"
COMMIT = "063473edcb62eb9269132da1e01c6de62e95fa8c"
OTHER_COPY = "SCENE_DATA_URL to a mirror or a bundle, or SCENE_DATA_DIR to a folder that holds the dataset"
# What git says -> what to do; the first that matches.
REMEDIES = {
    "dubious ownership": "another user owns it: if you trust its files, call {git}; then call again",
    "No space left": "free some space or set SCENE_CACHE_DIR to a folder on another disk",
    "resolve host|unable to access|onnect|timed out|hung up": f"check the network, or set {OTHER_COPY}",
    "": f"set {OTHER_COPY}",
}


def fetch(url: str | None = None, commit: str = COMMIT) -> Path:
    """Clone the dataset into the cache folder at one commit, once, and return its folder.

    The clone is made in a temporary folder beside and renamed when it is complete and its commit verified, so
    an interrupted one leaves nothing that is used later. git checks every object against the commit's hash.

    Args:
        url: address, folder or bundle; by default ``SCENE_DATA_URL``, else the public address.
        commit: full hash of the commit to check out.

    Raises:
        SceneError: without git, network or disk space, or where the commit is not there.
    """
    folder = settings.cache_dir() / f"dataset-{commit[:12]}"
    if folder.is_dir():
        return folder
    url = url or settings.in_full("SCENE_DATA_URL") or URL
    if shutil.which("git") is None:
        raise SceneError("git is not installed: install it, or set SCENE_DATA_DIR to a folder that holds the dataset")
    with cache_lock():
        if folder.is_dir():
            return folder
        try:
            place = {"dir": folder.parent, "prefix": f".{folder.name}.", "suffix": ".tmp"}
            with tempfile.TemporaryDirectory(**place, ignore_cleanup_errors=True) as temporary:
                _git(url, "clone", "--progress", "--no-local", "--no-checkout", "--", url, temporary)
                try:
                    _git(url, "-C", temporary, "cat-file", "-e", commit + "^{commit}")
                except SceneError:
                    raise SceneError(
                        f"{_public(url)} does not hold commit {commit[:12]};"
                        f" set SCENE_DATA_URL to a copy of {URL}, or unset it"
                    ) from None
                _git(url, "-C", temporary, "checkout", "--progress", "--detach", commit)
                os.chmod(temporary, 0o755)
                os.replace(temporary, folder)
        except OSError as error:
            remedy = REMEDIES["No space left"]
            raise SceneError(f"cannot write {folder}: {error.strerror}; {remedy}") from error
    return folder


def _public(text: str) -> str:
    """Leave a user name and password out of an address."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def _git(url: str, *arguments: str) -> None:
    """Run git with its progress shown, and turn a failure into one line with a remedy."""
    slow = ["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"]  # ends a dead connection
    # These, set inside git's own hooks, would send the commands to another repository.
    foreign = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    lines = []
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    command = ["git", *slow, *arguments]
    with subprocess.Popen(command, **pipes, env=environment, encoding="utf-8", errors="replace") as process:
        try:
            for line in process.stderr:
                if re.search(r"\d% \(", line):  # git's own progress
                    progress.line("\r" + line.strip(), end="\n" if "done" in line else "")
                else:
                    lines.append(line.strip())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        text = _public(next((line for line in lines if line.startswith(("fatal", "error"))), "git failed"))
        remedy = next(remedy for pattern, remedy in REMEDIES.items() if re.search(pattern, "\n".join(lines)))
        remedy = remedy.format(git=next((line for line in lines if line.startswith("git config")), "what git says"))
        raise SceneError(f"cannot fetch the dataset from {_public(url)}: {text}; {remedy}")


# --- the user's own images


def own_state() -> str:
    """Return what changes with every change in ``SCENE_DATA_DIR``; empty where the variable names no folder.

    Raises:
        SceneError: for a folder that is no dataset.
    """
    own = settings.data_dir()
    return f"{own} {folders.state(own)}" if own else ""


def own_key() -> str | None:
    """Return the key of the images in ``SCENE_DATA_DIR`` as they were last read; None where they never were."""
    with contextlib.suppress(OSError):
        return _key_file(settings.data_dir()).read_text()
    return None


def note_key(folder: Path, key: str) -> None:
    """Keep the key of a folder of images, as it was just read, in the cache."""
    path = _key_file(folder)
    with contextlib.suppress(OSError, SceneError):  # a cache that is only read
        if not path.exists() or path.read_text() != key:
            settings.atomic_write(path, key)


def _key_file(folder: Path) -> Path:
    return settings.cache_dir() / f"images-{hash_of(str(folder))[:12]}.key"
