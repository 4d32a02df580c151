"""Every sentence, slide title and term in English and Korean (``en.toml``, ``ko.toml``), and what fills them in.

``say("difference.higher", second="ResNet18")`` is a string, in English, that remembers what it was made from: the
report says the same in Korean without executing anything again. In a template a place has a format specification,
``{n:,}`` or ``{loss:.3f}``, as Python knows it, or one of these:

- ``{n:|image|images}``: the first word for 1, else the second;
- ``{gain:pp}``, ``{gain:+pp}``: a difference of accuracies in percentage points, one decimal, with its sign or not;
- ``{name:~은/는}``, ``{goal:.0%~이/가}``: the value and the particle that its last sound asks for.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Number
from pathlib import Path

from scene_utils.support.settings import SceneError, check_known

LANGUAGES = ("en", "ko")


@cache
def texts(language: str) -> dict[str, str]:
    """Every template of a language, by its dotted key; ``main`` stands for the key above it.

    Raises:
        SceneError: for a language that is none of ``LANGUAGES``.
    """
    check_known("language", language, LANGUAGES)
    path = Path(__file__).with_name(f"{language}.toml")
    return {key.removesuffix(".main"): text for key, text in _flat(tomllib.loads(path.read_text(encoding="utf-8")))}


def _flat(tree: Mapping, above: str = ""):
    for key, value in tree.items():
        yield from _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else [(above + key, value)]


class Text(str):
    """A text in English, and what it was made from: a key with its values, or parts that are joined.

    Attributes:
        key: of the template; empty where the text is made of parts.
        values: what the template is filled with: strings, numbers, other texts, lists of them; no others are kept.
    """

    key: str
    values: dict

    def __new__(cls, key: str, values: Mapping) -> Text:
        self = super().__new__(cls, fill(key, values, "en"))
        self.key, self.values = key, {name: value for name, value in values.items() if name in places(key)}
        return self


@cache
def places(key: str) -> set[str]:
    """Names of the places in a template."""
    return {name for _, name, _, _ in string.Formatter().parse(texts("en")[key]) if name} if key else {"parts", "by"}


def say(key: str, /, **values: object) -> Text:
    """Return the text of a key, filled with values, of which there may be more than it has places.

    Raises:
        SceneError: for a key that is unknown, a value that is missing or of the wrong kind.
    """
    return Text(key, values)


def join(parts: Sequence[str], by: str = " ") -> Text:
    """Return texts one after the other; empty ones are left out."""
    return Text("", {"parts": [part for part in parts if part], "by": by})


def fill(key: str, values: Mapping, language: str) -> str:
    """Return the text of a key in a language, its values in the same language."""
    if not key:
        return values["by"].join(render(part, language) for part in values["parts"])
    try:
        return _Formatter(language).vformat(texts(language)[key], (), values)
    except (KeyError, ValueError, TypeError) as error:
        raise SceneError(f"text {key!r} ({language}) cannot be filled with {values}: {error!r}") from error


def render(value: object, language: str) -> str:
    """Return a value in a language: a text filled, a list with commas, a term, or what is between commas as terms."""
    if isinstance(value, Text):
        return fill(value.key, value.values, language)
    if isinstance(value, str):
        known = term(value, language)
        return known if known != value else ", ".join(term(part, language) for part in value.split(", "))
    if isinstance(value, list | tuple):
        return ", ".join(render(each, language) for each in value)
    return str(value)


def term(word: str, language: str) -> str:
    """Return a technical term or class name in a language; what has no translation stays as it is."""
    return word if language == "en" else texts(language).get(f"term.{word}", word)


def label(word: str, language: str) -> str:
    """Return a figure's word or alternative text in a language: a term, or by a pattern of ``[figure]``.

    A place of a pattern holds anything, which is translated too, or with ``:#`` a number.
    """
    known = term(word, language)
    if known != word or language == "en":
        return known
    for pattern, form in _patterns(language):
        if match := pattern.fullmatch(word):
            return form.format(**{name: label(value, language) for name, value in match.groupdict().items()})
    return word


@cache
def _patterns(language: str) -> list[tuple[re.Pattern, str]]:
    """The patterns of figures' words, such as ``{n:#} epochs``, and their forms in a language, longest first."""
    found = []
    for key, form in texts(language).items():
        if key.startswith("figure."):
            parts = list(string.Formatter().parse(key.removeprefix("figure.")))
            regex = "".join(
                re.escape(text) + (f"(?P<{name}>{NUMBER if spec == '#' else '.+?'})" if name else "")
                for text, name, spec, _ in parts
            )
            found.append((sum(len(text) for text, *_ in parts), re.compile(regex, re.DOTALL), form))
    return [each[1:] for each in sorted(found, key=lambda each: -each[0])]


NUMBER = r"[-+−]?\d[\d.,e%−-]*"


class _Formatter(string.Formatter):
    """Knows the specifications of this module, and the language that values are put in."""

    def __init__(self, language: str) -> None:
        self.language = language

    def format_field(self, value: object, spec: str) -> str:
        if spec.startswith("|"):
            return spec.split("|")[1 if value == 1 else 2]
        if "~" in spec:
            spec, particles = spec.split("~")
            return with_particle(self.format_field(value, spec), particles)
        if isinstance(value, Number):
            return number(value, spec)
        if spec:
            raise ValueError(f"{value!r} is no number for the format {spec!r}")
        return render(value, self.language)


def number(value: float, spec: str = "") -> str:
    """Format a number; a minus is a minus sign, and nothing rounded to 0 has a sign.

    Args:
        spec: as Python's, and ``pp`` for percentage points, ``p`` for a p-value with its sign of relation.
    """
    if spec == "p":
        return "< 0.001" if value < 0.001 else f"= {value:.3f}"
    if spec.endswith("pp"):
        value, spec = value * 100, spec.removesuffix("pp") + ".1f"
    text = format(value, spec)
    if text[:1] in "+-" and not re.search("[1-9]", text):
        text = text[1:]
    return text.replace("-", "−") if isinstance(value, int | float) and "e" not in text else text


def with_particle(text: str, particles: str) -> str:
    """Return a Korean word with the particle that fits: ``은/는``, ``이/가``, ``을/를``, ``과/와`` or ``으로/로``."""
    closed, open_ = particles.split("/")
    last = re.sub(r"[^가-힣0-9A-Za-z%]", "", text)[-1:]  # 퍼센트 ends in a vowel
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
    else:  # digits and letters as they are read aloud: 일, 삼, 육, 칠, 팔, 영 end in a consonant, so do L, M, N, R
        final = {"1": 8, "7": 8, "8": 8, "l": 8, "r": 8}.get(last.lower(), int(last.lower() in {*"036mn"}))
    rieul = final == 8 and closed == "으로"  # after ㄹ as after a vowel
    return text + (closed if final and not rieul else open_)
