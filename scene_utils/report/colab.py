"""The first cell of every notebook, which fetches the course in Colab, and the badge that opens a notebook there."""

from __future__ import annotations

import tomllib
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from scene_utils.report import series
from scene_utils.support import settings

ID, BADGE_ID = "install", "colab-badge"
FIRST_CELL = '''\
import importlib.util
import sys

REPOSITORY = "{repository}"
if importlib.util.find_spec("scene_utils") is None:  # a new session
    if REPOSITORY and "google.colab" in sys.modules:
        !git clone -q {{REPOSITORY}} scenes && pip install -q -e scenes
        sys.path.insert(0, "scenes")  # no restart needed
    else:
        print("scene_utils is missing. In Colab, set REPOSITORY to the address of the repository; run this cell again.")
        print("Elsewhere: git clone <address>, pip install -e <folder of the clone>, then restart the kernel.")'''
COLAB = "https://colab.research.google.com"
BADGE = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]"


def repository() -> str:
    """Public address of the repository, from ``pyproject.toml``; empty where it has none."""
    text = (settings.project_dir() / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["tool"]["scene-utils"]["repository"].removesuffix("/").removesuffix(".git")


def address_in_colab(name: str, address: str) -> str:
    """Where Colab opens a notebook of the repository at an address; empty where it cannot: only on GitHub."""
    place = address.removeprefix("https://github.com/")
    return f"{COLAB}/github/{place}/blob/main/notebooks/{name}.ipynb" if place != address else ""


def with_address(notebook: NotebookNode, name: str, address: str) -> NotebookNode:
    """The notebook with the first cell for an address and, where Colab can open it there, the badge."""
    cells = [cell for cell in notebook.cells if cell.id != BADGE_ID]
    source = FIRST_CELL.format(repository=address)
    first = next(cell for cell in cells if cell.id == ID)
    if first.source != source:
        first.update(source=source, outputs=[], execution_count=None)
    if link := address_in_colab(name, address):
        cells.insert(0, new_markdown_cell(f"{BADGE}({link})", id=BADGE_ID))
    notebook.cells = cells
    return notebook


def write() -> list[Path]:
    """Write the address into all notebooks that have another one, and return their paths."""
    changed, address = [], repository()
    for path in sorted(series.notebooks_dir().glob("*.ipynb")):
        if series.NAME.fullmatch(path.stem):
            before = series.read_notebook(path)
            after = with_address(series.read_notebook(path), path.stem, address)
            if after != before:
                changed.append(series.write_notebook(after, path))
    return changed
