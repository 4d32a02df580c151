"""The final project, a case of the student's own: a question by student number, and the verdict on the hold-out.

Design, seeds, runs and estimator are those of the series' cases; only test set and sealed set stay closed.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping

import numpy as np
import pandas as pd

from scene_utils import cases, experiments, results
from scene_utils.results import Run
from scene_utils.support import intervals, settings
from scene_utils.support.settings import SceneError

QUESTIONS = {  # what differs: on the one side, on the other
    "label smoothing": ("", "label_smoothing = 0.1"),
    "mirrored images": ("", 'augmentation = "flip"'),
    "mirrored and shifted images": ("", 'augmentation = "flip+crop"'),
    "Mixup": ("", "mixup = 0.2"),
    "weight decay": ("weight_decay = 0.0", "weight_decay = 0.005"),
    "momentum": ("momentum = 0.0", "momentum = 0.9"),
    "the schedule": ('schedule = "constant"', 'schedule = "cosine"'),
    "averaged weights": ("", "ema = 0.99"),
    "the optimizer": ("", 'optimizer = "adamw"\nlearning_rate = 0.001'),
    "small batches": ("batch_size = 256", "batch_size = 32"),
    "half the images": ("images = 5000", ""),
    "the pixels' scale": ('pixel_scale = "unit"', ""),
}
NOTES = {  # what changes with it, and counts as one thing where the design says so
    "the optimizer": "Each optimizer has a learning rate of its own: the two count as one thing; name both in differs.",
    "small batches": "Smaller batches mean more steps per epoch: they count as one thing; say so in differs.",
    "half the images": "Fewer images mean fewer steps per epoch: they count as one thing; say so in differs.",
}
NETWORKS = ("lenet", "resnet18")
EPOCHS = (6, 8, 10)
WRITTEN = ("claim", "direction", "contrast", "equal", "differs")
DRAFT = """\
# Seeds follow from a hash of this file: change nothing here once a run of it exists.
claim = "..."  # one sentence that a comparison can refute
family = "project"
direction = "greater"  # or "less": what the claim says of with_it minus without
contrast = {{ without = -1, with_it = 1 }}
equal = "..."  # all that is the same on both sides
differs = "..."  # the one thing that is not
assumed = {{ seed_sd = 0.006, image_variance = 0.05 }}  # what you expect, and from where you know it
detectable = 0.0  # the smallest difference that these seeds find; your own smallest that matters?

[recipe]
epochs = {epochs}

[arms.without]
title = "..."
model = "{network}"
seeds = 5
[arms.without.recipe]
{without}

[arms.with_it]
title = "..."
model = "{network}"
seeds = 5
[arms.with_it.recipe]
{with_it}
"""


def variant(number: str) -> str:
    """Return the draft of a design for a student number: always the same one, and hardly ever a neighbour's."""
    drawn = int(hashlib.sha256(number.strip().encode()).hexdigest(), 16)
    drawn, which = divmod(drawn, len(QUESTIONS))
    drawn, network = divmod(drawn, len(NETWORKS))
    name, (without, with_it) = list(QUESTIONS.items())[which]
    epochs = EPOCHS[drawn % len(EPOCHS)]
    draft = DRAFT.format(epochs=epochs, network=NETWORKS[network], without=without, with_it=with_it)
    note = f"# {NOTES[name]}\n" if name in NOTES else ""
    asked = f"what does {name} do for {NETWORKS[network]}, in {epochs} epochs?"
    return f"# Student {number.strip()}: {asked}\n{note}{draft}"


def committed(case: str) -> str:
    """Return commit and date of a design.

    Raises:
        SceneError: for a design that is not complete, not committed, or has been changed since.
    """
    path, design = cases.DESIGNS / f"{case}.toml", cases.design(case)
    unwritten = [name for name in WRITTEN if design.get(name, "...") == "..."]
    if unwritten:
        raise SceneError(f"the design {path.name} does not say yet: {', '.join(unwritten)}; complete and commit it")
    settings.check_known(f"direction of {case}", design["direction"], ("greater", "less"))

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(path.parent), *words, "--", path.name],
                              capture_output=True, text=True, check=False)  # fmt: skip
        return done.stdout.strip()

    told = git("log", "-1", "--format=%h of %cI")
    if not told or git("status", "--porcelain"):
        raise SceneError(f"the design {path.name} is not committed as it is; git add and git commit it before its runs")
    return told


def runs(case: str, profile: str) -> dict[str, list[Run]]:
    """Return the finished runs of each arm of a case, in the order of its seeds; train what is missing.

    Raises:
        SceneError: naming one that diverged.
    """
    experiments.run_case(case, profile)
    found: dict[str, list[Run]] = {}
    for name in cases.design(case)["contrast"]:
        arm = cases.arm(name, case)
        for seed in arm.seeds:
            run = results.find(arm.experiment, profile, seed)
            if run is None or run.status != "finished":
                raise SceneError(f"{arm.experiment}.{profile}.s{seed} diverged: no verdict; say so in the report")
            found.setdefault(name, []).append(run)
    return found


def judge(case: str, profile: str) -> str:
    """Run a case; return its design, the hold-out accuracies, one row per run, estimate and verdict."""
    design, told = cases.design(case), committed(case)
    known = runs(case, settings.profile(profile))
    labels = experiments.sets(profile)[1].labels.numpy()
    correct = {name: [run.answers("holdout") == labels for run in each] for name, each in known.items()}
    rows = [(name, run.seed, run.accuracy, run.key) for name, each in known.items() for run in each]
    table = pd.DataFrame(rows, columns=["arm", "seed", "hold-out accuracy", "key"]).round(4)
    first = min(run.date for each in known.values() for run in each)
    lines = [f"claim: {design['claim']}", f"design: {cases.digest(case)}, commit {told}",
             f"first run: {first}, profile {profile}", table.to_string(index=False), said(design, correct)]  # fmt: skip
    return "\n".join(lines)


def said(design: Mapping, correct: Mapping) -> str:
    """Return the estimate of a contrast on the hold-out, and the verdict by the rule of the cases."""
    found = intervals.estimate({name: np.stack(each) for name, each in correct.items()}, design["contrast"])
    word = cases.verdict(design["direction"], found.difference, found.p_value, found.difference)
    return (f"on the hold-out: {100 * found.difference:+.2f} points, 95 % interval {100 * found.low:+.2f} to "
            f"{100 * found.high:+.2f}, p = {found.p_value:.3f}; verdict: {word}")  # fmt: skip
