"""What an audit of a dataset found, in sentences."""

from __future__ import annotations

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
