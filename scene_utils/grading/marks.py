"""The table of marks: which answers of a page are asked for, and what the checks say of a returned notebook's."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scene_utils.grading import sandbox
from scene_utils.grading.answers import Notebook
from scene_utils.lessons import checks, mine
from scene_utils.report import series
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

ASKED = re.compile(r"(?:checks\.(?P<check>\w+)|mine\.keep)\((?P<answer>\w+)\)")  # the cell below an exercise
BY_HAND = "by hand"
TABLE = "marks.csv"


@dataclass(frozen=True)
class Exercise:
    """An exercise of a page: its name, the name of its answer, and its check (empty where the page has its own)."""

    name: str
    answer: str
    check: str


def exercises(page: str) -> list[Exercise]:
    """The exercises of a page, from the series' own notebook."""
    found = []
    for cell in series.read_notebook(series.notebooks_dir() / f"{page}.ipynb").cells:
        kind, _, name = cell.id.partition("-")
        if kind in ("check", "keep") and cell.cell_type == "code":
            asked = ASKED.fullmatch(cell.source.strip())
            check = (asked["check"] or mine.CHECKS[asked["answer"]].__name__) if asked else ""
            found.append(Exercise(name, asked["answer"] if asked else "", check))
    return found


def grade(folder: Path, profile: str = "sample", walled: bool = True, limits=sandbox.Limits()) -> pd.DataFrame:  # noqa: B008
    """Mark every notebook below a folder; write ``marks.csv`` into it, and return the same table.

    One row per notebook and exercise: ``right``, ``not yet``, ``not answered yet`` or ``by hand``, and a remark.

    Raises:
        SceneError: where there is no notebook, or this system has no walls.
    """
    paths = [path for path in sorted(folder.rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts]
    if not paths:
        raise SceneError(f"{folder} holds no notebook; name the folder of those that were returned")
    rows = []
    for path in paths:
        name, began = str(path.relative_to(folder).with_suffix("")), time.monotonic()
        marked = list(_marks(path, profile, walled, limits))
        seconds = round(time.monotonic() - began, 1)
        rows += [{"notebook": name, **mark, "seconds": seconds} for mark in marked]
        right = sum(mark["verdict"] == "right" for mark in marked)
        print(f"{name}: {right} of {len(marked)} right, {seconds:.0f} s", flush=True)
    table = pd.DataFrame(rows).map(lambda cell: _harmless(cell) if isinstance(cell, str) else cell)
    settings.atomic_write(folder / TABLE, table.to_csv(index=False))
    return table


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per notebook: how many are right, which are not, the first remark."""
    rows = []
    for name, marks in table.groupby("notebook", sort=False):
        named = {verdict: " ".join(each["exercise"]) for verdict, each in marks.groupby("verdict")}
        remark = next((text for text in marks["remark"] if text), "")
        rows.append({"notebook": name, "right": f"{(marks['verdict'] == 'right').sum()} of {len(marks)}",
                     "not yet": named.get("not yet", ""), "no answer": named.get("not answered yet", ""),
                     BY_HAND: named.get(BY_HAND, ""), "seconds": marks["seconds"].iloc[0],
                     "first remark": remark[:60]})  # fmt: skip
    return pd.DataFrame(rows)


def _marks(path: Path, profile: str, walled: bool, limits: sandbox.Limits) -> Iterator[dict]:
    """What the checks say of one notebook, exercise by exercise."""
    page, stopped = next((name for name in series.notebooks() if name in path.stem), ""), ""
    try:
        if not page:
            raise SceneError("its name contains no page's, such as 00a_neuron")
        cells = _cells(path, profile)
    except SceneError as problem:
        yield {"page": page, "exercise": "", "check": "", "verdict": "not read", "remark": str(problem)}
        return
    files = {each.name: each.read_text(encoding="utf-8", errors="replace") for each in path.parent.glob(mine.FILE)}
    with sandbox.opened(limits, profile, walled) as process:
        notebook = Notebook(process)
        try:
            errors = notebook.run(cells, files)
        except (sandbox.Stopped, Exception) as reason:
            errors, stopped = {}, f"stopped while its cells ran: {reason}"
        for exercise in exercises(page):
            verdict, remark = ("not yet", stopped) if exercise.check else (BY_HAND, "")
            if exercise.check and not stopped:
                try:
                    verdict, remark = _verdict(notebook, exercise, errors)
                except sandbox.Stopped as reason:
                    remark = stopped = f"stopped in exercise {exercise.name}: {reason}"
            yield {"page": page, "exercise": exercise.name, "check": exercise.check, "verdict": verdict,
                   "remark": remark}  # fmt: skip


def _verdict(notebook: Notebook, exercise: Exercise, errors: dict[str, str]) -> tuple[str, str]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            answer = notebook.answer(exercise.answer)
        except Exception as error:
            return "not yet", f"no answer that can be read: {error}"
        verdict, _, hint = checks.CHECKS[exercise.check].verdict(answer).partition(": ")
    failed = next((text for name, text in errors.items() if name.partition("-")[2] == exercise.name), "")
    return verdict, "; ".join(filter(None, [hint, printed.getvalue().strip(), failed]))


def _cells(path: Path, profile: str) -> list[tuple[str, str]]:
    """Code cells of a returned notebook, by name: without those that check, with the profile."""
    found = []
    for number, cell in enumerate(series.read_notebook(path).cells):
        source = "".join(cell.get("source", ""))
        if cell.cell_type == "code" and not ASKED.fullmatch(source.strip()):
            found.append((str(cell.get("id", number)), source))
        if series.tagged(cell, "parameters"):
            found.append(("profile", f"profile = {profile!r}"))
    return found


def _harmless(text: str) -> str:
    """One line that no spreadsheet takes for a formula."""
    text = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()[:300]
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
