"""What an audit of a dataset found, in sentences."""

from __future__ import annotations

from scene_utils.support import audit as audits
from scene_utils.support.settings import escaped


def findings(audit: audits.Audit, public: bool) -> list[str]:
    """What the audit found, what follows, and what is done about it.

    Args:
        public: whether these are the report's images, all of them.
    """
    exact, agree = audit.pairs["exact"], audit.pairs["agree"]
    copies = audit.in_train(exact=True)
    same, near = copies["second"].nunique(), audit.in_train(exact=False)["second"].nunique()
    other_label = copies[~copies["agree"]]["second"].nunique()
    classes = ", ".join(f"{escaped(pair)} {count}" for pair, count in audit.contradictions().items())
    lines = [
        f"Exact duplicates: {counted(exact.sum(), 'pair')}, {(exact & ~agree).sum()} of them with two"
        f" different labels{f' ({classes})' if classes else ''}.",
        f"Near duplicates: {counted((~exact).sum(), 'further pair')}, {(~exact & ~agree).sum()} of them"
        " with two different labels.",
    ]
    if classes:
        lines.append(
            "Where the same picture has two labels, people chose differently: expect models to be"
            " unsure between the same classes, and none to be right everywhere."
        )
    lines += [
        "Ceiling: test images that no model can get right, because the test set holds the same pixels"
        f" with another label: {audit.unavoidable}. Duplicates alone leave a ceiling of"
        f" {1 - audit.unavoidable / audit.test_size:.2%}.",
        f"A model that knew its training set by heart would get {counted(other_label, 'test image')}"
        " wrong, whose pixels stand there with another label.",
        f"Leaks: of {audit.test_size:,} test images, {same} ({same / audit.test_size:.2%}) stand in the"
        f" training set with the same pixels and {near} ({near / audit.test_size:.2%}) as a near copy."
        " No more than that share of an accuracy can be memory.",
    ]
    if public:
        lines.append(
            "Comparison with the report: it trained on the whole folder train, so its numbers contain"
            " these copies. They explain no difference from ours that is larger than those shares."
        )
    if not audit.complete:
        lines.append(f"There are more pairs than {audits.PAIRS:,}; only so many have been counted.")
    removed = copies["first"].nunique()
    lines.append(
        f"What we do: without_duplicates takes {counted(removed, 'image')} out of training, whose pixels"
        " stand in the test set. Near copies stay, and the test set stays as it is."
    )
    return lines


def counted(number: int, noun: str) -> str:
    """A number with its noun in the right form."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
