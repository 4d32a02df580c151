"""What follows from the report's own facts, of which only rounded figures are known."""

from __future__ import annotations

from collections.abc import Mapping

from scene_utils.support.intervals import Interval, verdict


def counts(facts: Mapping, model: str) -> list[int]:
    """Correct test images per class that the report's rounded recalls of ``model`` imply."""
    recalls = facts["results"][model]["per_class"]
    return [round(recall * n) for recall, n in zip(recalls, facts["dataset"]["val_counts"], strict=True)]


def total(facts: Mapping, model: str) -> int:
    """Correct test images that the report's rounded accuracy of ``model`` implies."""
    return round(facts["results"][model]["accuracy"] * sum(facts["dataset"]["val_counts"]))


def agree(facts: Mapping) -> dict[str, bool]:
    """For each model of the report, whether its recalls and its overall accuracy imply the same count."""
    return {model: sum(counts(facts, model)) == total(facts, model) for model in facts["results"]}


def claim_verdict(reported: float, interval: Interval) -> str:
    """Whether our interval bears out the report's difference: ``confirmed``, ``contradicted``, ``open``."""
    ours = verdict(interval)
    if ours == "same":
        return "open"
    return "confirmed" if (ours == "higher") == (reported > 0) else "contradicted"
