"""Trainings too short for records of their own: rows of one CSV table beside the records, found again by a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from scene_utils import results
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

    def add(self, row: Mapping[str, object], replacing: Mapping[str, object]) -> None:
        """Write a row, in place of those that have the values of ``replacing``; the caller holds the table's lock."""
        table = self.rows()
        kept = table.drop(matching(table, replacing).index).to_dict("records")
        self.write(pd.DataFrame([*kept, {**row, **self.key}], columns=self.columns))

    def clear(self) -> None:
        """Begin anew, though published rows exist."""
        self.write(pd.DataFrame(columns=self.columns))

    def write(self, table: pd.DataFrame) -> None:
        """Write the table into the runs folder."""
        settings.atomic_write(settings.results_dir() / self.name, table.to_csv(index=False))


def matching(table: pd.DataFrame, values: Mapping[str, object]) -> pd.DataFrame:
    """Return the rows that have these values, in the order of the table."""
    same = pd.Series(True, index=table.index)
    for name, value in values.items():
        same &= table[name] == value
    return table[same]
