"""Run records: the only source of numbers. Write them, find them, read them; the report's own facts."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import fastjsonschema  # jsonschema takes a second to import
import numpy as np
import pandas as pd

from scene_utils.support import ledger, settings
from scene_utils.support.intervals import wilson_interval
from scene_utils.support.settings import SceneError

RUN_NAME = re.compile(r"[\w.+-]+\.(sample|short|full)\.s\d+")  # copies and other files are left alone
FACTS = Path(__file__).resolve().parent / "facts" / "report.json"

SCHEMA = json.loads(FACTS.with_name("record.schema.json").read_text(encoding="utf-8"))
check = fastjsonschema.compile(SCHEMA)


@dataclass(frozen=True)
class Run:
    """A finished (or diverged) run: its record, and the arrays beside it.

    Attributes:
        record: the fields of ``facts/record.schema.json``.
        arrays: float16 logits ``test_logits``, ``holdout_logits`` (N, classes), or int16 predicted classes
            ``test_answers``, ``holdout_answers`` (N,) where the experiment keeps these alone; int64 ``test_labels``,
            ``holdout_labels`` (N,), and what else the experiment keeps.
    """

    record: dict
    arrays: dict[str, np.ndarray]

    def __getattr__(self, name: str):
        try:
            return self.__dict__["record"][name]
        except KeyError:
            raise AttributeError(f"a run has no {name!r}; known: {', '.join(SCHEMA['properties'])}") from None

    @property
    def device(self) -> str:
        """Name of the hardware; the first records say ``1 threads``."""
        return self.record["device"].replace("(1 threads)", "(1 thread)")

    @property
    def kinds(self) -> list[str]:
        """Kinds of that hardware, such as ``cpu``: seconds of different kinds are not to be compared."""
        return kinds(self.record["device"])

    @property
    def kind(self) -> str:
        """These kinds as a word: a single one but for an ensemble."""
        return ", ".join(self.kinds)

    @property
    def name(self) -> str:
        """``<experiment>.<profile>.s<seed>``, the stem of its files."""
        return run_name(self.record["experiment"], self.record["profile"], self.record["seed"])

    @property
    def judged_on(self) -> str:
        """Name of the set that it was evaluated on: ``test set`` or ``hold-out``."""
        return "test set" if self.record["evaluated_on"] == "test" else self.record["evaluated_on"]

    @property
    def pretrained_source(self) -> str:
        """The weights that it, or the members of an ensemble, started from, each once; empty for none."""
        told = "; ".join(run.record["weights"] or "" for run in self.counted)
        return ", ".join(dict.fromkeys(filter(None, re.split("[;,] ", told))))

    @cached_property
    def counted(self) -> list[Run]:
        """The members at hand of an ensemble, but those of weight 0; itself where it has none."""
        if not (names := self.record.get("members")):
            return [self]
        weights = self.record["recipe"].get("weights", [1] * len(names))
        known = [name.split(".")[0] for name, weight in zip(names, weights, strict=True) if weight]
        return [run for name in known if (run := find(name, self.profile, self.seed))] or [self]

    @property
    def holdout_accuracy(self) -> float:
        """Accuracy of the finished model on the hold-out, by which models are chosen."""
        return float((self.answers("holdout") == self.arrays["holdout_labels"]).mean())

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval of its accuracy (Wilson)."""
        return wilson_interval(self.record["correct"], self.record["total"])[0]

    @property
    def high(self) -> float:
        """Upper end of that interval."""
        return wilson_interval(self.record["correct"], self.record["total"])[1]

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: loss, accuracy, holdout_loss, holdout_accuracy, learning_rate, seconds."""
        return pd.DataFrame(self.record["history"])

    @property
    def confusion(self) -> np.ndarray:
        """Counts (classes, classes): rows are the truth, columns the answers."""
        return np.array(self.record["confusion_matrix"])

    def answers(self, of: str) -> np.ndarray:
        """Predicted classes (N,) on the set ``test``, ``holdout`` or ``sealed``."""
        return answers(self.arrays, of)

    @property
    def judged_by(self) -> str:
        """Prefix of the arrays of the set that it was evaluated on: ``test`` or ``holdout``."""
        return "test" if self.evaluated_on == "test" else "holdout"

    @property
    def logits(self) -> np.ndarray:
        """float32 logits of the set that it was evaluated on (N, classes)."""
        return self.arrays[f"{self.judged_by}_logits"].astype(np.float32)

    @property
    def labels(self) -> np.ndarray:
        """int64 labels of the set that it was evaluated on (N,)."""
        return self.arrays[f"{self.judged_by}_labels"]


def answers(arrays: Mapping[str, np.ndarray], of: str) -> np.ndarray:
    """Return the predicted classes (N,) on a set: as they were kept, else by the logits."""
    return arrays[f"{of}_answers"] if f"{of}_answers" in arrays else arrays[f"{of}_logits"].argmax(1)


def kinds(device: str) -> list[str]:
    """Return the kinds of hardware in a device's name, each once: it names several where members were trained apart."""
    return list(dict.fromkeys(name.split(" (")[0] for name in device.split("; ")))


def same_processor(*runs: Run) -> bool:
    """Whether the runs' seconds may be compared: all name the processor they were trained on, and it is one."""
    named = {(run.record.get("processor"), run.device) for run in runs}
    return len(named) == 1 and None not in next(iter(named))


def run_name(experiment: str, profile: str | None, seed: int | None) -> str:
    """Return the stem of a run's files."""
    return f"{experiment}.{settings.profile(profile)}.s{settings.seed(seed)}"


def run_key(**parts) -> str:
    """Return the hash of everything that decides a run's numbers (any JSON values)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def places(name: str) -> list[Path]:
    """Return where a file of this name is: in the runs folder, then among what is published."""
    return [path for folder in (settings.results_dir(), settings.published_dir()) if (path := folder / name).exists()]


def write(record: dict, arrays: dict[str, np.ndarray]) -> Run:
    """Write a record and its arrays, each atomically; the record goes last and vouches for the arrays.

    Raises:
        SceneError: where the disk refuses.
        fastjsonschema.JsonSchemaValueException: for a record that is not one.
    """
    folder, stem = settings.results_dir(), run_name(record["experiment"], record["profile"], record["seed"])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    record = record | {"arrays": hashlib.sha256(buffer.getvalue()).hexdigest()[:16]}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    record = json.loads(text)  # as it will be read again: lists, not tuples
    check(record)
    ledger.note_readings(record, arrays)  # first: a reading that is lost is still a reading
    settings.atomic_write(folder / f"{stem}.npz", buffer.getvalue())
    settings.atomic_write(folder / f"{stem}.json", text)
    return Run(record, arrays)


def read(path: Path) -> Run:
    """Read a record and the arrays beside it; nothing in them is executed.

    Raises:
        SceneError: for a file that is no record, or arrays that are not those of the record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        check(record)
        content = path.with_suffix(".npz").read_bytes()
        if hashlib.sha256(content).hexdigest()[:16] != record["arrays"]:
            raise ValueError("its arrays are those of another run")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "message", None) or getattr(error, "strerror", None) or error
        raise SceneError(f"record {path} cannot be used ({reason}); delete it to train again") from error
    return Run(record, arrays)


def find(experiment: str, profile: str | None = None, seed: int | None = 0, key: str | None = None) -> Run | None:
    """Return the run from the runs folder, else the published one; None where there is none (with this key)."""
    for path in places(f"{run_name(experiment, profile, seed)}.json"):
        try:
            run = read(path)
        except SceneError as error:
            print(error)
            continue
        if key is None or run.record["key"] == key:
            return run
    return None


def records(profile: str | None = None, published: bool = False) -> list[Run]:
    """Return all runs, those of the runs folder before published ones of the same name, sorted by name.

    A record that cannot be used is named and left out; of published ones alone it is an error.

    Raises:
        SceneError: for a published record that cannot be used.
    """
    folders = [settings.published_dir()] if published else [settings.published_dir(), settings.results_dir()]
    found: dict[str, Run] = {}
    for folder in folders:
        for path in sorted(p for p in folder.glob("*.json") if RUN_NAME.fullmatch(p.stem)):
            try:
                run = read(path)
            except SceneError as error:
                if published:
                    raise
                settings.say_once(str(error))
                continue
            if profile in (None, run.record["profile"]):
                found[run.name] = run
    return [found[name] for name in sorted(found)]


def summary() -> pd.DataFrame:
    """Return one row per published run: the columns of ``report/results/summary.csv``."""
    columns = "experiment profile seed status evaluated_on accuracy correct total epochs".split()
    columns += "seconds parameters device precision weights date key".split()
    return run_table(records(published=True), *columns)


def run_table(runs: Sequence[Run], *columns: str, **renamed: str) -> pd.DataFrame:
    """Return one row per run: its properties and fields of these names; ``label="field"`` shows one under a label."""
    names = {name: name for name in columns} | renamed
    return pd.DataFrame([{label: getattr(run, name, None) for label, name in names.items()} for run in runs],
                        columns=list(names))  # fmt: skip


@lru_cache(maxsize=1)
def facts() -> dict:
    """Return the report's own facts and numbers."""
    return json.loads(FACTS.read_text(encoding="utf-8"))


def now() -> str:
    """Date and time, UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
