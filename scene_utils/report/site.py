"""``make site``: notebooks, report, glossary and handbook as linked pages that a browser reads from a folder.

No page makes a request: formulas are MathML, pictures lie in the pages, and the search reads an index beside them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, NavigableString, Tag
from jinja2 import Environment, FileSystemLoader
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES

from scene_utils.report import colab, pages, series
from scene_utils.support import settings

TEMPLATES = pages.TEMPLATES / "site"
HEADINGS = ["h1", "h2", "h3"]
CODE_STYLES = {"xcode": "1b1b1f", "github-dark": "e6e8ec"}  # Pygments' styles by day and by night, and other code


def sources() -> dict[str, str]:
    """The pages in reading order: path of each source in the repository, and name of its page."""
    lessons = {f"notebooks/{name}.ipynb": name for name in series.notebooks()}
    cards = {"report/MODEL_CARD.md": "model_card", "report/DATA_CARD.md": "data_card"}
    report = {"report/report.html": "report", "report/report.ko.html": "report.ko"}
    course = {"notebooks/README.md": "course", **lessons, "notebooks/glossary.md": "glossary"}
    more = {"notebooks/PROJECT.md": "project", "notebooks/TEACHING.md": "teaching"}
    return {"README.md": "index", **course, **more, **report, **cards}


def write(folder: Path | None = None, only: Iterable[str] = ()) -> Path:
    """Write the pages (those named in ``only``, else all) into a folder (``build/site``), and return the first one.

    Raises:
        SceneError: for a picture that is not in the repository.
    """
    folder = folder or settings.project_dir() / "build" / "site"
    shutil.rmtree(folder, ignore_errors=True)
    wanted = {source: name for source, name in sources().items() if not only or name in only}
    bodies = {name: body(source) for source, name in wanted.items()}
    titles = {name: each.h1.get_text() for name, each in bodies.items()}
    for source, name in wanted.items():
        redirect(bodies[name], source, wanted, folder)
        page = layout(bodies[name], name, titles, "ko" if name.endswith(".ko") else "en")
        settings.atomic_write(folder / f"{name}.html", page)
    index = [entry for name, each in bodies.items() for entry in search_entries(each, f"{name}.html")]
    settings.atomic_write(folder / "index.js", f"const INDEX = {json.dumps(index, ensure_ascii=False)};")
    return folder / f"{next(iter(bodies))}.html"


def body(source: str) -> Tag:
    """The ``main`` element of a page, without links to other pages yet."""
    path = settings.project_dir() / source
    if path.suffix == ".ipynb":
        main = converted(series.read_notebook(path), path.parent)
    elif path.suffix == ".md":
        main = converted(new_notebook(cells=[new_markdown_cell(path.read_text(encoding="utf-8"))]), path.parent)
    else:
        main = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").main
    seen: Counter[str] = Counter()
    for heading in main.find_all(HEADINGS):  # as GitHub names them, whose links the pages use
        slug = re.sub(r"[^\w\- ]", "", heading.get_text().lower()).replace(" ", "-")
        heading["id"] = f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1
    return main


def converted(notebook: NotebookNode, folder: Path) -> Tag:
    """A notebook as HTML: pictures of its folder embedded, code that it hides in a fold."""
    notebook.cells = [cell for cell in notebook.cells if cell.id not in (colab.ID, colab.BADGE_ID)]
    for cell in notebook.cells:
        if series.tagged(cell, "solution") or cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "folded"]
    renderer = _Renderer(escape=False, exclude_anchor_links=True, path=str(folder))
    filters = {"data_fold": pages.data_fold, "markdown2html": MarkdownWithMath(renderer=renderer).render}
    page = pages.exported(notebook, filters=filters)
    for code in page.select(".celltag_folded .input"):
        fold = code.wrap(page.new_tag("details"))
        fold.insert(0, BeautifulSoup("<summary>Show the code</summary>", "html.parser"))
    pages.simplify(page)
    return page.main


_mathml = cache(convert)  # the site shows some formulas on several pages


class _Renderer(IPythonRenderer):
    """Markdown with formulas as MathML, which browsers show without a script, and pictures within the page."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return super().image(text, self._src_to_base64(url) or url, title)

    def block_math(self, body: str) -> str:
        return f'<span class="formula" tabindex="0">{_mathml(body, display="block")}</span>'  # on a phone it scrolls

    def inline_math(self, body: str) -> str:
        return _mathml(body)


def redirect(main: Tag, source: str, wanted: dict[str, str], folder: Path) -> None:
    """Let links lead to the site's pages; copy other files that they name; unlink what is no page and no file."""
    for link in main.select("a[href]"):
        url = urlsplit(link["href"])
        if url.scheme or not url.path:
            continue
        path = os.path.normpath(os.path.join(os.path.dirname(source), url.path))
        page = {"report/report.md": "report", "notebooks": "course", "report": "report"}.get(path) or wanted.get(path)
        if page in wanted.values():
            link["href"] = f"{page}.html" + (f"#{url.fragment}" if url.fragment else "")
        elif (file := settings.project_dir() / path).is_file():
            link["href"] = f"files/{path}"
            settings.atomic_write(folder / "files" / path, file.read_bytes())
        else:
            link.unwrap()


def layout(main: Tag, name: str, titles: dict[str, str], language: str) -> str:
    """A whole page: the contents of the site, ``main``, and the pages before and after."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    names = list(titles)
    at = names.index(name)
    style = (pages.TEMPLATES / "report" / "style.css").read_text(encoding="utf-8").split("/* Printed")[0]
    return environment.get_template("page.html.j2").render(
        name=name,
        titles=titles,
        language=language,
        body=main.decode_contents(),
        sections=[(heading["id"], heading.get_text()) for heading in main.find_all("h2") if heading.get("id")],
        before=names[at - 1] if at else None,
        after=names[at + 1] if at + 1 < len(names) else None,
        style=style + (TEMPLATES / "style.css").read_text(encoding="utf-8") + code_style(),
        script=(TEMPLATES / "script.js").read_text(encoding="utf-8"),
        colab=colab.address_in_colab(name, colab.repository()) if series.NAME.fullmatch(name) else None,
    )


def code_style() -> str:
    """Colours of code, by day and by night."""
    styles = [(get_style_by_name(name), plain) for name, plain in CODE_STYLES.items()]
    rules = []
    for token, short in STANDARD_TYPES.items():
        day, night = (style.style_for_token(token)["color"] or plain for style, plain in styles)
        rules.append(f".highlight .{short} {{ color: light-dark(#{day}, #{night}); }}" if short else "")
    return "\n".join(rules)


def search_entries(main: Tag, page: str) -> list[list[str]]:
    """What the search reads: for each heading of a page its address, the page's title, the heading, the text below."""
    found: list[list[str]] = []
    title = main.h1.get_text()
    for element in main.descendants:
        if isinstance(element, Tag) and element.name in HEADINGS:
            found.append([f"{page}#{element.get('id', '')}", title, element.get_text(), ""])
        elif isinstance(element, NavigableString) and found and element.find_parent(HEADINGS) is None:
            found[-1][3] += f"{element} "
    return [[*head, re.sub(r"\s+", " ", text).strip()] for *head, text in found]
