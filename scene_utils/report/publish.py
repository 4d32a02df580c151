"""Publish a report: put its pages, records and outputs where a reader of the repository finds them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
from nbconvert.preprocessors import ClearOutputPreprocessor, CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from scene_utils import catalogue, evaluation, experiments, results
from scene_utils.report import colab, pages, series
from scene_utils.support import intervals, ledger, report_facts, settings
from scene_utils.support.settings import SceneError
from scene_utils.text import say, sentences

BEGIN, END = "<!-- results -->", "<!-- /results -->"


def publish(profile: str | None, seed: int) -> None:
    """Copy an up-to-date report into ``report/``, its outputs into the notebooks, its table into the README.

    Every file is replaced whole, and no record of another run is touched.

    Raises:
        SceneError: where something has not been executed, or has changed since.
    """
    profile = settings.profile(profile)
    source, target = series.folder(profile, seed), settings.project_dir() / "report"
    with series.hold(source):
        for folder in (target, target / "figures", settings.published_dir(), series.notebooks_dir()):
            settings.clear_leftovers(folder)
        executed = {name: _executed(name, profile, seed) for name in series.notebooks()}
        figures = sorted((source / "figures").glob("*"))
        for page in [*sorted(source.glob("report*.html")), *figures, source / "report.md"]:
            _copy(page, target / page.relative_to(source))
        for old in (target / "figures").glob("*"):
            if not (source / "figures" / old.name).exists():
                old.unlink()
        publish_runs((profile,))
        if pages.pdf_deck(target / "report.html", target / "report.pdf") is None:
            print("no Chromium found: report.pdf stays as it is")
        for name, content in executed.items():
            path = series.notebooks_dir() / f"{name}.ipynb"
            before = path.stat()
            series.write_notebook(content, path)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # nothing to execute again
        note_minutes(seed)
        write_tables()
    print(f"published: {target} (accuracies on the test set, choices on the hold-out)")


def publish_runs(profiles: tuple[str, ...] = ("short", "full")) -> list[str]:
    """Copy what has been run on the public dataset into ``report/results``, and return the names of what is new.

    A page that shows a run need not be done for that. The logs of what was started and of the readings of the test set
    are joined with the published ones (``report/started.csv``, ``report/readings.csv``), so that no line is lost.
    """
    source, target, new = settings.results_dir(), settings.published_dir(), []
    for profile in profiles:
        for record in sorted(source.glob(f"*.{profile}.s*.json")):
            there = target / record.name
            own_images = json.loads(record.read_text(encoding="utf-8")).get("dataset", {}).get("commit", "") is None
            if own_images or (there.exists() and there.read_bytes() == record.read_bytes()):
                continue
            _copy(record.with_suffix(".npz"), target / f"{record.stem}.npz")
            _copy(record, there)
            new.append(record.stem)
        for table in sorted(source.glob(f"*.{profile}*.csv")):
            _copy(table, target / table.name)
    for log, columns in ledger.LOGS.items():
        new_lines = {line for line in ledger.logged(source, log) if line.split(",")[2] in profiles}
        if new_lines:
            lines = sorted(new_lines | set(ledger.logged(target.parent, log)))
            settings.atomic_write(target.parent / log, "\n".join([",".join(columns), *lines]) + "\n")
    return new


def _copy(source: Path, target: Path) -> None:
    """Copy a file whole, keeping its time of change."""
    if not source.exists():
        raise SceneError(f"{source} is missing; run the report of this profile first, then publish")
    settings.atomic_write(target, source.read_bytes())
    shutil.copystat(source, target)


def _executed(name: str, profile: str, seed: int) -> NotebookNode:
    """The committed notebook with the outputs of its execution, without what papermill adds."""
    path = series.executed(profile, seed, name)
    remedy = f"run make report PROFILE={profile} first, then publish"
    if not path.exists():
        raise SceneError(f"{name} has not been executed; {remedy}")
    cells = series.read_notebook(path).cells
    run = [cell for cell in cells if not series.tagged(cell, "injected-parameters")]
    notebook = series.read_notebook(series.notebooks_dir() / f"{name}.ipynb")
    if [cell.source for cell in run] != [cell.source for cell in notebook.cells]:
        raise SceneError(f"{name} has changed since it was executed; {remedy}")
    notebook.metadata["scene"] = {"profile": profile, "seed": seed}  # whose outputs these are
    return with_outputs(notebook, run)


def with_outputs(notebook: NotebookNode, run: list[NotebookNode]) -> NotebookNode:
    """Put the outputs of executed cells into a notebook, but for stderr, and number its code cells from 1."""
    code = [pair for pair in zip(notebook.cells, run, strict=True) if pair[0].cell_type == "code"]
    for count, (cell, done) in enumerate(code, start=1):
        cell.execution_count = count
        # what goes to stderr is this machine's: fonts it lacks, warnings of its libraries
        cell.outputs = [output for output in done.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    # a busy machine leaves what one print said in parts
    return CoalesceStreamsPreprocessor().preprocess(notebook, {})[0]


# --- tables from records


def write_tables() -> None:
    """Write the README's table of results and ``report/results/summary.csv`` from the published records."""
    settings.atomic_write(settings.published_dir() / "summary.csv", results.summary().to_csv(index=False))
    for folder, table in ((settings.project_dir(), results_table()), (series.notebooks_dir(), lesson_table())):
        readme = folder / "README.md"
        settings.atomic_write(readme, with_table(readme.read_text(encoding="utf-8"), table))


def with_table(text: str, table: str) -> str:
    """Return a README's text with ``table`` between its markers.

    Raises:
        SceneError: where the markers are missing.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SceneError(f"README.md needs the lines {BEGIN} and {END} once each, around its table")
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{table}\n{END}", text, flags=re.DOTALL)


def results_table() -> str:
    """The report's models, its accuracy beside ours, then what goes beyond it, in Markdown, from published records."""
    records = results.records(published=True)
    runs = [r for r in records if r.seed == 0 and r.status == "finished" and experiments.is_report_data(r)]
    reported = {name: f"{told['accuracy']:.4f}" for name, told in results.facts()["results"].items()}
    under = {run.experiment: f"{run.accuracy:.4f}" for run in runs if run.experiment.endswith("-reported")}
    lines = ["| model | report | ours | 95 % interval | correct | adds to what the report names "
             "| under the report's conditions |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name in (*reported, *catalogue.BEYOND):
        own = [r for best in ("full", "short") for r in runs if (r.experiment, r.profile) == (name, best)]
        head = f"| {catalogue.EXPERIMENTS[name].title} | {reported.get(name, '')} |"
        if not own:
            lines.append(f"{head} not published yet | | | | |")
            continue
        low, high = intervals.wilson_interval(own[0].correct, own[0].total)
        lines.append(
            f"{head} **{own[0].accuracy:.4f}** | {low:.4f} to {high:.4f} "
            f"| {own[0].correct:,} of {own[0].total:,} | {sentences.added(own[0])} "
            f"| {under.get(f'{name}-reported', 'not run') if name == 'ensemble' else '–'} |"
        )
    return "\n".join([*lines, "", say("summary.dash")])


def check_numbers() -> list[str]:
    """Recompute every published accuracy from predictions, and what is written from records; return one line each.

    Raises:
        SceneError: naming all that disagree.
    """
    lines, wrong = [], []
    runs = results.records(published=True)
    for run in runs:
        if run.status != "finished":
            lines.append(f"{run.name}: {run.status} at step {run.diverged_step}")
            continue
        matrix = evaluation.confusion(run.labels, run.answers(run.judged_by), run.classes)
        lines.append(f"{run.name}: {np.trace(matrix):,} of {matrix.sum():,} on the {run.judged_on}")
        if not np.array_equal(matrix, run.confusion) or run.accuracy != np.trace(matrix) / matrix.sum():
            wrong.append(f"{run.name} has {run.correct}, its predictions give {np.trace(matrix)}")
    for model, agrees in report_facts.agree(results.facts()).items():
        lines.append(f"the report's {model}: per-class and overall accuracy {'agree' if agrees else 'DISAGREE'}")
        wrong += [] if agrees else [f"the report's facts on {model} disagree with themselves"]
    readme = (settings.project_dir() / "README.md").read_text(encoding="utf-8")
    if with_table(readme, results_table()) != readme:
        wrong.append("the README's table is not that of the records; run make publish")
    if wrong:
        raise SceneError("numbers disagree: " + "; ".join(wrong))
    judged = Counter(run.judged_on for run in runs if run.status == "finished")
    counted = " and ".join(f"{count} accuracies on the {name}" for name, count in sorted(judged.items()))
    return [*lines, f"agree: {counted}"]


def note_minutes(seed: int) -> None:
    """Note in ``report/minutes.json`` how long each executed notebook of the runs folder took, in seconds."""
    path = settings.project_dir() / "report" / "minutes.json"
    noted = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for profile in settings.PROFILES:
        done = [series.executed(profile, seed, name) for name in series.notebooks()]
        read = {path.stem: series.read_notebook(path).metadata for path in done if path.exists()}
        took = {name: found.get("papermill", {}).get("duration") for name, found in read.items()}
        every = noted.get(profile, {}) | {name: round(s, 1) for name, s in took.items() if s is not None}
        noted[profile] = {name: s for name, s in every.items() if (series.notebooks_dir() / f"{name}.ipynb").exists()}
    settings.atomic_write(path, json.dumps(noted, indent=1) + "\n")


def lesson_table() -> str:
    """The notebooks in reading order: minutes to read, to execute and for the exercises; in Markdown."""
    path = settings.project_dir() / "report" / "minutes.json"
    noted = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    lines = ["| notebook | minutes to read | exercises | minutes for them | "
             + " | ".join(f"to execute: {profile}" for profile in settings.PROFILES) + " |"]  # fmt: skip
    lines += ["|---|---|---|---|" + "---|" * len(settings.PROFILES)]
    for file in sorted(p for p in series.notebooks_dir().glob("*.ipynb") if series.NAME.fullmatch(p.stem)):
        cells = series.read_notebook(file).cells
        exercises = minutes_for_exercises(cells)
        took = [noted.get(profile, {}).get(file.stem) for profile in settings.PROFILES]
        execution = ["" if seconds is None else f"{seconds / 60:.1f}" for seconds in took]
        name = f"[{file.stem}]({file.name})"
        lines.append(f"| {name} | {minutes_to_read(cells)} | {len(exercises) or ''} | {sum(exercises) or ''} "
                     f"| {' | '.join(execution)} |")  # fmt: skip
    return "\n".join(lines)


def minutes_to_read(cells: list) -> int:
    """Minutes that a student takes: 100 words or 6 lines of code a minute, 90 s for a figure, 60 s for a table."""
    code = [cell for cell in cells if cell.cell_type == "code" and not series.tagged(cell, "solution")]
    shown = [output.get("data", {}) for cell in code for output in cell.outputs]
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    lines = sum(len(cell.source.splitlines()) for cell in code)
    figures, tables = (sum(kind in str(data.keys()) for data in shown) for kind in ("image/", "text/html"))
    return round(words / 100 + lines / 6 + 1.5 * figures + tables)


def minutes_for_exercises(cells: list) -> list[int]:
    """What the headings of a page's exercises say, such as ``(20 minutes, write)``."""
    headings = re.findall(r"^### .*\((\d+ minutes|an hour)", "\n".join(cell.source for cell in cells), re.MULTILINE)
    return [60 if told == "an hour" else int(told.split()[0]) for told in headings]


# --- copies for a class


def student() -> Path:
    """Write the notebooks without solutions and outputs into the folder ``student``, and return it."""
    target = settings.project_dir() / "student"
    for name in series.notebooks():
        notebook = series.read_notebook(series.notebooks_dir() / f"{name}.ipynb")
        series.write_notebook(without_solutions(notebook), target / f"{name}.ipynb")
    for name in ("glossary.md", "PROJECT.md"):  # pages link to them; TEACHING.md has the exam's answers
        if (series.notebooks_dir() / name).exists():
            _copy(series.notebooks_dir() / name, target / name)
    return target


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """Drop the cells tagged ``solution``, the badge, which opens the page with solutions, and every output."""
    kept = (cell for cell in notebook.cells if not series.tagged(cell, "solution"))
    notebook.cells = [cell for cell in kept if cell.id != colab.BADGE_ID]
    return ClearOutputPreprocessor().preprocess(notebook, {})[0]
