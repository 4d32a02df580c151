"""The assembled report as pages: one HTML page, a Markdown page with figures, a deck as PDF."""

from __future__ import annotations

import base64
import contextlib
import html
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat import NotebookNode, from_dict

from scene_utils.support import drawn, settings
from scene_utils.support.settings import SceneError
from scene_utils.text import label, render, say

TEMPLATES = Path(__file__).resolve().parent / "templates"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
MAC_CHROMIUM = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
SUFFIX = {"image/png": ".png", "image/svg+xml": ".svg", "image/jpeg": ".jpg"}


def html_report(notebook: NotebookNode, output: Path, language: str = "en") -> Path:
    """Write a notebook's outputs and Markdown as one self-contained page: no code, no script, no request.

    Raises:
        SceneError: for an image that is not in the notebook itself.
    """
    filters = {"data_fold": partial(data_fold, language=language)}
    options = {"exclude_input": True, "exclude_anchor_links": True, "language_code": language}
    page = exported(notebook, filters=filters, **options)
    simplify(page)
    _structure(page, language)
    return settings.atomic_write(output, str(page))


def exported(notebook: NotebookNode, **options) -> BeautifulSoup:
    """A notebook in the template ``report``, with these options of nbconvert's beside those of every page."""
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        **options,
    )
    return BeautifulSoup(exporter.from_notebook_node(notebook)[0], "html.parser")


def data_fold(text: str, language: str = "en") -> str:
    """Return a figure's data (CSV) as tables in a fold; nothing for a picture."""
    if not text:
        return ""
    tables = []
    for panel, frame in drawn.panels(text):
        words = frame.map(lambda cell: label(cell, language) if isinstance(cell, str) else cell)
        words = words.rename(columns=lambda name: label(name or "value", language))
        shown = words.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format)
        tables.append(f"<p>{html.escape(label(panel, language))}</p>{shown}")
    title = render(say("data_of_figure"), language)
    return f'<details class="data"><summary>{title}</summary>{"".join(tables)}</details>'


def simplify(page: BeautifulSoup) -> None:
    """Clean a page of nbconvert's: no scripts, no wrappers; tables and pictures that scroll by themselves."""
    _clean(page)
    main = page.main
    for wrapper in main.find_all("div"):
        classes = " ".join(wrapper.get("class", []))
        if "code_cell" in classes:
            wrapper.attrs = {"class": "cell"}
        elif not classes or re.search(r"cell|input|output|prompt|rendered_html|jp-", classes):
            wrapper.unwrap()
    for table in main.find_all("table"):  # on a phone the cells of a wide one stand one below the other
        names = [cell.get_text() for cell in table.find_all("th")]
        for row in table.select("tbody tr"):
            for cell, name in zip(row.find_all("td"), names, strict=False):
                cell["data-name"] = name
    for wide in main.find_all(["table", "img"]):  # on a phone they scroll by themselves
        kind = {"table": "table", "img": "figure"}[wide.name]
        wide.wrap(page.new_tag("div", attrs={"class": kind, "tabindex": "0"}))
    for table in main.select("table.fold"):  # a long one is opened by whoever wants it, and is not printed
        fold, title = page.new_tag("details", attrs={"class": "data"}), page.new_tag("summary")
        title.string = render(say("fold", rows=len(table.select("tbody tr"))), page.html["lang"])
        table.parent.wrap(fold).insert(0, title)
    for code in main.find_all("pre"):  # without a mouse, too
        code["tabindex"] = "0"
    for image in main.find_all("img"):
        if image.get("alt", "").strip() in ("", "No description has been provided for this image"):
            image["alt"] = image.find_previous(["h1", "h2", "h3"]).get_text()


def _clean(page: BeautifulSoup) -> None:
    """Leave out scripts and what pages of our own do not need; refuse images from elsewhere."""
    for element in page.find_all(["script", "iframe", "object", "embed", "link", "base", "form"]):
        element.decompose()
    for style in page.main.find_all("style"):  # pandas adds one to each table
        style.decompose()
    for element in page.find_all(True):
        for name in [n for n in element.attrs if n.startswith("on") or n in ("srcset", "style", "border")]:
            del element[name]
    for image in page.find_all("img"):
        if not image.get("src", "").startswith("data:image/"):
            raise SceneError(f"the report shows an image from elsewhere: {image.get('src')}; embed it")


def _structure(page: BeautifulSoup, language: str) -> None:
    """Title, contents, one section per heading of level 2 with its frames."""
    headings, title = _sections(page), page.main.h1
    if title is None:
        raise SceneError("the report has no title; start it with a heading of level 1")
    page.title.string = title.get_text()
    name, items = render(say("contents"), language), []
    for heading in headings:
        unprinted = "" if heading.find_parent("section").select(".frame, pre") else ' class="unprinted"'
        text = html.escape(heading.get_text(), quote=False)
        items.append(f'<li{unprinted}><a href="#{heading["id"]}">{text}</a></li>')
    contents = f'<nav aria-label="{name}"><h2>{name}</h2><ol>{"".join(items)}</ol></nav>'
    (page.main.section or title).insert_before(BeautifulSoup(contents, "html.parser").nav)


def _sections(page: BeautifulSoup) -> list[Tag]:
    """Wrap each heading of level 2 and what follows in a section of frames, and return the headings, with ids."""
    section, headings = None, []
    for element in list(page.main.contents):
        if element.name == "h2":
            section = page.new_tag("section")
            element.insert_before(section)
            headings.append(element)
        if section is not None:
            section.append(element.extract())
    for number, heading in enumerate(headings, start=1):
        slide, section = re.match(r"(\d+)\.", heading.get_text()), heading.parent
        heading["id"] = f"slide-{slide[1]}" if slide else f"section-{number}"
        cells = section.find_all("div", class_="cell")
        if cells:
            rest = [part for part in section.contents if part.name and not _among(part, cells)]
            parts = [[part for part in cell.contents if part.name] for cell in cells]
            parts[0].insert(0, heading)
            parts[-1].extend(rest[1:])
            frames = [frame for each in _frames(parts) for frame in _arranged(page, each)]
            section.clear()
            section.extend(frames)
    for cell in page.main.find_all("div", class_="cell"):
        cell.unwrap()
    return headings


def _frames(cells: list[list[Tag]]) -> list[list[Tag]]:
    """What a section's cells show, cut so that each part has one picture, table or code to look at.

    The text before a picture goes with it; a cell of text alone belongs to what is before it.
    """
    frames: list[list[Tag]] = []
    for parts in cells:
        pictures = [position for position, part in enumerate(parts) if part.img]
        cuts = [0]
        for picture in pictures[1:]:
            while parts[picture - 1].name == "p":
                picture -= 1
            cuts.append(picture)
        for start, end in zip(cuts, [*cuts[1:], len(parts)], strict=True):
            alone = all(part.name in ("p", "ul") for part in parts[start:end])
            frames[-1].extend(parts[start:end]) if frames and alone else frames.append(parts[start:end])
    return frames


def _among(part: Tag, others: Sequence[Tag | None]) -> bool:
    """Whether a tag is one of others; two that say the same are equal, so ``in`` would not do."""
    return any(part is other for other in others)


def _arranged(page: BeautifulSoup, parts: list[Tag]) -> list[Tag]:
    """A frame: its headings, one sentence, one picture (else a table or code), and the rest as notes.

    What introduces the picture stays before it. A large table below a picture has a frame of its own.
    """
    told = [part for part in parts if part.name in ("p", "ul") and not part.small]
    codes = [part.find_previous_sibling() for part in parts if part.name == "pre" or part.pre]
    alone = [part for part in told if not _among(part, codes)]
    shown = [part for part in parts if part.img] or [part for part in parts if part.name in ("div", "pre")]
    lead = [*(part for part in parts if part.name in ("h2", "h3")), *(alone or told)[:1]]
    before = shown[0].find_previous_sibling() if shown else None
    lead += [part for part in told if part is before and not _among(part, lead)]
    frame, body, notes = (page.new_tag("div", attrs={"class": name}) for name in ("frame", "body", "notes"))
    folds = [part for part in parts if part.name == "details"]  # a picture's data, which is not printed
    rest = [part for part in parts if not _among(part, [*lead, *shown[:1], *folds])]
    rows = sum(len(part.find_all("tr")) for part in rest)
    wide = any(part.select_one("table.wide, td:nth-child(7)") for part in rest)
    beside = bool(shown and shown[0].img) and any(not part.small for part in rest)
    apart = _arranged(page, rest) if beside and rows > (7 if wide else 24) else []
    if beside and not wide and not apart:
        body["class"] = "body beside"  # printed, the notes stand at the picture's side
    notes.extend([] if apart else rest)
    body.extend([*shown[:1], *folds, notes])
    frame.extend([*lead, body])
    return [frame, *apart]


def markdown_report(notebook: NotebookNode, output: Path) -> Path:
    """Write a notebook, which is changed, as Markdown, its pictures in the folder ``figures`` beside it.

    Pictures are named by the heading above them, and so is their data, as CSV. Those that no page shows any more are
    removed.
    """
    figures: dict[str, bytes] = {}
    tables: dict[str, bytes] = {}  # their data
    heading = "report"
    for cell in notebook.cells:
        heading = _last_heading(cell.source) or heading
        for shown in cell.get("outputs", []):
            data = shown.get("data", {})
            heading = _last_heading(data.get("text/markdown", "")) or heading
            if kind := next((k for k in SUFFIX if k in data), None):
                slug = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")[:60]
                name = f"{slug}-{sum(name.startswith(f'{slug}-') for name in figures) + 1}{SUFFIX[kind]}"
                figures[name] = data[kind].encode() if kind == "image/svg+xml" else base64.b64decode(data[kind])
                about, table = shown.metadata.get(kind, {}), f"{name.removesuffix(SUFFIX[kind])}.csv"
                image = f"![{about.get('alt') or heading}](figures/{name})"
                if about.get("data"):
                    tables[table] = about["data"].encode()
                    image += f"\n\n<small>[{say('data_of_figure')}](figures/{table})</small>"
                shown.data = from_dict({"text/markdown": image})
            elif "text/html" in data:  # a table as a repository page shows it: without attributes of pandas
                plain = re.sub(r' (border|class|style)="[^"]*"', "", data["text/html"])
                data["text/html"] = re.sub(r"\n\s*", "\n", plain)
    text, _ = MarkdownExporter(exclude_input=True).from_notebook_node(notebook)
    folder, files = output.parent / "figures", figures | tables
    for name, content in files.items():
        settings.atomic_write(folder / name, content)
    settings.atomic_write(output, re.sub(r"\n{3,}", "\n\n", text).strip() + "\n")
    for old in folder.glob("*"):
        if old.name not in files:
            old.unlink()
    return output


def _last_heading(markdown: str) -> str:
    found = re.findall(r"^#{1,3} +(.+?) *$", markdown, flags=re.MULTILINE)
    return found[-1] if found else ""


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome; None where there is none."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    return found or (MAC_CHROMIUM if Path(MAC_CHROMIUM).exists() else None)


def pdf_deck(page: Path, output: Path, seconds: int = 120) -> Path | None:
    """Print the HTML page as a compressed deck, one section a page; None where no Chromium is installed.

    Raises:
        SceneError: where Chromium fails or leaves a file that is no PDF.
    """
    import pikepdf

    chromium = find_chromium()
    if chromium is None:
        return None
    with tempfile.TemporaryDirectory() as place:
        printed = Path(place) / "deck.pdf"
        command = [chromium, "--headless", "--disable-gpu", "--no-pdf-header-footer"]
        command += ["--no-sandbox"] if sys.platform == "linux" else []  # its sandbox does not start as root
        command += [f"--user-data-dir={place}/profile", f"--print-to-pdf={printed}", page.absolute().as_uri()]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=seconds, check=False)
        try:
            deck = pikepdf.open(printed)
        except (FileNotFoundError, pikepdf.PdfError) as error:
            raise SceneError(f"{chromium} could not print {page}; print it from a browser instead") from error
        objects = pikepdf.ObjectStreamMode.generate  # compresses the tags of the text too, half of what Chromium writes
        save = partial(deck.save, object_stream_mode=objects, recompress_flate=True, deterministic_id=True)
        with deck:
            return settings.atomic_write(output, save)
