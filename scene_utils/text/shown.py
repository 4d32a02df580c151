"""What a page shows, as data beside its English form: the report shows the same in another language.

Each output carries under ``MIME`` what it was made from (for a figure its alternative text; its words are in the SVG).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Number

import pandas as pd

from scene_utils.results import Run
from scene_utils.text import Text, label, render

MIME = "application/vnd.scene+json"

# Where PyArrow is installed, pandas would keep a table's words there, as bare strings in one language.
pd.set_option("mode.string_storage", "python")

FORMS = {  # of a paragraph: Markdown around its texts
    "plain": lambda texts: " ".join(texts),
    "list": lambda texts: "\n".join(f"- {text}" for text in texts),
    "quote": lambda texts: "> " + " ".join(texts),
    "small": lambda texts: "<small>" + "<br>\n".join(texts) + "</small>",
    # Markdown leaves what is in HTML alone
    "wide": lambda texts: '<p class="wide">' + re.sub("`([^`]+)`", r"<code>\1</code>", " ".join(texts)) + "</p>",
    "blocks": lambda texts: "\n\n".join(texts),
    "question": lambda texts: "### " + " ".join(texts),
}


@dataclass
class Paragraph:
    """Texts in one of ``FORMS``; empty ones are left out."""

    texts: Sequence[str]
    form: str = "plain"

    def markdown(self, language: str = "en") -> str:
        """The paragraph in a language."""
        return FORMS[self.form]([render(text, language) for text in self.texts if text])

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        content = {"form": self.form, "texts": [to_json(text) for text in self.texts if text]}
        return {"text/markdown": self.markdown(), "text/plain": self.markdown(), MIME: {"paragraph": content}}


@dataclass
class Table:
    """A table without an index, of words, texts and numbers that have their format.

    Attributes:
        classes: ``text`` sets it flush left, ``wide`` takes a printed page's width.
    """

    frame: pd.DataFrame
    classes: str = ""

    def in_language(self, language: str) -> pd.DataFrame:
        """The table with its words and its columns' names in a language."""
        frame = self.frame.map(lambda cell: worded(cell, language) if isinstance(cell, str) else cell)
        return frame.rename(columns=lambda name: worded(name, language))

    def html(self, language: str = "en") -> str:
        """The table in a language."""
        return self.in_language(language).to_html(index=False, border=0, na_rep="", classes=self.classes or None)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        rows = [[to_json(cell) for cell in row] for row in self.frame.itertuples(index=False)]
        content = {"columns": [to_json(name) for name in self.frame.columns], "rows": rows, "classes": self.classes}
        plain = self.in_language("en").to_string(index=False, na_rep="")
        return {"text/html": self.html(), "text/plain": plain, MIME: {"table": content}}


def worded(word: str, language: str) -> str:
    """A table's word in a language: a text filled, a term, or what a pattern of ``[figure]`` makes of it."""
    return render(word, language) if isinstance(word, Text) else label(word, language)


def shown(*parts: object, runs: Sequence[Run] = ()) -> None:
    """Display parts of a slide one after the other: figures, tables, paragraphs, texts.

    Args:
        runs: what they are made from; their keys go into the outputs' metadata, by which the report knows whether a
            committed output is still right.
    """
    from IPython.display import display

    for part in parts:
        part = Paragraph([part]) if isinstance(part, str) else part
        if part is None or isinstance(part, Paragraph) and not any(part.texts):
            continue
        display(part, metadata={"runs": {run.name: run.key for run in runs}} if runs else {})


def to_json(value: object) -> object:
    """A value as JSON; ``from_json`` gives it back."""
    if isinstance(value, Text):
        return {"key": value.key, "values": {name: to_json(each) for name, each in value.values.items()}}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if isinstance(value, Mapping):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, Number) and not isinstance(value, bool):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def from_json(value: object) -> object:
    """What ``to_json`` was given."""
    if isinstance(value, list):
        return [from_json(each) for each in value]
    if isinstance(value, dict):
        return Text(value["key"], {name: from_json(each) for name, each in value["values"].items()})
    return value


def in_language(content: Mapping, language: str) -> dict[str, str]:
    """What an output that carries ``content`` under ``MIME`` shows in a language, by MIME type (but for figures)."""
    if "paragraph" in content:
        paragraph = Paragraph(from_json(content["paragraph"]["texts"]), content["paragraph"]["form"])
        return {"text/markdown": paragraph.markdown(language)}
    frame = pd.DataFrame(from_json(content["table"]["rows"]), columns=from_json(content["table"]["columns"]))
    return {"text/html": Table(frame, content["table"]["classes"]).html(language)}
