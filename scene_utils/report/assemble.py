"""The report out of the notebooks' cells: what each slide shows, in either language, and what it still waits for.

A cell's output is taken from the current execution, else from the committed notebook, where the records that it
shows are still those at hand. Texts are filled in anew, so a changed wording needs no execution.
"""

from __future__ import annotations

import contextlib
from functools import cache, cached_property
from pathlib import Path

import pandas as pd
from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from scene_utils import results
from scene_utils.report import manifest, pages, series
from scene_utils.report.manifest import Slide
from scene_utils.results import Run
from scene_utils.support import settings, svg
from scene_utils.support.settings import SceneError
from scene_utils.text import LANGUAGES, Text, join, label, render, say, sentences
from scene_utils.text.shown import MIME, Paragraph, Table, from_json, in_language

UNCOMPARED = "nbval-ignore-output"  # tag of a cell whose output depends on the data or the profile


def write(profile: str, seed: int) -> Path:
    """Write ``report.html``, ``report.ko.html`` and ``report.md`` of a profile and seed; return the first."""
    place = series.folder(profile, seed)
    for language in LANGUAGES:
        suffix = "" if language == "en" else f".{language}"
        pages.html_report(assemble(profile, seed, language), place / f"report{suffix}.html", language)
    pages.markdown_report(assemble(profile, seed), place / "report.md")
    return place / "report.html"


def assemble(profile: str, seed: int = 0, language: str = "en") -> NotebookNode:
    """Return the report as a notebook: for each slide its heading, outputs, missing runs and small print."""
    edition = Edition(profile, seed)
    return new_notebook(cells=[cell for slide in manifest.slides() for cell in page(slide, edition, language)])


def page(slide: Slide, edition: Edition, language: str) -> list[NotebookNode]:
    """The cells of one slide; none for a section that has nothing to show."""
    level, number = "#" if slide.id == "opening" else "##", f"{slide.id}. " if slide.numbered else ""
    heading = new_markdown_cell(f"{level} {number}{render(say(slide.title_key), language)}")
    if slide.id == "missing":
        return [heading, *missing_slides(edition, language)]
    committed = _tagged(series.notebooks_dir() / f"{slide.notebook}.ipynb", slide.tag)
    shown = [edition.outputs(slide, position, cell, language) for position, cell in enumerate(committed)]
    if shown and not slide.needs and not any(outputs is None or outputs for outputs in shown):
        return []
    cells = [new_code_cell("", outputs=outputs) for outputs in shown if outputs]
    notes = waiting(slide, edition, executed=bool(shown) and None not in shown)
    notes += small_print(slide, edition) if cells else []
    return [heading, *cells, *(new_markdown_cell(note.markdown(language)) for note in notes)]


class Edition:
    """What there is of a profile and seed: the records on the images at hand, executed and committed notebooks."""

    def __init__(self, profile: str, seed: int):
        self.profile, self.seed = settings.profile(profile), settings.seed(seed)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Runs of these images by name."""
        own = None
        if settings.data_dir():
            from scene_utils import data  # takes seconds to import

            own = data.load(self.profile).key
        return {r.name: r for r in results.records() if (r.dataset["key"] == own if own else r.dataset["commit"])}

    def run(self, experiment: str) -> Run | None:
        """The run of an experiment, finished or diverged; None where there is none.

        The report's own conditions have run in the profile full, whatever the profile of this edition.
        """
        profiles = ["full", self.profile] if experiment.endswith("-reported") else [self.profile]
        found = (self.runs.get(results.run_name(experiment, profile, self.seed)) for profile in profiles)
        return next(filter(None, found), None)

    def missing(self, slide: Slide) -> list[str]:
        """Experiments of a slide that have not run, and tables that are not there."""
        tables = [t for t in slide.tables if not results.places(f"{t}.{self.profile}.s{self.seed}.csv")]
        return [name for name in slide.needs if self.run(name) is None] + tables

    def outputs(self, slide: Slide, position: int, committed: NotebookNode, language: str) -> list[NotebookNode] | None:
        """What a slide's cell shows, in a language, from the best place that is current; None where none is."""
        executed = series.executed(self.profile, self.seed, slide.notebook)
        places = [_tagged(path, slide.tag) for path in (executed, executed.with_suffix(".failed.ipynb"))]
        found = [cells[position] for cells in places if position < len(cells)]
        found += [committed] if self.is_published(slide, committed) else []
        for cell in found:
            if cell.source == committed.source and is_current(cell):
                with contextlib.suppress(SceneError):  # its texts are of another time
                    return [translated(output, language) for output in cell.outputs if visible(output)]
        return None

    def is_published(self, slide: Slide, cell: NotebookNode) -> bool:
        """Whether a committed cell's outputs are the same in all editions, or of this profile, seed and images."""
        if not series.tagged(cell, UNCOMPARED):
            return True
        known = _read(series.notebooks_dir() / f"{slide.notebook}.ipynb").metadata.get("scene", {})
        return known == {"profile": self.profile, "seed": self.seed} and not settings.data_dir()


def is_current(cell: NotebookNode) -> bool:
    """Whether a cell has been executed, and shows records that are still those at hand."""
    if cell.execution_count is None or any(output.output_type == "error" for output in cell.outputs):
        return False
    shown = {run: key for o in cell.outputs for run, key in o.get("metadata", {}).get("runs", {}).items()}
    return all(_is_known(*run.rsplit(".", 2), key) for run, key in shown.items())


@cache
def _is_known(experiment: str, profile: str, seed: str, key: str) -> bool:
    return results.find(experiment, profile, int(seed.removeprefix("s")), key) is not None


def _tagged(path: Path, tag: str) -> list[NotebookNode]:
    """The code cells of a notebook with a tag; none of a notebook that is not there."""
    return [cell for cell in _read(path).cells if cell.cell_type == "code" and series.tagged(cell, tag)]


def _read(path: Path) -> NotebookNode:
    return _parse(path, path.stat().st_mtime_ns) if path.exists() else new_notebook()


@cache
def _parse(path: Path, changed: int) -> NotebookNode:
    return series.read_notebook(path)


def visible(output: NotebookNode) -> bool:
    """Whether a reader sees an output: what goes to stderr is a machine's."""
    return output.get("name") != "stderr"


def translated(output: NotebookNode, language: str) -> NotebookNode:
    """An output in a language, its texts filled in anew; what carries no data of its own stays as it is.

    Raises:
        SceneError: where its texts do not fit to the templates.
    """
    content = output.get("data", {}).get(MIME, {})
    kind = next((kind for kind in pages.SUFFIX if kind in output.get("data", {})), None)
    if kind is None:
        return new_output("display_data", in_language(content, language)) if content else from_dict(output)
    image, about = output.data[kind], output.metadata.get(kind, {})
    if kind == "image/svg+xml" and language != "en":
        image = svg.translated(image, lambda word: label(word, language))
    alt = from_json(content["figure"]["alt"]) if content else about.get("alt", "")
    alt = render(alt, language) if isinstance(alt, Text) else label(alt, language)
    return new_output("display_data", {kind: image}, metadata={kind: about | {"alt": alt}})


# --- what is missing, and the small print


def waiting(slide: Slide, edition: Edition, executed: bool) -> list[Paragraph]:
    """What a slide waits for, and the command that makes it; nothing where it is whole."""
    missing = [name for name in edition.missing(slide) if name in slide.needs]
    if missing:
        note = say("not_run" if len(missing) == len(slide.needs) else "part_not_run")
        command = f"python -m scene_utils train {' '.join(slide.train or missing)} --profile {edition.profile}"
        command += f" --seed {edition.seed}" if edition.seed else ""
    elif executed:
        return []
    else:
        note, command = say("not_executed"), f"ONLY={slide.notebook} make report PROFILE={edition.profile}"
        command += f" SEED={edition.seed}" if edition.seed else ""
    return [Paragraph([note, f"```\n{command}\n```"], "blocks")]


def missing_slides(edition: Edition, language: str) -> list[NotebookNode]:
    """The slides that wait for a run, each with the experiments to come."""
    numbered = [slide for slide in manifest.slides() if slide.numbered]
    found = {slide: edition.missing(slide) for slide in numbered}
    rows = [(slide.id, say(slide.title_key), ", ".join(names)) for slide, names in found.items() if names]
    if not rows:
        command = "python -m scene_utils train ensemble-reported --profile full"
        own = "" if results.find("ensemble-reported", "full") else say("missing.reported", command=command)
        return [new_markdown_cell(render(join([say("missing.none"), own]), language))]
    told = say("missing.slides", count=len(rows), all=len(numbered), profile=edition.profile)
    table = Table(pd.DataFrame(rows, columns=["#", "slide", "experiments to come"]), "text")
    output = new_output("display_data", {"text/html": table.html(language)})
    return [new_markdown_cell(render(told, language)), new_code_cell("", outputs=[output])]


def small_print(slide: Slide, edition: Edition) -> list[Paragraph]:
    """Which runs a slide's numbers come from: one line for those that differ in nothing but names and seconds."""
    groups: dict[tuple, list[Run]] = {}
    for name in (*slide.beside, *slide.needs):
        if run := edition.run(name):
            groups.setdefault(tuple(sentences.origin(run).items()), []).append(run)
    lines = []
    for parts, members in groups.items():
        names = ", ".join(run.experiment for run in members)
        seconds = [run.seconds for run in members]
        if len(members) > 4:
            names = say("many", first=members[0].experiment, last=members[-1].experiment, count=len(members))
            seconds = [sum(seconds)]
        times = ", ".join(f"{value:,.0f}" for value in seconds)
        lines.append(say("provenance", names=names, seconds=times, **dict(parts)))
    return [Paragraph(lines, "small")] if lines else []
