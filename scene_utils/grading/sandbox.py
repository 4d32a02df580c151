"""A process for one notebook: no network, read-only files, limits on time, memory and processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import psutil

from scene_utils.grading import walls
from scene_utils.grading.worker import LARGEST, LONGEST
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

NAMESPACES = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc")
MEBIBYTE = 2**20
PATIENCE = 4  # other work on the machine must not cost a student marks
STARTING = 180  # seconds that a busy machine may take to begin
REMEDY = ("use a Linux that allows user namespaces, or set TRUSTED=1, which limits time and memory alone: for notebooks"
          " whose authors you trust")  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What one notebook may use.

    Attributes:
        seconds: of a processor, from its first cell to its last answer; on the clock ``PATIENCE`` times as many.
        megabytes: of memory, all its processes together.
        processes: threads included, for one process after another (root's are counted five times a second).
        disk: megabytes that it may write, all in memory and gone afterwards.
    """

    seconds: int = 300
    megabytes: int = 4096
    processes: int = 100
    disk: int = 256


class Stopped(BaseException):
    """The notebook's process has ended; nothing more can be asked. No check may catch this."""


class Sandbox:
    """A notebook's process, and the only way to it: messages."""

    def __init__(self, process: subprocess.Popen, connection: Connection, limits: Limits):
        self.process, self.connection, self.limits = process, connection, limits
        self.reason = ""

    def open(self) -> None:
        """Wait until the process is ready, and watch it from then on.

        Raises:
            SceneError: saying why it does not begin.
        """
        try:
            ready = self.connection.poll(STARTING) and self.connection.recv_bytes(LONGEST)
        except (EOFError, OSError):
            ready = b""
        if not ready:
            self.stop("it does not begin")
            told = self.process.stderr.read().decode(errors="replace").strip().splitlines() or [self.reason]
            raise SceneError(f"this system does not let a notebook run behind walls ({told[-1][:150]}); {REMEDY}")
        self._began = time.monotonic()
        self._used = sum(sum(each.cpu_times()[:4]) for each in self._family())
        for task in (self._watch, self.process.stderr.read):
            threading.Thread(target=task, daemon=True).start()

    def ask(self, header: dict, payload: bytes = b"") -> tuple[dict, bytes]:
        """Send a request and return the reply, and the numbers of its tensors.

        Raises:
            Stopped: where there is none.
        """
        try:
            self.connection.send_bytes(json.dumps(header).encode())
            self.connection.send_bytes(payload)
            reply, numbers = json.loads(self.connection.recv_bytes(LONGEST)), self.connection.recv_bytes(LARGEST)
            if isinstance(reply, dict):
                return reply, numbers
            self.stop("no valid reply")
        except (EOFError, OSError):
            self.stop("its process ended")
        except (ValueError, RecursionError):
            self.stop("no valid reply")
        raise Stopped(self.reason)

    def stop(self, reason: str) -> None:
        """Kill the process and all that it has started."""
        self.reason = self.reason or reason
        for each in self._family():
            with contextlib.suppress(psutil.Error):
                each.kill()

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def _watch(self) -> None:
        """Stop what takes too long, too much memory or too many processes."""
        while self.process.poll() is None and not self.reason:
            family, memory, used = self._family(), 0, -self._used
            for each in family[: self.limits.processes]:
                with contextlib.suppress(psutil.Error):
                    memory += each.memory_info().rss
                    used += sum(each.cpu_times()[:4])
            if used > self.limits.seconds or time.monotonic() - self._began > PATIENCE * self.limits.seconds:
                self.stop(f"more than {self.limits.seconds} s")
            elif memory > self.limits.megabytes * MEBIBYTE:
                self.stop(f"more than {self.limits.megabytes} MB of memory")
            elif len(family) > self.limits.processes:
                self.stop(f"more than {self.limits.processes} processes")
            time.sleep(0.2)


@contextlib.contextmanager
def opened(limits: Limits, profile: str = "sample", walled: bool = True) -> Iterator[Sandbox]:
    """Start a notebook's process; at the end kill it, with whatever it has started, and discard what it wrote.

    Args:
        walled: False leaves out the walls where a system has none to offer: only time and memory are limited then.

    Raises:
        SceneError: where this system offers no walls.
    """
    unshare = shutil.which("unshare") if sys.platform == "linux" else None
    if walled and unshare is None:
        raise SceneError(f"the walls that notebooks run behind need Linux and its program unshare; {REMEDY}")
    namespaces = [unshare, *NAMESPACES] if walled else []
    own, other = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="grade-") as place, own, other:
        os.set_inheritable(other.fileno(), True)
        command = [sys.executable, "-m", "scene_utils.grading.worker", str(other.fileno())]
        first = [sys.executable, "-I", walls.__file__, json.dumps(_plan(limits, place if walled else "", profile))]
        process = subprocess.Popen(
            [*namespaces, *first, *command],
            env=_environment("/scratch" if walled else place), cwd=place, pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        other.close()
        sandbox = Sandbox(process, Connection(own.detach()), limits)
        try:
            sandbox.open()
            yield sandbox
        finally:
            sandbox.stop("done")
            process.wait()
            process.stderr.close()
            sandbox.connection.close()


def _plan(limits: Limits, root: str, profile: str) -> dict:
    """What ``walls`` is to build: the package and the records, but no notebook, hence no solution and no other's."""
    project = settings.project_dir()
    paths = {*SYSTEM, sys.prefix, sys.base_prefix, str(project / "scene_utils"), str(project / "report")}
    paths |= {path for path in sys.path if "site-packages" in path}
    if profile != "sample":
        paths |= {str(place) for place in (settings.cache_dir(), settings.data_dir()) if place}
    shown: list[str] = []
    for path in sorted(filter(os.path.exists, paths)):
        if not any(os.path.realpath(path).startswith(f"{os.path.realpath(each)}/") for each in shown):
            shown.append(path)
    set_limits = {"CPU": 2 * limits.seconds + 60, "DATA": limits.megabytes * MEBIBYTE, "NPROC": limits.processes,
                  "FSIZE": limits.disk * MEBIBYTE, "NOFILE": 512, "CORE": 0}  # fmt: skip
    if not root:  # without namespaces all processes of the user count
        del set_limits["NPROC"]
    return {"root": root, "paths": shown, "megabytes": limits.disk, "limits": set_limits}


def _environment(home: str) -> dict[str, str]:
    """Nothing of the teacher's environment."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "PYTHONUTF8": "1",
        "PYTHONPATH": str(settings.project_dir()), "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg",
        "SCENE_RUNS_DIR": f"{home}/runs", "SCENE_CACHE_DIR": str(settings.cache_dir()), "SCENE_DEVICE": "cpu",
        "OMP_NUM_THREADS": "2", "SCENE_THREADS": "2", "TQDM_DISABLE": "1", "IPYTHONDIR": f"{home}/.ipython",
    }  # fmt: skip
