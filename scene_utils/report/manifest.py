"""What belongs where: the report's slides, their notebooks and experiments, from ``manifest.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("manifest.toml")
CONCLUSIONS = "10_conclusions"  # builds on all notebooks and shows all records


@dataclass(frozen=True, eq=False)
class Slide:
    """A slide of the report, or one of the sections around the slides; ``manifest.toml`` explains the fields."""

    id: str
    notebook: str = ""
    title: str = ""
    needs: Sequence[str] = ()
    beside: Sequence[str] = ()
    train: Sequence[str] = ()
    tables: Sequence[str] = ()

    @property
    def tag(self) -> str:
        """The tag of its cells."""
        return f"slide-{self.id}"

    @property
    def numbered(self) -> bool:
        """Whether it is one of the report's slides, not a section around them."""
        return self.id.isdecimal()

    @property
    def title_key(self) -> str:
        """Key of its heading's text."""
        return self.title or (f"slide.{self.id}" if self.numbered else self.id)


@cache
def slides() -> tuple[Slide, ...]:
    """All slides and sections in the report's order."""
    return tuple(Slide(**fields) for fields in _read()["slides"])


def builds_on(notebook: str) -> list[str]:
    """Names of the notebooks that one builds on; ``CONCLUSIONS`` builds on all, which is not listed."""
    return _read()["notebooks"].get(notebook, {}).get("after", [])


def shown_files(notebook: str, profile: str, seed: int) -> list[str]:
    """Patterns of the files, records and tables, that a notebook shows, those of its cases aside."""
    if notebook == CONCLUSIONS:  # with all cases, and the published models, which are those of the profile short
        return [f"*.{profile}.s*.json", "*-reported.full.s0.json", "*.short.s*.json", "*.short.csv", "*.toml"]
    own = [each for each in slides() if each.notebook == notebook]
    names = [*_read()["notebooks"].get(notebook, {}).get("shows", []), *(n for s in own for n in (*s.needs, *s.beside))]
    tables = [f"{name}.{profile}.s{seed}.csv" for each in own for name in each.tables]
    ran = {name: "full" if name.endswith("-reported") else profile for name in names}
    return [f"{name}.{each}.s{seed}.json" for name, each in ran.items()] + tables


@cache
def _read() -> dict:
    return tomllib.loads(PATH.read_text(encoding="utf-8"))
