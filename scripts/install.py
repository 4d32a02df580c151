"""Install packages with pip, and say in one line what is being installed and how far it is.

    .venv/bin/python scripts/install.py -c constraints.txt -e '.[series]'

pip itself prints some nine hundred lines. Where it fails, its last ones are shown.
"""

import contextlib
import subprocess
import sys
import sysconfig
import time
from collections import deque
from pathlib import Path

EVERY = 20  # seconds between two lines where they are not shown in place, in a log for example


class Line:
    """One line, rewritten in place in a terminal, now and then printed anew elsewhere."""

    def __init__(self):
        self.last = -EVERY

    def show(self, text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r\033[K{text[:79]}", end="", flush=True)
        elif time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            print(text, flush=True)

    def end(self) -> None:
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)


def main() -> int:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    line, last, found, fetched = Line(), deque(maxlen=20), 0, 0
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen([*command, *sys.argv[1:]], **pipes) as pip:
        for text in pip.stdout:
            last.append(text)
            first, _, rest = text.strip().partition(" ")
            if first == "Collecting":
                found += 1
                line.show(f"looking up: package {found}, {rest.split()[0]}")
            elif first in ("Downloading", "Using") and ".metadata" not in rest:
                fetched += 1
                line.show(f"fetching: package {fetched} of {found}, {rest.split('/')[-1].removeprefix('cached ')}")
            elif first == "Installing" and rest.startswith("collected"):
                count = rest.count(",") + 1
                before = installed()
                while pip.poll() is None:
                    line.show(f"installing: package {installed() - before} of {count}")
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        pip.wait(1)
    line.end()
    if pip.returncode:
        print("".join(last), end="", file=sys.stderr)
    return pip.returncode


def installed() -> int:
    """Return the number of packages in this environment."""
    return len(list(Path(sysconfig.get_path("purelib")).glob("*.dist-info")))


if __name__ == "__main__":
    sys.exit(main())
