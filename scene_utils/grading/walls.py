"""First program of a notebook's process: builds a file system of its own, sets the limits, then starts the worker.

It runs in fresh namespaces (``unshare``), in which it may mount, and the next one starts without that right: in a user
namespace below, which cannot undo what lies above. Called as ``walls.py '<plan as JSON>' COMMAND...``.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

BIND, RECURSIVE = 4096, 16384  # of mount(2)
MOUNT_SETATTR, HERE, READ_ONLY = 442, -100, 0x1  # of mount_setattr(2): its number is the same on every processor
DEVICES = ("null", "zero", "random", "urandom")
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str | None = None, flags: int = 0, data: str = "") -> None:
    """Mount; raise ``OSError`` where the system does not allow it."""
    words = [word.encode() if word else None for word in (source, str(target), kind)]
    if LIBC.mount(*words, ctypes.c_ulong(flags), data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


def show(path: str, root: Path) -> None:
    """Let a file or folder appear below ``root`` at its own place, with all that is mounted in it, read-only."""
    there = root / path.lstrip("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    if os.path.islink(path):  # /bin, on most systems
        there.symlink_to(os.readlink(path))
        return
    there.mkdir(exist_ok=True) if os.path.isdir(path) else there.touch()
    mount(path, there, flags=BIND | RECURSIVE)
    attributes = (ctypes.c_uint64 * 4)(READ_ONLY, 0, 0, 0)
    if LIBC.syscall(MOUNT_SETATTR, HERE, str(there).encode(), 0x8000, attributes, ctypes.sizeof(attributes)):
        raise OSError(ctypes.get_errno(), f"{path} cannot be made read-only")


def enter(root: Path, paths: list[str], megabytes: int) -> None:
    """Make ``root``, in memory, the only file system: the named paths read-only, devices, processes, ``/scratch``."""
    mount("tmpfs", root, "tmpfs", data=f"size={megabytes}m,mode=755")
    for path in paths:
        show(path, root)
    for name in ("dev", "proc", "tmp", "scratch"):
        (root / name).mkdir(exist_ok=True)
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", root / "dev" / name, flags=BIND)
    mount("proc", root / "proc", "proc")
    os.chdir(root)
    for command in (["pivot_root", ".", "."], ["umount", "--lazy", "."]):
        subprocess.run(command, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    os.chdir("/scratch")


def main(plan: dict, command: list[str]) -> None:
    """Build the walls of a plan, if it has any, set its resource limits for good, and become the command."""
    if plan["root"]:
        enter(Path(plan["root"]), plan["paths"], plan["megabytes"])
        command = ["unshare", "--user", "--map-root-user", *command]
    for name, value in plan["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
