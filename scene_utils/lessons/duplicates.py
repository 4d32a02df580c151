"""What an audit of a dataset found, in sentences."""

from __future__ import annotations

import pandas as pd
from IPython.display import HTML

from scene_utils.data import Split
from scene_utils.support import audit as audits
from scene_utils.support.settings import escaped
from scene_utils.text import Text, say


def findings(audit: audits.Audit, public: bool) -> list[Text]:
    """What the audit found, what follows, and what is done about it.

    Args:
        public: whether these are the report's images, all of them.
    """
    exact, agree = audit.pairs["exact"], audit.pairs["agree"]
    copies, near, total = audit.in_train(exact=True), audit.in_train(exact=False), audit.test_size
    same, close = copies["second"].nunique(), near["second"].nunique()
    classes = ", ".join(f"{escaped(pair)} {count}" for pair, count in audit.contradictions().items())
    told = [
        say("duplicates.exact", pairs=int(exact.sum()), contradict=int((exact & ~agree).sum()),
            classes=classes and f" ({classes})"),
        say("duplicates.near", pairs=int((~exact).sum()), contradict=int((~exact & ~agree).sum())),
        say("duplicates.people") if classes else "",
        say("duplicates.ceiling", unavoidable=audit.unavoidable, best=1 - audit.unavoidable / total),
        say("duplicates.memory", images=copies[~copies["agree"]]["second"].nunique()),
        say("duplicates.leaks", total=total, same=same, same_share=same / total, near=close, near_share=close / total),
        say("duplicates.report") if public else "",
        "" if audit.complete else say("duplicates.more", limit=audits.PAIRS),
        say("duplicates.done", images=copies["first"].nunique()),
    ]  # fmt: skip
    return [text for text in told if text]


def files(pairs: pd.DataFrame, train: Split, holdout: Split) -> pd.DataFrame:
    """Return the file names of pairs and the sets that each file is in, those of two labels first.

    Columns first, second (file names), sets, same label. A training image whose pixels are in the test set is left out.
    """
    sets = dict.fromkeys(train.names, "training set") | dict.fromkeys(holdout.names, "hold-out")

    def name_of(file: str) -> str:
        return sets.get(file, "left out" if file.startswith("train/") else "test set")

    told = [" and ".join(map(name_of, pair)) for pair in zip(pairs["first"], pairs["second"], strict=True)]
    table = pairs[["first", "second"]].assign(**{"sets": told, "same label": pairs["agree"]})
    return table.sort_values(["same label", "sets"], kind="stable", ignore_index=True)


def fold(pairs: pd.DataFrame, train: Split, holdout: Split) -> HTML:
    """Return ``files``, all rows, as a table that a click unfolds."""
    table = files(pairs, train, holdout).to_html(index=False)
    return HTML(f"<details><summary>All {len(pairs)} pairs by file name</summary>{table}</details>")
