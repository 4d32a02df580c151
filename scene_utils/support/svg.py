"""Figures as SVG: small files whose words are text, so that another language needs no second figure."""

from __future__ import annotations

import io
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from html import escape, unescape
from types import SimpleNamespace
from zlib import crc32

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image
from scour import scour

FONTS = "DejaVu Sans, sans-serif"
SCOUR = {
    "strip_comments": True,
    "remove_metadata": True,
    "newlines": False,  # a notebook keeps a line apiece, at a price
    "strip_xml_space_attribute": True,
    "indent_type": "none",
    "strip_ids": True,
    "shorten_ids": True,
    "shorten_ids_prefix": "part-",
    "digits": 4,
}
PALETTE = 64  # colours of a picture
PIXELATED = 32  # a picture with fewer pixels on a side stays squares where it is enlarged, a larger one is smooth
WORDS = re.compile(r"(<t(?:ext|span)\b[^>]*>)([^<]+)")
UNITS = r"(?:e[+-]?\d+|ms|s|min|h|[kMG]B|[kM]|pt|px)"
NUMBER = re.compile(rf"[\W\d_]*|[\W_]*\d[\W\d_]*(?:{UNITS}[\W\d_]*)*")


def shortened(svg: str) -> str:
    """Matplotlib's SVG made small: few colours in pictures, one font for all, names of parts that no other has."""
    svg = re.sub(r"<image\b[^>]*>", _in_palette, svg)
    svg = re.sub(r'<text style="([^"]*)" transform="([^"]*)">([^<]*)</text>', _centred, svg)
    svg = re.sub(r"font-family: [^;\"]*(; )?", "", svg)
    small = scour.scourString(svg, SimpleNamespace(**SCOUR))
    small = small.replace("<svg ", f'<svg font-family="{FONTS}" ', 1)
    return re.sub(r'(id="|#)part-', rf"\1f{crc32(small.encode()):x}-", small)


def _in_palette(element: re.Match) -> str:
    """An ``image`` element with few colours."""
    tag = element[0]
    content = re.search(r"base64,\s*([^\"]*)", tag)[1]
    picture = Image.open(io.BytesIO(b64decode(content)))
    buffer = io.BytesIO()
    few = picture.convert("RGB").quantize(PALETTE, kmeans=1, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True)
    tag = tag.replace(content, b64encode(buffer.getvalue()).decode())
    return tag if min(picture.size) < PIXELATED else re.sub(r' style="image-rendering[^"]*"', "", tag)


def _centred(element: re.Match) -> str:
    """A text without an anchor (a line of several, or turned) anchored in its middle: its translation stays there."""
    style, transform, words = element.groups()
    size = re.search(r"font-size: ([\d.]+)px", style)
    if "text-anchor" in style or size is None:
        return element[0]
    font = FontProperties(size=float(size[1]))
    width, _, _ = text_to_path.get_text_width_height_descent(unescape(words), font, False)
    return f'<text style="{style}; text-anchor: middle" x="{width / 2:.2f}" transform="{transform}">{words}</text>'


def texts(svg: str) -> list[str]:
    """The words of a figure, each once, in the order in which they are drawn; numbers and their units are left out."""
    found = (unescape(words).strip() for _, words in WORDS.findall(svg))
    return [words for words in dict.fromkeys(found) if not NUMBER.fullmatch(words)]


def translated(svg: str, translate: Callable[[str], str]) -> str:
    """The SVG with every one of its ``texts`` replaced by its translation; numbers and their units stay."""

    def replaced(found: re.Match) -> str:
        words = unescape(found[2]).strip()
        return found[0] if NUMBER.fullmatch(words) else found[1] + escape(translate(words), quote=False)

    return WORDS.sub(replaced, svg)
