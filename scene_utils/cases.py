"""A claim is a case: its design as data (``designs/<case>.toml``), the runs that follow from it, and the estimator.

A design is committed before its runs exist. The seeds of its runs follow from a hash of the file, so that nobody
chooses them; a changed design has other seeds. What a grid decides on the hold-out stands in ``designs/chosen.toml``.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scene_utils.support import settings
from scene_utils.support.settings import SceneError

DESIGNS = Path(__file__).resolve().parent / "designs"
CHOSEN = DESIGNS / "chosen.toml"
PROFILE = "short"  # of the runs by which cases are decided
INHERITED = ("model", "options", "pretrained", "mirror")
EXTENSIONS = 2  # values by which a grid is extended at most


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: a model trained one way with several seeds.

    Attributes:
        name: ``<case>.<arm>``.
        recipe: what differs from a ``Recipe``'s defaults, choices of the grids included where they have been made.
        grid: the values of one field that the hold-out chooses from; empty where nothing is chosen.
        missing: arms whose grid has to choose before this one can be trained.
        pretrained: depth of the ResNet whose pretrained weights it starts from; None from scratch.
        mirror: keep the logits averaged with the mirror image's too.
    """

    name: str
    title: str
    model: str
    options: dict
    recipe: dict
    grid: dict[str, list]
    seeds: tuple[int, ...]
    missing: tuple[str, ...]
    pretrained: int | None
    mirror: bool

    @property
    def experiment(self) -> str:
        """Name of its experiment."""
        return "case-" + self.name.replace(".", "-")

    def grid_experiments(self) -> dict[float, str]:
        """Names of the experiments of its grid, by value."""
        return {value: f"{self.experiment}-grid-{value}" for values in self.grid.values() for value in values}


@cache
def design(case: str) -> dict:
    """Return the design of a case.

    Raises:
        SceneError: listing the known ones for another name; for a draft that cannot be used yet.
    """
    settings.check_known("case", case, names())
    with whole(case):
        if not re.fullmatch("[a-z0-9_]+", case):
            raise ValueError("its name may have small letters, digits and _")
        return tomllib.loads((DESIGNS / f"{case}.toml").read_text(encoding="utf-8"))


@contextlib.contextmanager
def whole(case: str) -> Iterator[None]:
    """Say in one line what a design lacks that is read within: it may be somebody's draft, half written."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
        remedy = "complete it as notebooks/PROJECT.md says"
        raise SceneError(f"design {case}.toml cannot be used ({reason}); {remedy}") from error


def names() -> list[str]:
    """Names of all cases."""
    return sorted(path.stem for path in DESIGNS.glob("*.toml") if path != CHOSEN)


@cache
def digest(case: str) -> str:
    """Return the hash of a design, from which its seeds follow (hexadecimal, 16 digits)."""
    text = (DESIGNS / f"{case}.toml").read_text(encoding="utf-8")  # line ends of any system read as one
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def chosen() -> dict[str, dict]:
    """Return what the grids have decided, by arm: ``field``, ``tried`` (extensions included), ``value`` once chosen."""
    return tomllib.loads(CHOSEN.read_text(encoding="utf-8")) if CHOSEN.exists() else {}


def note_choice(arm: Arm, accuracies: Mapping[float, float]) -> bool:
    """Write down what an arm's grid has decided, or one more value to try where its best lies at the edge.

    Args:
        accuracies: hold-out accuracy of each value tried.

    Returns:
        Whether the choice is made.
    """
    case, name = arm.name.split(".")
    (planned,) = design(case)["arms"][name]["grid"].values()
    tried, best = sorted(accuracies), best_value(accuracies)
    done = best not in (tried[0], tried[-1]) or len(tried) >= len(planned) + EXTENSIONS
    told = {"field": next(iter(arm.grid)), "tried": tried if done else sorted([*tried, next_value(tried, best)])}
    with settings.locked(settings.runs_dir() / "chosen.lock", "another process writes down a choice; waiting for it"):
        every = chosen() | {arm.name: told | ({"value": best} if done else {})}
        lines = [f'["{name}"]\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in each.items())
                 for name, each in sorted(every.items())]  # fmt: skip
        settings.atomic_write(CHOSEN, "# Chosen on the hold-out by the grids of the designs.\n\n" + "\n".join(lines))
    return done


def drawn(case: str, name: str, count: int) -> tuple[int, ...]:
    """Return seeds for what a design calls ``name``: six digits each, from the design's hash."""
    hashes = (hashlib.sha256(f"{digest(case)} {name} {i}".encode()).digest() for i in range(count))
    return tuple(100_000 + int.from_bytes(each[:4]) % 900_000 for each in hashes)


def arm(name: str, case: str = "") -> Arm:
    """Return an arm by its name in ``case``, or by ``<case>.<arm>``."""
    case, name = name.split(".") if "." in name else (case, name)
    full = f"{case}.{name}"
    with whole(case):
        settings.check_known(f"arm of case {case}", name, design(case)["arms"])
        written = design(case)["arms"][name]
        first = {"options": {}, "pretrained": None, "mirror": False, "missing": (),
                 "recipe": design(case).get("recipe", {})}  # fmt: skip
        base = vars(arm(written["like"], case)) if "like" in written else first
        choice = chosen().get(full, {})
        made = {choice["field"]: choice["value"]} if "value" in choice else {}
        grid = {choice["field"]: choice["tried"]} if choice else written.get("grid", {})
        return Arm(
            full,
            written["title"],
            grid=grid,
            recipe=base["recipe"] | written.get("recipe", {}) | made,
            seeds=drawn(case, name, written["seeds"]),
            missing=base["missing"] + ((full,) if grid and not made else ()),
            **{field: (base | written)[field] for field in INHERITED},
        )


def of_every_case(ask: Callable[[str], Any]) -> dict[str, Any]:
    """Return what ``ask`` returns for each case, but for drafts that cannot be used yet: who asks for one is told."""
    found = {}
    for case in names():
        with contextlib.suppress(SceneError):
            found[case] = ask(case)
    return found


@cache
def weighed() -> set[str]:
    """Return the arms, by ``<case>.<arm>``, that a design compares by another quantity than their accuracy."""
    designs = of_every_case(design).values()
    return {name for told in designs if "quantity" in told for name in told.get("contrast", ())}


def arms(case: str | None = None) -> list[Arm]:
    """Return the arms that a case declares, or every case but for drafts that cannot be used yet."""
    if case is None:
        return list(itertools.chain.from_iterable(of_every_case(arms).values()))
    with whole(case):
        return [arm(name, case) for name in design(case).get("arms", {})]


def compared(case: str) -> dict[str, Arm]:
    """Return the arms of a case by ``<case>.<arm>``: those of its contrast, of other cases too, and its own."""
    contrast = [arm(name, case) for name in design(case).get("contrast", {})]
    return {each.name: each for each in [*contrast, *arms(case)]}


def on_devices() -> set[str]:
    """Return the names of the experiments of which ``devices.<profile>.csv`` has runs: the same on two devices."""
    folders = (settings.results_dir(), settings.published_dir())
    tables = [path for folder in folders if (path := folder / f"devices.{PROFILE}.csv").exists()]
    return {line.split(",")[0] for path in tables for line in path.read_text(encoding="utf-8").splitlines()}


def files(case: str) -> list[str]:
    """Return patterns of the files, design, records and tables, that the page of a case shows."""
    told, experiments = design(case), [each.experiment for each in compared(case).values()]
    runs = [f"{name}{part}.{PROFILE}.s*.json" for name in experiments for part in ("", "-grid-*")]
    runs += [f"{name}.{'full' if name.endswith('-reported') else PROFILE}.s0.json"
             for name in (*told.get("contrast_of", ()), *told.get("experiments", ()))]  # fmt: skip
    tables = ["cases", case] if on_devices().isdisjoint(experiments) else ["cases", case, "devices"]
    return [f"{case}.toml", *(f"{name}.{PROFILE}.csv" for name in tables), *runs]


def arm_of(experiment: str) -> Arm:
    """Return the arm to which an experiment belongs, as one of its seeds or of its grid."""
    _, case, name = experiment.split("-grid-")[0].split("-", 2)  # no case has a dash in its name
    return arm(name, case)


def detectable(case: str, images: int, power: float = 0.8) -> float:
    """Return the smallest difference that a case finds with ``power``, under what its design assumes.

    ``assumed`` names the standard deviation of an accuracy between seeds and the variance of D over images.
    """
    from scipy import stats  # slow to import, and the graph of the series asks for files alone

    from scene_utils.support.intervals import LEVEL

    told = design(case)
    # an ensemble differs from a member within each trio: one difference for each seed
    contrast = told.get("contrast") or {told["against"][0]: 1}
    seed_parts = [(c**2 * told["assumed"]["seed_sd"] ** 2 / len(arm(name, case).seeds), len(arm(name, case).seeds) - 1)
                  for name, c in contrast.items()]  # fmt: skip
    image_part = told["assumed"]["image_variance"] / images
    variance = image_part + sum(part for part, _ in seed_parts)
    degrees = variance**2 / (image_part**2 / images + sum(part**2 / n for part, n in seed_parts))
    return float((stats.t.ppf((1 + LEVEL) / 2, degrees) + stats.t.ppf(power, degrees)) * variance**0.5)


def verdict(direction: str, difference: float, adjusted_p: float, sealed_difference: float) -> str:
    """Return ``holds``, ``does not hold`` or ``open``.

    The adjusted p-value decides whether there is a difference, its sign which way; the sealed set alone must agree in
    sign, else the case stays open.
    """
    from scene_utils.support.intervals import LEVEL

    if adjusted_p >= 1 - LEVEL or difference * sealed_difference <= 0:
        return "open"
    return "holds" if (difference > 0) == (direction == "greater") else "does not hold"


def best_value(accuracies: Mapping[float, float]) -> float:
    """Return the value of a grid with the highest hold-out accuracy; the smaller among equals."""
    return min(accuracies, key=lambda value: (-accuracies[value], value))


def next_value(values: Sequence[float], best: float) -> float:
    """Return the value that extends a grid beyond its edge ``best``, by the ratio of its last step, two digits."""
    ordered = sorted(values)
    step = ordered[1] / ordered[0] if best == ordered[0] else ordered[-1] / ordered[-2]
    value = best / step if best == ordered[0] else best * step
    return float(f"{value:.2g}")


def ladder(case: str = "nan") -> list[float]:
    """Return the learning rates among which a limit is sought, lowest first, two digits each."""
    told = design(case)["ladder"]
    rates = itertools.takewhile(lambda rate: rate <= told["to"],
                                (told["from"] * told["step"] ** i for i in itertools.count()))  # fmt: skip
    return [float(f"{rate:.2g}") for rate in rates]
