"""The data that figures draw, read back from their axes; that every figure can be read; style, files, SVG, texts."""

import inspect
import io
import re
import xml.etree.ElementTree as ElementTree
from base64 import b64decode
from html import unescape
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.text import Text
from PIL import Image

from scene_utils import data, evaluation, plots, results
from scene_utils.lessons import deploy, features, saliency, sketches
from scene_utils.plots import svg
from scene_utils.support import intervals, report_facts
from scene_utils.support.drawn import csv as drawn_data
from scene_utils.support.drawn import panels
from scene_utils.support.svg import texts, translated
from tests.fakes import without_class

FACTS = results.facts()
CLASSES = FACTS["dataset"]["classes"]
TITLES = {name: name for name in FACTS["results"]}
MODELS = ["LeNet", "CustomLeNet", "AlexNet", "ResNet18", "ResNet18 + Mixup", "ResNet18 + transferred",
          "ensemble (final)", "EfficientNet-Lite0, the ensemble's student", "everything together"]  # fmt: skip


def history(epochs=12, best=0.8, seconds=2.0):
    epoch = np.arange(1, epochs + 1)
    accuracy = best * (1 - np.exp(-epoch / 3))
    table = {"epoch": epoch, "loss": np.exp(-epoch / 4), "accuracy": accuracy + 0.03, "learning_rate": 0.01}
    table |= {"holdout_loss": np.exp(-epoch / 5), "holdout_accuracy": accuracy, "seconds": seconds}
    return pd.DataFrame(table)


def simulated(skill, n=240):
    labels = np.arange(n) % len(CLASSES)
    logits = np.random.default_rng(int(skill * 10)).normal(size=(n, len(CLASSES)))
    logits[np.arange(n), labels] += skill
    return logits, labels


def sweep():
    table = {"learning_rate": [0.0001, 0.001, 0.005, 0.01, 0.1], "loss": [1.5, 1.2, 1.0, np.nan, np.nan]}
    return pd.DataFrame(table | {"diverged_step": [None, None, None, 80, 12]})


def depths():
    rows = [(d, e, 0.7 - d / 2000 + e / 100, s) for d in (18, 50, 152) for e in (3, 9) for s in (True, False)]
    return pd.DataFrame(rows, columns=["depth", "epochs", "holdout_accuracy", "shortcuts"])


def variants(nets=("LeNet", "CustomLeNet")):
    rows = [(net, variant, 0.8 + i / 50, 0.78 + i / 50, 0.82 + i / 50)
            for i, net in enumerate(nets) for variant in ("without", "with")]  # fmt: skip
    return pd.DataFrame(rows, columns=["net", "variant", "accuracy", "low", "high"])


def costs(accuracies=(0.85, 0.801, 0.8574, 0.8826, 0.8946, 0.9249, 0.9416, 0.9389, 0.9428)):
    table = pd.DataFrame({"accuracy": accuracies}, index=pd.Index(MODELS[: len(accuracies)], name="model"))
    table = table.assign(low=table["accuracy"] - 0.012, high=table["accuracy"] + 0.01)
    seconds, inference = [300, 2500, 3200, 2450, 2450, 7600, 25000, 6400, 39000], [0.25, 5, 5.2, 2, 2, 3.7, 86, 14, 210]
    return table.assign(seconds=seconds[: len(table)], inference_ms=inference[: len(table)])


def spread(low, high):
    values = np.linspace(low, high, 9)
    names = {"name": [f"ResNet50 + ResNet{i}" for i in range(9)]}
    return pd.DataFrame(names | {"accuracy": values, "low": values - 0.006, "high": values + 0.006})


def typical():
    """Every function of figures with inputs like those of the notebooks."""
    (plain, labels), (mixup, _) = simulated(1.5), simulated(2.2)
    images = data.load_sample().test.images.numpy()
    images, many = images[:24], np.resize(images, (len(labels), 3, 64, 64))
    maps, rng = np.random.default_rng(0).random((4, 8, 8)), np.random.default_rng(0)
    histories = {name: history(12, 0.6 + i / 30, 2**i) for i, name in enumerate(MODELS)}
    ends = {name: 0.8 + i / 60 for i, name in enumerate(MODELS)}
    matrices = {name: evaluation.confusion(labels, logits, CLASSES)
                for name, logits in (("ResNet18", plain), ("ResNet18 + Mixup", mixup))}  # fmt: skip
    reliable = {name: evaluation.reliability(one, labels) for name, one in (("plain", plain), ("Mixup", mixup))}
    right = {"plain": plain.argmax(1) == labels, "Mixup": mixup.argmax(1) == labels}
    titles = [f"label: {CLASSES[i % 6]}\npredicted: {CLASSES[-1 - i % 6]}\n99%" for i in range(12)]
    rows = {name: [0.1, 0.5 + i / 30] for i, name in enumerate(MODELS)}
    return {
        "curves": plots.curves({"LeNet": history(), "CustomLeNet": history(1)}),
        "lines": plots.lines(rows, percent=True, level=("goal", 1)),
        "schedule": plots.schedule({"MultiStepLR": [0.001] * 10 + [0.0005] * 10, "constant": [0.01] * 20}, log=True),
        "sweep": plots.learning_rate_sweep(sweep(), 0.007),
        "depth": plots.accuracy_vs_depth(depths()),
        "time": plots.accuracy_vs_time(histories, ends),
        "seeds": plots.seeds({"constant": [0.8, 0.81, 0.82], "cosine": [0.85]}),
        "bars": plots.bars({"learning rate": 0.034, "momentum": 0.166}, "importance", percent=True),
        "confusion": plots.confusion_matrix(matrices["ResNet18"], CLASSES),
        "per_class": plots.per_class_bars(evaluation.per_class(labels, plain, CLASSES), [0.5] * 6),
        "reliability": plots.reliability_diagram(reliable),
        "ladder": plots.ladder(plots.ladder_tables(dict.fromkeys(TITLES, (3000, 3407)), FACTS), TITLES),
        "intervals": plots.intervals(spread(0.932, 0.9428), "name"),
        "changes": plots.class_changes(evaluation.class_changes(plain, mixup, labels, CLASSES), [1, -30, 12, 2, 0, 40]),
        "wall": plots.wall(right, many, [CLASSES[i] for i in labels]),
        "grid": plots.image_grid(images[:12], titles, 6),
        "samples": plots.class_samples([images[:8]] * 6, CLASSES),
        "filters": plots.filters(rng.normal(size=(12, 3, 5, 5))),
        "filter rows": plots.filter_rows({"by hand": np.eye(3)[None, None], "learnt": np.ones((2, 3, 5, 5))}),
        "maps": plots.feature_maps(maps),
        "confused": plots.confused(evaluation.confused_by(matrices, CLASSES)),
        "cost": plots.cost(costs()),
        "photo": plots.photo(images[0], pd.Series([0.9, 0.1], index=CLASSES[:2]), "my photo.png"),
        "counts": plots.class_counts({"folder train": [1999, 2100] * 3, "test set": [500, 600] * 3}, CLASSES),
        **lessons(images, maps, rng),
    }


def lessons(images, maps, rng):
    """The figures of single lessons."""
    kernels, classes = np.array([[[-1, 0, 1]] * 3] * 2), CLASSES
    targets, third = 0.7 * np.eye(6) + 0.3 * np.eye(6)[::-1], np.full((11, 3), 1 / 3)
    trials = {"learning_rate": [0.01, 0.1] * 4, "batch": [32, 64] * 4, "accuracy": np.linspace(0.7, 0.8, 8)}
    members = pd.DataFrame(targets[:, :4], index=classes, columns=["ResNet50", "ResNet101", "ResNet152", "mean"])
    walks = {"no momentum": np.array([[-6, 1.5], [-2, -1], [0, 0]]), "momentum": np.array([[-6, 1.5], [3, -2.5]])}
    said, x = {"plain": ["predicted: buildings", "predicted: sea"] * 2}, np.linspace(-3, 3, 61)
    seen, maps4 = images[:4], [f"map {i}" for i in range(1, 5)]
    plane = {"points": rng.normal(size=(60, 2)), "labels": np.arange(60) % 6, "neighbours": 0.5}
    stages = {f"{start}, {stage} training": plane for start in ("scratch", "weights") for stage in ("before", "after")}
    random = {name: [maps] * len(saliency.PARTS) for name in saliency.METHODS}
    return {
        "features": features.figure(stages, classes),
        "maps made random": saliency.figure(images[0], random),
        "unknown": deploy.confidences([without_class(i, classes=classes) for i in range(6)], classes),
        "interaction": sketches.interaction(variants()),
        "levels": sketches.hyperparameter_levels(pd.DataFrame(trials), ["learning_rate", "batch"]),
        "members": sketches.member_probabilities(images[0], members, "label: sea"),
        "convolutions": sketches.convolutions(images[0], kernels, maps[:2], ["vertical edges", "horizontal edges"]),
        "colour filters": sketches.convolutions(images[0], np.stack([kernels] * 3, 1), maps[:2], ["edges", "colour"]),
        "heatmaps": sketches.heatmaps(seen, {"from scratch": maps, "features\nfrozen": maps}, classes[:4]),
        "answers": sketches.heatmaps(seen, {"plain": maps}, classes[:4], said),
        "soft labels": sketches.soft_labels(images[:6], targets, classes, ["a\nb"] * 6),
        "mixtures": sketches.mixup_interpolation({"plain": third, "Mixup": np.eye(3)[[1] * 5 + [2] + [0] * 5]}),
        "means": sketches.class_means(images[:6] / 255, classes),
        "colours": sketches.colour_means(rng.random((6, 3)), np.full((6, 3), 0.1), classes),
        "pairs": sketches.image_pairs(images[:5], images[5:10], [f"{i}.jpg | {i}1.jpg\ntrain, val" for i in range(5)]),
        "channels": sketches.channels(images[0]),
        "scatter": sketches.scatter(rng.normal(size=(60, 2)), np.arange(60) % 6, classes, "red", "blue"),
        "scores": sketches.scores_and_probabilities([2, 1, 0, 0, 0, -1], [0.6, 0.2, 0.1, 0.05, 0.05, 0], classes),
        "log loss": sketches.log_loss([0.05, 1 / 6, 0.5, 0.9]),
        "slope": sketches.slope(x, x**2, 0, 0, 0.1, "weight"),
        "by rate": sketches.by_rate([0.01, 0.1, 0.3, 1, 2, 3, 5, 10], np.arange(8), 1.8, "learning rate"),
        "boxes": sketches.two_layers([("x", "32 × 64"), ("z", "32 × 6")], [("times W1", "gives dW1\nand db1")]),
        "relu": sketches.relu(),
        "validation": sketches.train_validation([[1.8, 0.3, 1.9, 0.2], [0.1, 1.0, 2.5, 0.4]]),
        "paths": sketches.paths(walks, lambda first, second: first**2 + second**2),
        "guessing": plots.seeds({"images": [0.5, 0.52, 0.5], "scrambled": [0.2]}, "validation accuracy", 1 / 6),
        "live pairs": sketches.pairs(["a", "b"], [[0.5, 0.6], [0.52, 0.58]], [[0.55, 0.61]], 0.05, "accuracy"),
        "rate range": sketches.rate_range(np.geomspace(1e-5, 1, 60), 2 + np.linspace(-1, 1.4, 60) ** 2),
        "positions": sketches.positions([(1, 0), (2, 1)]),
        "before and after": sketches.before_after(rng.normal(size=(500, 4)) * 3, rng.normal(size=(500, 4)), maps4),
        "fields": sketches.receptive_fields(images[0], {"1 convolution": np.eye(64)[None], "3": np.ones((3, 64, 64))}),
    }


def extreme():
    """What may become unreadable: nearly equal values, many models, one of anything, long names, no image square."""
    plain, labels = simulated(1.5)
    long = [f"a class with the name {i}" for i in range(12)]
    longer = [f"a class with a name of forty letters, {i}" for i in range(24)]
    answers = [f"label: {name}\npredicted: {name}" for name in longer[:12]]
    wide = np.random.default_rng(0).integers(0, 256, (6, 3, 24, 64), dtype=np.uint8)
    same = {name: history(4, 0.9394 + i / 10000) for i, name in enumerate(MODELS)}
    equal = pd.DataFrame(dict.fromkeys(MODELS, [109, 12, 0]), index=["a, b", "a, c", "b, c"])
    unchanged = pd.DataFrame({"class": CLASSES, "gained": 0, "lost": 0, "net": 0})
    levels = pd.DataFrame({"rate": [0.1, 0.2] * 2, "accuracy": [0.94, 0.9401, 0.9402, 0.94]})
    six = pd.DataFrame(np.eye(6), index=CLASSES, columns=MODELS[:6])
    return {
        "close intervals": plots.intervals(spread(0.94, 0.9401), "name"),
        "equal intervals": plots.intervals(spread(0.94, 0.94), "name"),
        "one interval": plots.intervals(spread(0.94, 0.95).head(1), "name"),
        "close bars": plots.bars({"a": 0.17, "b": -0.034}, "gained", percent=True),
        "long bars": plots.bars(dict.fromkeys(long, 12345.678), "images"),
        "close lines": plots.lines({name: [0.9401, 0.9402] for name in MODELS}, percent=True),
        "one epoch": plots.lines({"a": [0.5]}, percent=True, level=("the report's goal", 0.94)),
        "many curves": plots.curves({name: same[name] for name in MODELS[:6]}),
        "narrow log": plots.lines({"a": [93, 95, 97]}, log=True),
        "wide log": plots.lines({"a": [1e-6, 1, 1e6]}, log=True),
        "equal costs": plots.cost(costs([0.9] * 9)),
        "one cost": plots.cost(costs([0.9])),
        "equal times": plots.accuracy_vs_time(same),
        "late times": plots.accuracy_vs_time({"a": history(3, 0.9), "b": history(3, 0.2)}, {"a": 0.95, "b": 0.3}),
        "equal seeds": plots.seeds({"a": [0.81234] * 5, "b": [0.81235] * 5}),
        "all confused alike": plots.confused(equal),
        "no change": plots.class_changes(unchanged, [0] * 6),
        "long counts": plots.class_counts({"train": range(12), "test": range(12)}, long),
        "long per class": plots.per_class_bars(evaluation.per_class(np.arange(12), np.arange(12), long)),
        "one rate": plots.learning_rate_sweep(sweep().head(1)),
        "one model": plots.wall({"plain": plain.argmax(1) == labels}),
        "wide images": plots.image_grid(wide, [f"label: {name}" for name in long[:6]]),
        "wide samples": plots.class_samples([wide] * 24, longer),
        "wide photo": plots.photo(wide[0], pd.Series(1 / 12, index=long), "a photo with a rather long name.jpeg"),
        "long titles": plots.image_grid(wide, answers[:6]),
        "long heat maps": sketches.heatmaps(wide.repeat(2, 0), {"a": np.zeros((12, 9, 9))}, answers,
                                            {"a": longer[:12]}),
        "long means": sketches.class_means(np.random.default_rng(0).random((24, 3, 9, 9)), longer),
        "longer counts": plots.class_counts({"train": range(24), "test": range(24)}, longer),
        "longer per class": plots.per_class_bars(evaluation.per_class(np.arange(24), np.arange(24), longer)),
        "longer matrix": plots.confusion_matrix(np.eye(12, dtype=int), longer[:12]),
        "many samples": plots.class_samples([wide.repeat(4, 0)] * 2, longer[:2]),
        "longer photo": plots.photo(wide[0], pd.Series(1 / 24, index=longer), "a photo"),
        "longer targets": sketches.soft_labels(wide, np.eye(6), longer[:6]),
        "wide heat maps": sketches.heatmaps(wide, {"a": np.zeros((6, 3, 8))}, ["x"] * 6),
        "wide targets": sketches.soft_labels(wide, np.eye(6), long[:6]),
        "many nets": sketches.interaction(variants(MODELS)),
        "close levels": sketches.hyperparameter_levels(levels, ["rate"]),
        "many members": sketches.member_probabilities(wide[0], six, "label: sea"),
    }


@pytest.fixture(scope="module")
def usual():
    return typical()


@pytest.fixture(scope="module")
def figures(usual):
    """Every figure, drawn."""
    figures = usual | extreme()
    for figure in figures.values():
        FigureCanvasAgg(figure).draw()
    return figures


@pytest.fixture(scope="module")
def drawings(usual):
    """The usual figures as SVG."""
    return {name: svg(figure) for name, figure in usual.items()}


def line(axis, label):
    (found,) = [one for one in axis.get_lines() if one.get_label() == label]
    return found


# --- every figure can be read

SIMULATED = {  # Machado, Oliveira and Fernandes (2009), for linear RGB; and grey
    "all colours": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    "grey": [[0.2126, 0.7152, 0.0722]] * 3,
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def distance(first, second, seen):
    """Distance of two colours in CIELAB; about 2 is just noticeable."""
    lab = []
    for color in (first, second):
        rgb = np.array(to_rgb(color))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        x, y, z = np.cbrt(XYZ @ np.clip(np.array(SIMULATED[seen]) @ linear, 0, 1) / XYZ.sum(axis=1))
        lab.append([116 * y - 16, 500 * (x - y), 200 * (y - z)])
    return float(np.linalg.norm(np.subtract(*lab)))


def hollow(artist):
    face = artist.get_markerfacecolor()
    return artist.get_marker() in ("|", "_") or str(face) in ("none", "white")


def error_bars(axis):
    return [each for each in axis.containers if isinstance(each, ErrorbarContainer) and each.lines[0] is not None]


def series(axis):
    """What a legend names in an axes: label, marker with its filling, line style, hatch, colour."""
    found = [(one.get_label(), one) for one in axis.get_lines()]
    found += [(each.get_label(), each.lines[0]) for each in error_bars(axis)]
    looks = []
    for label, one in found:
        marker = None if one.get_marker() in (None, "", "None", " ") else (one.get_marker(), hollow(one))
        looks.append((label, marker, one.get_linestyle() + str(one._dash_pattern), "", one.get_color()))
    for each in axis.containers:
        if isinstance(each, BarContainer) and len({bar.get_facecolor() for bar in each}) == 1:
            looks.append((each.get_label(), None, "", each[0].get_hatch() or "", each[0].get_facecolor()[:3]))
    return [look for look in looks if not look[0].startswith("_")]


def written(figure):
    """Every text that is drawn and not empty, with its box in pixels."""
    renderer = figure.canvas.get_renderer()
    found = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]
    hidden = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        ticks = axis.get_major_ticks()
        hidden |= {tick.label1 for tick in ticks if not (axis.axes.axison and low <= tick.get_loc() <= high)}
    boxes = [(one, Text.get_window_extent(one, renderer)) for one in found if one not in hidden]  # without arrows
    return [(one, box) for one, box in boxes if box.width > 0]


def without_an_alternative_text(figure):
    return [] if len(figure.alt) > 10 and not re.search(r"\bnan\b|\n", figure.alt) else [figure.alt]


def text_cut_off(figure):
    width, height = figure.get_size_inches() * figure.dpi
    return [one.get_text() for one, box in written(figure)
            if min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1]  # fmt: skip


def text_on_text(figure):
    level = [(one.get_text(), box) for one, box in written(figure) if one.get_rotation() % 90 == 0]
    return [(first, second) for (first, a), (second, b) in combinations(level, 2)
            if min(a.x1, b.x1) - max(a.x0, b.x0) > 2 and min(a.y1, b.y1) - max(a.y0, b.y0) > 2]  # fmt: skip


def tick_label_twice(figure):
    for axis in (each for axes in figure.axes for each in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_ticklabels() if label.get_text()]
        yield from {label for label in labels if labels.count(label) > 1}


def series_alike_in_grey_or_to_the_colour_blind(figure):
    for first, second in (pair for axis in figure.axes for pair in combinations(series(axis), 2)):
        if first[1] is not None and first[1] == second[1]:
            yield first, second
        elif first[1:4] == second[1:4]:
            if min(distance(first[4], second[4], kind) for kind in SIMULATED) <= 10:
                yield first, second


def marker_hidden_by_one_of_another_series(figure):
    """Markers without lines; lines that meet are told apart by their styles."""
    for axis in figure.axes:
        points = [one for one in {*axis.get_lines(), *(each.lines[0] for each in error_bars(axis))}
                  if one.get_linestyle() == "None" and one.get_marker() not in ("|", "_", "None")]  # fmt: skip
        points.sort(key=lambda one: (one.get_zorder(), axis.get_children().index(one)))
        for below, above in combinations(points, 2):
            if not hollow(above) and above.get_markersize() >= below.get_markersize() - 2:
                first, second = (one.get_transform().transform(np.transpose(one.get_data())) for one in (below, above))
                near = np.linalg.norm(first[:, None] - second[None], axis=2).min(initial=np.inf)
                if near <= 0.4 * below.get_markersize() * figure.dpi / 72:
                    yield below.get_label(), above


def line_cut_by_the_axes(figure):
    for axis in figure.axes:
        parts = [one.get_xydata() for one in axis.get_lines() if one.get_transform() == axis.transData]
        bars = [each.lines[2] for each in axis.containers if isinstance(each, ErrorbarContainer)]
        parts += [segment for each in bars for one in each for segment in one.get_segments()]
        points = np.concatenate([np.asarray(part, dtype=float) for part in parts]) if parts else np.zeros((0, 2))
        points = axis.transData.transform(points[np.isfinite(points).all(axis=1)])
        low, high = axis.get_window_extent().get_points()
        yield from points[((points <= low - 1) | (points >= high + 1)).any(axis=1)]


def photograph_stretched(figure):
    for image in (image for axis in figure.axes for image in axis.get_images()):
        if image.axes.get_aspect() != "auto" or image.get_array().ndim == 3:
            box, (rows, columns) = image.get_window_extent(), image.get_array().shape[:2]
            if box.width / columns != pytest.approx(box.height / rows, rel=0.02):
                yield box


def wider_or_higher_than_a_page_holds(figure):
    return [size for size in figure.get_size_inches() if size > plots.INCHES + 4]


FAULTS = [without_an_alternative_text, wider_or_higher_than_a_page_holds, text_cut_off, text_on_text,
          tick_label_twice, photograph_stretched,
          series_alike_in_grey_or_to_the_colour_blind, marker_hidden_by_one_of_another_series, line_cut_by_the_axes]


PICTURES = {"wall", "grid", "samples", "filters", "filter rows", "maps", "convolutions", "colour filters", "heatmaps",
            "answers", "means", "pairs", "channels", "boxes", "fields", "maps made random"}  # fmt: skip


def test_every_figure_but_pictures_has_its_data_as_a_table(usual, figures):
    without = {name for name, figure in usual.items() if not drawn_data(figure)}
    assert without <= PICTURES
    confusion = drawn_data(plots.confusion_matrix(np.array([[8, 2], [5, 15]]), ["sea", "street"]))
    assert "images,sea,street,2" in confusion and "% of the true class,street,sea,25" in confusion
    (name, table), *_ = panels(drawn_data(plots.bars({"a": 0.5, "b": 0.25}, "points")))
    assert name == "points" and table["at"].tolist() == ["a", "b"] and table[""].tolist() == [0.5, 0.25]
    per_class = drawn_data(plots.per_class_bars(evaluation.per_class([0, 1], np.eye(2) * 9, ["a", "b"]), [0.5, 0.75]))
    assert "accuracy,b,report,0.75" in per_class and "accuracy,a,low," in per_class
    assert max(len(drawn_data(figure)) for figure in figures.values()) < 40_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_no_figure_has(fault, figures):
    assert {name: found for name, figure in figures.items() if (found := list(fault(figure)))} == {}


def test_every_function_of_figures_is_in_the_gallery_and_none_stays_open(figures):
    made = {name for module in (plots, sketches) for name, each in vars(module).items()
            if getattr(each, "__annotations__", {}).get("return") == "Figure" and each.__module__ == module.__name__}
    source = "".join(inspect.getsource(each) for each in (typical, lessons, extreme))
    assert not {name for name in made if f".{name}(" not in source} and plt.get_fignums() == []


def test_colours_differ_for_the_colour_blind():
    for colors in (plots.LINE_COLORS, plots.CLASS_COLORS):
        for kind in set(SIMULATED) - {"grey"}:
            assert min(distance(*pair, kind) for pair in combinations(colors, 2)) > 15, kind


# --- files


def embedded(svg):
    """The pictures in an SVG: width and height of a pixel, the picture, whether it stays squares when enlarged."""
    found = []
    for tag in re.findall(r"<image\b[^>]*>", svg):
        matrix = re.search(r'transform="(\w+)\(([^"]*)\)', tag)
        numbers = [float(number) for number in re.split("[ ,]+", matrix[2].split(")")[0])]
        width, height = (numbers[0], numbers[3]) if matrix[1] == "matrix" else (1, 1)
        content = b64decode(re.search(r"base64,\s*([^\"]*)", tag)[1])
        found.append((width, height, Image.open(io.BytesIO(content)), "pixelated" in tag))
    return found


def test_a_notebook_shows_a_figure_once_small_with_its_alternative_text(figures, drawings):
    shown, metadata = DisplayFormatter().format(figures["bars"])
    assert set(shown) == {"image/svg+xml", "text/plain"}
    assert metadata["image/svg+xml"]["alt"] == "importance: learning rate 3.4%; momentum 16.6%."
    assert metadata["image/svg+xml"]["alt"] not in shown["image/svg+xml"]  # it would stay English
    raw = io.BytesIO()
    figures["bars"].savefig(raw, format="svg")
    first, second = drawings["bars"], svg(plots.bars({"a": 1}, "points"))
    assert len(first) < len(raw.getvalue()) * 0.7  # Matplotlib's own
    assert first == shown["image/svg+xml"]  # drawn twice alike
    names, used = (set(re.findall(p, first)) for p in (r' id="([^"]+)"', r'(?:href="|url\()#([^")]+)'))
    assert names and used <= names
    assert not names & set(re.findall(r' id="([^"]+)"', second))  # on one page


def test_the_words_of_every_figure_are_text_in_one_font(usual, figures, drawings):
    for name, figure in usual.items():
        lines = {line.strip() for text, _ in written(figure) for line in text.get_text().split("\n")}
        content = drawings[name]
        words = {unescape(text).strip() for text in re.findall(r"<text\b[^>]*>([^<]*)<", content)}
        named = {each for axis in figure.axes for each in (axis.get_xlabel(), axis.get_title()) if "\n" not in each}
        assert words <= lines and named - {""} <= words, (name, words ^ lines)
        assert set(texts(content)) <= words and content.count("font-family") == 1, name
        assert ElementTree.fromstring(content).get("font-family") == "DejaVu Sans, sans-serif"


def test_pictures_are_small_and_keep_their_pixels_and_shape():
    images = data.load_sample().test.images.numpy()
    drawn = svg(plots.image_grid(images[:12], range(12)))
    found = embedded(drawn)
    assert len(drawn) < 65_000 and len(found) == 12
    for image, (width, height, picture, squares) in zip(images, found, strict=False):
        assert picture.size == (64, 64) and picture.mode == "P" and not squares
        assert width == pytest.approx(height, rel=1e-3)
        assert np.abs(np.asarray(picture.convert("RGB"), int) - np.moveaxis(image, 0, -1)).mean() < 6
    (small,) = embedded(svg(plots.feature_maps(np.eye(5)[None])))
    assert small[2].size == (5, 5) and small[3]
    assert len(svg(plots.class_samples([images[i::6][:8] for i in range(6)], CLASSES))) < 230_000
    pairs = sketches.image_pairs(images[:3], images[3:6], ["one", "two", "three"])
    shown = [axis.images[0].get_array() for axis in pairs.axes if axis.images]
    assert len(svg(pairs)) < 60_000 and shown[0].shape == (64, 132, 3)
    assert np.array_equal(shown[2][:, 68:], np.moveaxis(images[5], 0, -1))


def test_a_translated_figure_differs_in_its_words_only(drawings):
    drawn = ("<svg><text x='1'>a &amp; b</text><text>1,000</text><text>−0.5 %</text><text>12 ms</text><text>2.5M</text>"
             "<text>1e-05</text><text>m</text><text> sea <tspan>predicted</tspan></text><text>a &amp; b</text></svg>")
    assert texts(drawn) == ["a & b", "m", "sea", "predicted"]  # without numbers and their units
    for name in ("bars", "grid", "wall", "confusion"):
        drawn = drawings[name]
        assert translated(drawn, lambda words: words) == drawn
        korean = translated(drawn, lambda words: f"<{words} & 바다>")
        assert texts(korean) == [f"<{words} & 바다>" for words in texts(drawn)]
        ElementTree.fromstring(korean)
        assert re.sub(r">[^<>]+<", "><", korean) == re.sub(r">[^<>]+<", "><", drawn)


def test_lines_of_a_title_are_anchored_in_their_middle(drawings):
    root = ElementTree.fromstring(drawings["grid"])
    inside = {child: parent for parent in root.iter() for child in parent}
    lines = [element for element in root.iter() if element.text == "label: sea"]
    assert len(lines) == 2 and all(float(line.get("x")) == pytest.approx(19, abs=1) for line in lines)
    for element in lines:
        while element.get("text-anchor") is None:
            element = inside[element]
        assert element.get("text-anchor") == "middle"


@pytest.mark.parametrize("decimals, values", [(0, [0.92, 0.93]), (1, [0.92, 0.925]), (2, [0.9401, 0.9402])])
def test_per_cent_have_the_decimals_that_keep_ticks_apart(decimals, values):
    axis = plots.subplots()[1].xaxis
    plots.percent(axis)
    assert axis.get_major_formatter().format_ticks(values) == [f"{value:.{decimals}%}" for value in values]


# --- what is drawn

CALM = {"loss": 1.0, "diverged_step": None}
CHANGES = pd.DataFrame({"class": CLASSES, "gained": range(6), "lost": range(3, 9), "net": [-3] * 6})
REPORTED = np.subtract(*(report_facts.counts(FACTS, name) for name in ("resnet18_mixup", "resnet18"))).tolist()
PAIRS = pd.DataFrame({"plain": [40, 7], "Mixup": [20, 3]}, index=["a, b", "a, c"])
MIXED = np.stack([np.linspace(0, 1, 11), np.linspace(0.8, 0, 11), np.linspace(0.2, 0, 11)], axis=1)
RATES = [0.001 * 0.5 ** (t > 10) for t in range(1, 21)]
DEPTHS = depths().query("epochs == 9 and shortcuts").sort_values("depth")
DRAWN = {  # figure: for an axes and a label what is drawn at x and y; None where it does not matter
    "curves": (lambda: plots.curves(history()), [
        (0, "train", history()["epoch"], history()["loss"]),
        (0, "hold-out", None, history()["holdout_loss"]),
        (1, "hold-out", None, history()["holdout_accuracy"]),
    ]),
    "an ensemble's curve": (lambda: plots.curves({"all": history()[["epoch", "holdout_accuracy", "seconds"]]}), [
        (1, "all, hold-out", None, history()["holdout_accuracy"]),
    ]),
    "lines": (lambda: plots.lines({"a": [0.1, 0.5]}, level=("goal", 0.94)), [
        (0, "a", [1, 2], [0.1, 0.5]), (0, "goal", None, [0.94] * 2),
    ]),
    "schedule": (lambda: plots.schedule({"MultiStepLR": RATES}), [(0, "MultiStepLR", range(1, 21), RATES)]),
    "sweep": (lambda: plots.learning_rate_sweep(sweep().sample(frac=1, random_state=0), 0.007), [
        (0, "finished", [0.0001, 0.001, 0.005], [1.5, 1.2, 1.0]), (0, "report: 0.007", [0.007] * 2, None),
        (1, "diverged", [0.01, 0.1], [80, 12]),
    ]),
    "a sweep without a diverged run": (lambda: plots.learning_rate_sweep(sweep().assign(**CALM)), [
        (0, "finished", None, [1.0] * 5), (1, "diverged", [], []),
    ]),
    "depth": (lambda: plots.accuracy_vs_depth(depths()), [(0, "9 epochs", None, DEPTHS["holdout_accuracy"])]),
    "reliability": (lambda: plots.reliability_diagram({"model": evaluation.reliability([[9.0, 0], [0, 9]], [0, 1])}), [
        (0, "model", None, [1.0]),
    ]),
    "changes": (lambda: plots.class_changes(CHANGES, REPORTED), [
        (0, "report, net", REPORTED, None), (0, "ours, net", [-3] * 6, None),
    ]),
    "confused": (lambda: plots.confused(PAIRS), [(0, "plain", [40, 7], None), (0, "Mixup", [20, 3], None)]),
    "mixtures": (lambda: sketches.mixup_interpolation({"Mixup": MIXED}), [
        (0, "Mixup", None, MIXED[:, 0]), (1, "Mixup", None, MIXED[:, 2]),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_lines_are_where_the_data_are(name):
    make, expected = DRAWN[name]
    axes = make().axes
    for number, label, x, y in expected:
        drawn = line(axes[number], label)
        assert x is None or drawn.get_xdata() == pytest.approx(list(x))
        assert y is None or drawn.get_ydata() == pytest.approx(list(y))


def test_train_and_holdout_have_their_own_lines_and_depths_their_ticks():
    accuracy = plots.curves(history()).axes[1]
    assert line(accuracy, "train").get_linestyle() != line(accuracy, "hold-out").get_linestyle()
    axis = plots.accuracy_vs_depth(depths()).axes[0]
    labels = [one.get_label() for one in axis.get_lines()]
    assert labels == ["3 epochs", "3 epochs, no shortcuts", "9 epochs", "9 epochs, no shortcuts"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["18", "50", "152"]


def test_the_price_of_a_point_accumulates_seconds_and_ends_in_a_large_hollow_mark():
    table = pd.DataFrame({"seconds": [2, 3, 4], "holdout_accuracy": [0.5, 0.7, 0.6]})
    line = plots.accuracy_vs_time({"LeNet": table}).axes[0].get_lines()[0]
    assert line.get_xydata().tolist() == [[2, 0.5], [5, 0.7], [9, 0.7]]
    axis = plots.accuracy_vs_time({"LeNet": history(10)}, {"LeNet": 0.75}).axes[0]
    (mark,) = [one for one in axis.get_lines() if one.get_markersize() == 11]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (20, 0.75)


def test_seeds_and_costs_are_points():
    axis = plots.seeds({"a": [0.8, 0.82]}).axes[0]
    (points,) = [one for one in axis.get_lines() if one.get_marker() == "o"]
    assert points.get_xdata().tolist() == [0.8, 0.82]
    assert axis.containers[0].lines[0].get_xdata()[0] == pytest.approx(0.81)
    for axis, values in zip(plots.cost(costs().iloc[[0, 8]]).axes, ([[300], [39000]], [[0.25], [210]]), strict=True):
        assert axis.get_xscale() == "log" and [each[0].get_xdata().tolist() for each in axis.containers] == values


def test_confusion_matrix_shows_counts_and_shares():
    counts, shares = plots.confusion_matrix(np.array([[8, 2], [5, 15]]), ["sea", "street"]).axes
    assert [text.get_text() for text in counts.texts] == ["8", "2", "5", "15"]
    assert [text.get_text() for text in shares.texts] == ["80.0", "20.0", "25.0", "75.0"]
    assert [label.get_text() for label in counts.get_yticklabels()] == ["sea", "street"]
    _, shares = plots.confusion_matrix(np.array([[0, 0], [1, 3]]), ["sea", "street"]).axes
    assert [text.get_text() for text in shares.texts] == ["0.0", "0.0", "25.0", "75.0"]


def test_bars_have_the_lengths_and_ends_of_the_data():
    logits, labels = simulated(1.5)
    table, reported = evaluation.per_class(labels, logits, CLASSES), FACTS["results"]["lenet"]["per_class"]
    axis = plots.per_class_bars(table, reported).axes[0]
    ours, report = (one for one in axis.containers if hasattr(one, "patches"))
    assert [bar.get_height() for bar in ours] == pytest.approx(table["recall"].tolist())
    assert [bar.get_facecolor()[:3] for bar in ours] == [to_rgb(color) for color in plots.CLASS_COLORS]
    assert [bar.get_height() for bar in report] == reported
    assert [end[1][1] for end in ours.errorbar.lines[2][0].get_segments()] == pytest.approx(table["high"].tolist())
    assert sum(REPORTED) == round((0.8835 - 0.8576) * 3407)
    gained, lost = plots.class_changes(CHANGES, REPORTED).axes[0].containers
    assert [bar.get_width() for bar in gained] == list(range(6))
    assert [bar.get_width() for bar in lost] == [-n for n in range(3, 9)]
    counts = plots.class_counts({"train": [4, 2], "test": [1, 3]}, ("a", "b"))
    assert [[bar.get_height() for bar in group] for group in counts.axes[0].containers] == [[4, 2], [1, 3]]
    assert "train: a 4; b 2" in counts.alt


def test_ladder_has_both_readings_and_steps_in_images():
    tables = plots.ladder_tables({"lenet": (2700, 3407), "custom_lenet": (2600, 3407)}, FACTS)
    theirs, table = tables["report"], tables["ours"]
    assert theirs.index.tolist() == table.index.tolist() == list(FACTS["results"])
    assert theirs["accuracy"].round(4).tolist() == [r["accuracy"] for r in FACTS["results"].values()]
    assert table["step"].iloc[1] == -100 and table["step"].isna().sum() == 6
    assert theirs["step"].sum() == theirs["correct"].iloc[-1] - theirs["correct"].iloc[0]
    assert tuple(table.loc["lenet", ["low", "high"]]) == intervals.wilson_interval(2700, 3407)
    axis = plots.ladder(tables, TITLES).axes[0]
    report, ours = axis.containers
    assert report.lines[0].get_xdata() == pytest.approx(theirs["accuracy"])
    assert ours.lines[0].get_xdata()[:2] == pytest.approx([2700 / 3407, 2600 / 3407])
    assert "−100" in [text.get_text() for text in axis.texts]
    assert "nan" not in plots.ladder(plots.ladder_tables({}, FACTS), TITLES).alt


def test_confused_pairs_are_counted_in_both_directions_for_every_model():
    first = np.diag([10] * 6) + 0
    first[2, 3], first[3, 2], first[0, 5] = 30, 10, 7
    table = evaluation.confused_by({"plain": first, "Mixup": first // 2}, CLASSES, n=2)
    assert table.index.tolist() == [f"{CLASSES[2]}, {CLASSES[3]}", f"{CLASSES[0]}, {CLASSES[5]}"]
    assert table["plain"].tolist() == [40, 7] and table["Mixup"].tolist() == [20, 3]


def test_wall_is_sorted_and_shows_images_that_no_model_gets():
    right = {"weak": [True, False, False, True], "strong": [True, True, False, True]}
    table = plots.wall_table(right)
    assert table.sum().tolist() == [0, 1, 2, 2] and table.columns.tolist() == [2, 1, 0, 3]
    assert table.index.tolist() == ["strong", "weak"]
    drawn = plots.wall(right).axes[0].images[0].get_array()
    assert drawn[:: len(drawn) // 2].tolist() == table.to_numpy().tolist()
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 2, 2), dtype=np.uint8)
    figure = plots.wall({"a": [True, False, True, False]}, images, ["sea", "street", "sea", "forests"])
    shown = [(axis.get_title(), int(axis.images[0].get_array().max())) for axis in figure.axes if axis.get_title()]
    assert shown == [("street", 1), ("forests", 3)]


# --- images


def test_images_show_what_is_given():
    scaled = plots.scaled_filters(np.array([[[[0.0, 1.0]]], [[[-4.0, 2.0]]], [[[0.0, 0.0]]]]))
    assert scaled[:, 0, 0].tolist() == [[0.5, 1.0], [0.0, 0.75], [0.5, 0.5]]  # grey at zero, each on its own scale
    means = np.full((2, 3, 4, 4), 0.5)
    means[1, 0] += 0.1
    first, second = (axis.images[0].get_array() for axis in sketches.class_means(means, ["sea", "street"]).axes[2:])
    np.testing.assert_allclose([first[0, 0], second[0, 0]], [[0, 0.5, 0.5], [1, 0.5, 0.5]])  # what differs from all
    images, maps = np.zeros((2, 3, 64, 64), dtype=np.uint8), np.zeros((2, 4, 4))
    maps[0, 1, 2], maps[1] = 5, -1
    figure = sketches.heatmaps(images, {"CAM": maps}, ["sea", "street"])
    assert [len(axis.images) for axis in figure.axes[:4]] == [1, 1, 1, 1]
    assert [axis.images[0].get_array().max() for axis in figure.axes[2:4]] == [1, 0]
    assert [label.get_text() for label in figure.axes[4].get_yticklabels()] == ["none", "strongest"]


def test_soft_labels_are_the_targets():
    targets = np.array([[0.7, 0.3, 0], [0, 0, 1]])
    figure = sketches.soft_labels(np.zeros((2, 3, 8, 8), np.uint8), targets, ["sea", "street", "forests"])
    below = figure.axes[2:]
    np.testing.assert_allclose([[bar.get_width() for bar in axis.patches] for axis in below], targets)
    assert [text.get_text() for text in below[0].texts] == ["70%", "30%", ""]
    assert figure.alt == "Images and their targets: sea 70%, street 30%; forests 100%"
