"""What depth brings, and after how much training: tables and tests over runs that differ in depth alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scene_utils import cases, evaluation, experiments, explain, models, plots
from scene_utils.lessons import verdicts
from scene_utils.results import Run
from scene_utils.support import settings
from scene_utils.support.layers import count
from scene_utils.text import say, sentences
from scene_utils.text.shown import Paragraph, Table, shown


def costs(depths: Sequence[int]) -> pd.DataFrame:
    """Return one row a ResNet: blocks in each stage, layers with weights, parameters, multiplications an image."""
    rows = {}
    for depth in depths:
        table = explain.layer_costs(net := models.resnet(depth))
        on_path = ~table["layer"].str.contains("downsample")
        rows[f"ResNet{depth}"] = {
            "blocks": " + ".join(map(str, models.BLOCKS[depth])),
            "layers": int(on_path.sum()),
            "parameters": count(net),
            "multiplications": int(table["multiplications"].sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def layers(run: Run) -> int:
    """Number of layers of a run's network."""
    return int(run.model.removeprefix("resnet"))


def name(run: Run) -> str:
    """Short name of a run's network: ``ResNet34`` or ``plain 34``."""
    return f"plain {layers(run)}" if is_plain(run) else f"ResNet{layers(run)}"


def is_plain(run: Run) -> bool:
    """True for a net without shortcuts."""
    return run.experiment.endswith("-plain")


def finished(runs: Sequence[Run]) -> list[Run]:
    """Leave out the runs that diverged: they have no accuracy."""
    return [run for run in runs if run.status == "finished"]


def lengths(epochs: int) -> list[int]:
    """Return a quarter, a half and the whole of ``epochs``."""
    return sorted({max(1, epochs // 4), max(1, epochs // 2), epochs})


def patience(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the hold-out accuracy of each run after a quarter, a half and all of its epochs.

    Columns net, depth, shortcuts, epochs, holdout_accuracy, seconds; ``plots.accuracy_vs_depth`` draws it.
    """
    rows = []
    for run in finished(runs):
        history = run.history.set_index("epoch")
        for epochs in lengths(run.epochs):
            seconds = history["seconds"].loc[:epochs].sum()
            accuracy = history.loc[epochs, "holdout_accuracy"]
            rows.append((name(run), layers(run), not is_plain(run), epochs, accuracy, seconds))
    columns = ["net", "depth", "shortcuts", "epochs", "holdout_accuracy", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def findings(runs: Sequence[Run]) -> list[str]:
    """Say what changes from each depth to the next one with the same kind of block; one run each."""
    told = []
    for bottleneck in (False, True):
        alike = sorted((run for run in finished(runs) if (layers(run) in models.BOTTLENECKS) == bottleneck), key=layers)
        told += [difference(shallow, deep) for shallow, deep in itertools.pairwise(alike)]
    return told


def pairs(plain: Sequence[Run], deep: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Pair each plain net with the ResNet of its depth, where both finished."""
    return [(a, b) for a in finished(plain) for b in finished(deep) if layers(a) == layers(b)]


def controls() -> dict[int, float]:
    """Return what shortcuts gain on the hold-out in the case ``deeper``, by number of layers; nothing on own images."""
    means = {arm.name: float(np.mean([run.accuracy for run in runs])) for arm in cases.arms("deeper")
             if (runs := verdicts.finished_of(arm))} if not settings.data_dir() else {}  # fmt: skip
    sides = {18: "deeper.basic18", 34: "deeper.basic34", 50: "deeper.bottleneck50"}
    return {number: means[name] - means[plain] for number, name in sides.items()
            if {name, plain := f"deeper.plain{number}"} <= means.keys()}  # fmt: skip


def verdict(pairs: Sequence[tuple[Run, Run]], depth: int) -> str:
    """``higher``, ``lower`` or ``same``: a ResNet against the plain net of its depth; ``not run`` without that pair."""
    for plain, deep in pairs:
        if layers(plain) == depth:
            return evaluation.compare(plain.logits, deep.logits, plain.labels).verdict
    return "not run"


def difference(first: Run, second: Run) -> str:
    """Say in images what changes from one net to the other, by their short names."""
    comparison = evaluation.compare(first.logits, second.logits, first.labels)
    return sentences.difference(comparison, name(first), name(second))


def slide(runs: Sequence[Run], plain: Sequence[Run]) -> None:
    """13: hold-out accuracy against depth, one line per number of epochs."""
    compared = experiments.report_images(runs[0])
    done = finished([*runs, *plain])
    table = patience(done)
    wide = table.pivot_table(index="net", columns="epochs", values="holdout_accuracy", sort=False).map("{:.4f}".format)
    wide.columns = [say("epoch.number", number=epochs) for epochs in wide.columns]
    wide = wide.reset_index(names="model")
    wide["training seconds"] = [f"{run.seconds:,.0f}" for run in done]
    told = Paragraph([say("page.depth" if compared else "depth.own")])
    found = findings(runs)
    found += [say("depth.one_seed")] * bool(found) + [verdicts.said("deeper"), verdicts.said("longer")]
    shown(told, plots.accuracy_vs_depth(table), Table(wide), Paragraph(found, "list"), runs=done)
