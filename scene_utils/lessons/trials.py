"""What is too short for a record of its own: CSV tables beside the records, published with them, found by a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scene_utils import experiments, results
from scene_utils.support import settings


@dataclass(frozen=True)
class Trials:
    """A table of trainings.

    Attributes:
        name: its file's name, such as ``tuning.short.s0.csv``.
        columns: its columns; a table with others is left alone.
        key: the values of the columns that all rows must share: rows of another study are left out.
        floats: columns that are read as floats, exactly.
    """

    name: str
    columns: tuple[str, ...]
    key: Mapping[str, object]
    floats: tuple[str, ...] = ()

    def rows(self) -> pd.DataFrame:
        """Return the rows from the runs folder, else the published ones; none where there are none."""
        for path in results.places(self.name):
            table = pd.read_csv(path, converters=dict.fromkeys(self.floats, float))
            if list(table.columns) == list(self.columns):
                found = matching(table, self.key)
                if len(found) or table.empty:
                    return found
        return pd.DataFrame(columns=self.columns)

    def find_or_train(self, place: Mapping, values: Mapping, make: Callable[[], Mapping], command: str) -> dict:
        """Return the row of a training: found, taken from the same training elsewhere in the table, or made now.

        The table's lock is held meanwhile, so that two processes never train the same one.

        Args:
            place: the columns that say where the row stands; another row there is replaced.
            values: the columns that decide its numbers.
            make: trains; returns the other columns.
            command: what trains it where nothing is to be trained now.

        Raises:
            SceneError: where the training is missing and ``SCENE_TRAIN`` is 0.
        """
        with experiments.run_lock(name := self.name.removesuffix(".csv")):
            same = matching(self.rows(), values)
            here = matching(same, place)
            if len(here):
                return here.iloc[0].to_dict()
            if not len(same):
                settings.check_may_train(f"a training of {name}", command)
            row = {**(same.iloc[0] if len(same) else make()), **values, **place}
            self.add(row, replacing=place or values)
        return row

    def add(self, row: Mapping[str, object], replacing: Mapping[str, object]) -> None:
        """Write a row, in place of those that have the values of ``replacing``; the caller holds the table's lock."""
        table = self.rows()
        kept = table.drop(matching(table, replacing).index).to_dict("records")
        self.write(pd.DataFrame([*kept, {**row, **self.key}], columns=self.columns))

    def write(self, table: pd.DataFrame) -> None:
        """Write the table into the runs folder."""
        settings.atomic_write(settings.results_dir() / self.name, table.to_csv(index=False))


def matching(table: pd.DataFrame, values: Mapping[str, object]) -> pd.DataFrame:
    """Return the rows that have these values, in the order of the table."""
    same = pd.Series(True, index=table.index)
    for name, value in values.items():
        same &= table[name] == value
    return table[same]


def kept(name: str, key: str, make: Callable[[], pd.DataFrame], text: Sequence[str] = ()) -> pd.DataFrame:
    """Return the table of this name and key from the runs folder or what is published; else make and keep it.

    Args:
        text: columns that are read as they are: a class may be named 7 or NA.
    """
    def read(path: Path) -> pd.DataFrame:
        return pd.read_csv(path, dtype=dict.fromkeys((*text, "key"), str), keep_default_na=not text)

    for path in results.places(name):
        if (table := read(path))["key"].eq(key).all():
            return table.drop(columns="key")
    table = make().assign(key=key).to_csv(index=False)
    return read(settings.atomic_write(settings.results_dir() / name, table)).drop(columns="key")
