"""The data that figures draw, read back from their axes; style, files and alternative texts."""

import io
import json
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_rgb
from PIL import Image

from scene_utils import evaluation, plots
from scene_utils.support import intervals
from scene_utils.support.settings import project_dir

FACTS = json.loads((project_dir() / "scene_utils" / "facts" / "report.json").read_text(encoding="utf-8"))
CLASSES = FACTS["dataset"]["classes"]


def history(epochs=12, best=0.8, seconds=2.0):
    epoch = np.arange(1, epochs + 1)
    accuracy = best * (1 - np.exp(-epoch / 3))
    return pd.DataFrame(
        {
            "epoch": epoch,
            "loss": np.exp(-epoch / 4),
            "accuracy": accuracy + 0.03,
            "holdout_loss": np.exp(-epoch / 5),
            "holdout_accuracy": accuracy,
            "learning_rate": 0.01,
            "seconds": seconds,
        }
    )


def simulated(skill, n=240):
    labels = np.arange(n) % len(CLASSES)
    logits = np.random.default_rng(int(skill * 10)).normal(size=(n, len(CLASSES)))
    logits[np.arange(n), labels] += skill
    return logits, labels


def sweep():
    rates = np.array([0.0001, 0.001, 0.005, 0.01, 0.1])
    return pd.DataFrame(
        {
            "learning_rate": rates,
            "loss": [1.5, 1.2, 1.0, np.nan, np.nan],
            "diverged_step": [None, None, None, 80, 12],
        }
    )


def depths():
    rows = [
        {"depth": d, "epochs": e, "holdout_accuracy": 0.7 - d / 2000 + e / 100, "shortcuts": s}
        for d in (18, 50, 152)
        for e in (3, 9)
        for s in (True, False)
    ]
    return pd.DataFrame(rows)


def two_by_two():
    rows = [("LeNet", "without", 0.8, 0.78, 0.82), ("LeNet", "with", 0.82, 0.8, 0.84),
            ("CustomLeNet", "without", 0.75, 0.73, 0.77), ("CustomLeNet", "with", 0.85, 0.83, 0.87)]  # fmt: skip
    return pd.DataFrame(rows, columns=["net", "variant", "accuracy", "low", "high"])


def confusion(logits, labels):
    return evaluation.confusion(labels, logits, CLASSES)


def costs():
    rows = [("LeNet", 0.85, 0.84, 0.86, 200, 0.4), ("everything together", 0.95, 0.94, 0.96, 90000, 90)]
    columns = ["model", "accuracy", "low", "high", "seconds", "inference_ms"]
    return pd.DataFrame(rows, columns=columns).set_index("model")


def every_figure():
    (plain, labels), (mixup, _) = simulated(1.5), simulated(2.2)
    images = np.zeros((len(labels), 3, 16, 16), dtype=np.uint8)
    maps = np.random.default_rng(0).random((4, 8, 8))
    names = list(FACTS["results"])
    ours = {name: (3000, 3407) for name in names[:4]}
    return {
        "curves": plots.curves({"LeNet": history(), "CustomLeNet": history(1)}),
        "lines": plots.lines({"a": [0.1, 0.5], "b": [0.2, 0.6]}, percent=True, level=("goal", 0.94)),
        "schedule": plots.schedule({"MultiStepLR": [0.001] * 10 + [0.0005] * 10}),
        "sweep": plots.learning_rate_sweep(sweep(), 0.007),
        "depth": plots.accuracy_vs_depth(depths()),
        "time": plots.accuracy_vs_time(
            {name: history(12, 0.7 + i / 40, 2**i) for i, name in enumerate(names)},
            {name: 0.8 for name in names},
            {name: result["accuracy"] for name, result in FACTS["results"].items()},
        ),
        "seeds": plots.seeds({"constant": [0.8, 0.81, 0.82], "cosine": [0.85]}),
        "bars": plots.bars({"learning rate": 0.6, "momentum": 0.1}, "importance"),
        "confusion": plots.confusion_matrix(evaluation.confusion(labels, plain, CLASSES), CLASSES),
        "per_class": plots.per_class_bars(evaluation.per_class(labels, plain, CLASSES), [0.5] * 6),
        "reliability": plots.reliability_diagram({"plain": evaluation.reliability(plain, labels)}),
        "ladder": plots.ladder(plots.ladder_table(ours, FACTS, {"resnet18": "ResNet18"})),
        "changes": plots.class_changes(evaluation.class_changes(plain, mixup, labels, CLASSES), [1] * 6),
        "wall": plots.wall(
            {"plain": plain.argmax(1) == labels, "Mixup": mixup.argmax(1) == labels},
            images,
            [CLASSES[i] for i in labels],
        ),
        "grid": plots.image_grid(images[:5], ["sea\n→ street 0.98"] * 5, 3),
        "filters": plots.filters(np.random.default_rng(0).normal(size=(12, 3, 5, 5))),
        "filter rows": plots.filter_rows({"by hand": np.eye(3)[None, None], "learnt": np.ones((2, 3, 5, 5))}),
        "maps": plots.feature_maps(maps),
        "convolutions": plots.convolutions(images[0], [[[-1, 0, 1]] * 3], maps[:1], ["edges"]),
        "confused": plots.confused(
            evaluation.confused_by({"plain": confusion(plain, labels), "Mixup": confusion(mixup, labels)}, CLASSES)
        ),
        "cost": plots.cost(costs()),
        "two by two": plots.two_by_two(two_by_two()),
        "heatmaps": plots.heatmaps(images[:4], {"from scratch": maps, "transferred": maps}, CLASSES[:4]),
        "answers": plots.heatmaps(images[:4], {"plain": maps}, CLASSES[:4], {"plain": ["right", "taken for sea"] * 2}),
        "soft labels": plots.soft_labels(images[:6], 0.7 * np.eye(6) + 0.3 * np.eye(6)[::-1], CLASSES, ["a\nb"] * 6),
        "between": plots.between({"plain": np.full((11, 3), 1 / 3), "Mixup": np.eye(3)[[1] * 5 + [2] + [0] * 5]}),
    }


@pytest.fixture(scope="module")
def figures():
    return every_figure()


def line(axis, label):
    (found,) = [one for one in axis.get_lines() if one.get_label() == label]
    return found


# --- every figure


def test_no_figure_stays_open_in_pyplot(figures):
    assert plt.get_fignums() == []


def test_every_figure_has_an_alternative_text(figures):
    for name, figure in figures.items():
        assert len(plots.alt_text(figure)) > 10, name
        assert "nan" not in plots.alt_text(figure), name


@pytest.mark.filterwarnings("error")
def test_nothing_is_cut_off(figures):
    for name, figure in figures.items():
        plots.render(figure)
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(box.x0, box.y0) >= -0.01, name
        assert box.x1 <= width + 0.01 and box.y1 <= height + 0.01, name


def test_a_notebook_shows_a_figure_once_with_its_alternative_text(figures):
    data, metadata = DisplayFormatter().format(figures["bars"])
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"] == "importance: learning rate 0.6; momentum 0.1."


def test_a_notebook_embeds_a_small_png_that_looks_the_same(figures):
    whole = plots.render(figures["bars"])
    small = plots.in_palette(whole)
    assert len(small) < len(whole) / 2
    before, after = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int) for png in (whole, small))
    assert np.abs(after - before).max() < 24
    assert after[0, 0].tolist() == [255, 255, 255]


def test_a_png_of_very_many_colours_stays_as_it_is():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png")
    assert plots.in_palette(buffer.getvalue()) == buffer.getvalue()


def test_notebooks_may_embed_svg(figures):
    try:
        plots.use_style("svg")
        data, metadata = DisplayFormatter().format(figures["bars"])
        shown, _ = DisplayFormatter().format(plots.bars({"a": 1}, "points"))
    finally:
        plots.use_style()
    drawn = data["image/svg+xml"]
    assert "<svg" in drawn
    assert metadata["image/svg+xml"]["alt"]
    assert len(drawn) < len(plots.render(figures["bars"], "svg")) * 0.7
    names, used = (set(re.findall(p, drawn)) for p in (r' id="([^"]+)"', r'(?:href="|url\()#([^")]+)'))
    assert names and used - names <= {"DejaVuSans-3"}  # the space: nothing to draw
    other = re.findall(r' id="([^"]+)"', shown["image/svg+xml"])
    assert other and not names & set(other)  # a page may hold both


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files_are_the_same_each_time(suffix, tmp_path):
    first, second = (
        plots.save(plots.bars({"a": 1, "b": 2}, "points"), tmp_path / f"{n}.{suffix}") for n in (1, 2)
    )
    assert first.read_bytes() == second.read_bytes()


def test_files_carry_the_alternative_text(tmp_path):
    figure = plots.bars({"a": 1}, "points")
    picture = Image.open(io.BytesIO(plots.render(figure)))
    assert picture.text["Description"] == figure.alt
    tree = ElementTree.parse(plots.save(figure, tmp_path / "bars.svg"))
    assert any(element.text == figure.alt for element in tree.iter())


def test_classes_and_lines_differ_in_colour_and_in_grey():
    assert len(set(plots.CLASS_COLORS)) == len(CLASSES)
    assert plots.class_colors(8)[6:] == list(plots.CLASS_COLORS[:2])
    styles = [plots.line_style(position) for position in range(7)]
    assert len({style["color"] for style in styles}) == len({style["marker"] for style in styles}) == 7
    for a, b in zip(styles, styles[1:], strict=False):
        assert (a["marker"], a["linestyle"]) != (b["marker"], b["linestyle"])


# --- training


def test_curves_draw_train_and_holdout():
    table = history()
    loss, accuracy = plots.curves(table).axes
    assert line(loss, "train").get_ydata() == pytest.approx(table["loss"])
    assert line(loss, "hold-out").get_ydata() == pytest.approx(table["holdout_loss"])
    assert line(accuracy, "hold-out").get_ydata() == pytest.approx(table["holdout_accuracy"])
    assert line(accuracy, "train").get_xdata().tolist() == table["epoch"].tolist()
    assert line(accuracy, "train").get_linestyle() != line(accuracy, "hold-out").get_linestyle()


def test_curves_leave_out_what_a_history_lacks():
    ensemble = history()[["epoch", "holdout_accuracy", "seconds"]]
    loss, accuracy = plots.curves({"ensemble": ensemble}).axes
    assert not loss.get_lines()
    assert [one.get_label() for one in accuracy.get_lines()] == ["ensemble, hold-out"]


def test_lines_start_at_one_and_draw_the_level():
    axis = plots.lines({"a": [0.1, 0.5]}, level=("goal", 0.94)).axes[0]
    assert line(axis, "a").get_xdata().tolist() == [1, 2]
    assert set(line(axis, "goal").get_ydata()) == {0.94}


def test_schedule_draws_the_rate_of_every_epoch():
    rates = [0.001 * 0.5 ** (t > 10) for t in range(1, 21)]
    axis = plots.schedule({"MultiStepLR": rates}).axes[0]
    drawn = line(axis, "MultiStepLR")
    assert drawn.get_xdata().tolist() == list(range(1, 21))
    assert drawn.get_ydata() == pytest.approx(rates)


def test_the_cliff_crosses_diverged_runs_at_their_step():
    above, below = plots.learning_rate_sweep(sweep().sample(frac=1, random_state=0), 0.007).axes
    assert line(above, "finished").get_xdata().tolist() == [0.0001, 0.001, 0.005]
    assert line(above, "finished").get_ydata().tolist() == [1.5, 1.2, 1.0]
    crosses = line(below, "diverged")
    assert (crosses.get_xdata().tolist(), crosses.get_ydata().tolist()) == ([0.01, 0.1], [80, 12])
    assert crosses.get_marker() == "X"
    assert set(line(above, "report: 0.007").get_xdata()) == {0.007}


def test_the_cliff_without_a_diverged_run():
    calm = sweep().assign(loss=1.0, diverged_step=None)
    above, below = plots.learning_rate_sweep(calm).axes
    assert len(line(above, "finished").get_xdata()) == len(calm)
    assert len(line(below, "diverged").get_xdata()) == 0


def test_patience_has_one_line_a_number_of_epochs():
    table = depths()
    axis = plots.accuracy_vs_depth(table).axes[0]
    labels = [one.get_label() for one in axis.get_lines()]
    assert labels == ["3 epochs", "3 epochs, no shortcuts", "9 epochs", "9 epochs, no shortcuts"]
    expected = table[(table["epochs"] == 9) & table["shortcuts"]].sort_values("depth")["holdout_accuracy"]
    assert line(axis, "9 epochs").get_ydata() == pytest.approx(expected)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["18", "50", "152"]


def test_training_price_accumulates_seconds_and_keeps_the_best():
    price = plots.training_price(pd.DataFrame({"seconds": [2, 3, 4], "holdout_accuracy": [0.5, 0.7, 0.6]}))
    assert price["seconds"].tolist() == [2, 5, 9]
    assert price["accuracy"].tolist() == [0.5, 0.7, 0.7]


def test_the_price_of_a_point_ends_in_diamonds():
    axis = plots.accuracy_vs_time({"LeNet": history(10)}, {"LeNet": 0.75}, {"LeNet": 0.7945}).axes[0]
    (diamond,) = [one for one in axis.get_lines() if one.get_marker() == "D"]
    assert (diamond.get_xdata()[0], diamond.get_ydata()[0]) == (20, 0.75)
    assert any(set(one.get_ydata()) == {0.7945} for one in axis.get_lines())


def test_labels_are_spread_out_in_their_order():
    placed = plots.spread_out([0.9, 0.5, 0.51, 0.505], 0.1)
    assert placed == pytest.approx([0.9, 0.405, 0.605, 0.505])
    assert plots.spread_out([], 0.1) == []


def test_seeds_and_their_mean():
    axis = plots.seeds({"a": [0.8, 0.82]}).axes[0]
    points = [one for one in axis.get_lines() if one.get_marker() == "o"]
    assert points[0].get_xdata().tolist() == [0.8, 0.82]
    assert axis.containers[0].lines[0].get_xdata()[0] == pytest.approx(0.81)


# --- results


def test_confusion_matrix_shows_counts_and_shares():
    matrix = np.array([[8, 2], [5, 15]])
    counts, shares = plots.confusion_matrix(matrix, ["sea", "street"]).axes
    assert [text.get_text() for text in counts.texts] == ["8", "2", "5", "15"]
    assert [text.get_text() for text in shares.texts] == ["80.0", "20.0", "25.0", "75.0"]
    assert [label.get_text() for label in counts.get_yticklabels()] == ["sea", "street"]
    assert plots.row_shares([[0, 0], [1, 3]]).tolist() == [[0, 0], [0.25, 0.75]]


def test_per_class_bars_have_class_colours_and_intervals():
    logits, labels = simulated(1.5)
    table = evaluation.per_class(labels, logits, CLASSES)
    axis = plots.per_class_bars(table, FACTS["results"]["lenet"]["per_class"]).axes[0]
    ours, report = (one for one in axis.containers if hasattr(one, "patches"))
    assert [bar.get_height() for bar in ours] == pytest.approx(table["recall"].tolist())
    assert [bar.get_facecolor()[:3] for bar in ours] == [to_rgb(color) for color in plots.CLASS_COLORS]
    assert [bar.get_height() for bar in report] == FACTS["results"]["lenet"]["per_class"]
    ends = ours.errorbar.lines[2][0].get_segments()
    assert [end[1][1] for end in ends] == pytest.approx(table["high"].tolist())


def test_reliability_diagram_draws_filled_bins():
    logits, labels = simulated(1.5)
    table = evaluation.reliability(logits, labels)
    above, below = plots.reliability_diagram(table).axes
    filled = table[table["count"] > 0]
    assert line(above, "model").get_ydata() == pytest.approx(filled["accuracy"])
    assert below.patches[0].get_data().values.sum() == pytest.approx(1)


def test_ladder_has_both_readings_and_steps_in_images():
    table = plots.ladder_table({"lenet": (2700, 3407), "custom_lenet": (2600, 3407)}, FACTS, {})
    assert table["model"].tolist() == list(FACTS["results"])
    assert table["report"].round(4).tolist() == [r["accuracy"] for r in FACTS["results"].values()]
    assert table["step"].iloc[1] == -100
    assert table["step"].isna().sum() == 6
    assert table["report_step"].sum() == table["report_correct"].iloc[-1] - table["report_correct"].iloc[0]
    assert (table["low"][0], table["high"][0]) == intervals.wilson_interval(2700, 3407)
    axis = plots.ladder(table).axes[0]
    report, ours = axis.containers
    assert report.lines[0].get_xdata() == pytest.approx(table["report"])
    assert ours.lines[0].get_xdata()[:2] == pytest.approx([2700 / 3407, 2600 / 3407])
    assert "−100" in [text.get_text() for text in axis.texts]


def test_ladder_without_a_run_of_ours():
    table = plots.ladder_table({}, FACTS, {})
    assert "nan" not in plots.ladder(table).alt


def test_mixups_trade_draws_gains_losses_and_the_report():
    reported = plots.report_changes(FACTS, "resnet18", "resnet18_mixup")
    assert sum(reported) == round((0.8835 - 0.8576) * 3407)
    changes = pd.DataFrame({"class": CLASSES, "gained": range(6), "lost": range(3, 9), "net": [-3] * 6})
    axis = plots.class_changes(changes, reported).axes[0]
    gained, lost = axis.containers
    assert [bar.get_width() for bar in gained] == list(range(6))
    assert [bar.get_width() for bar in lost] == [-n for n in range(3, 9)]
    assert line(axis, "report, net").get_xdata().tolist() == reported
    assert line(axis, "ours, net").get_xdata().tolist() == [-3] * 6


def test_confused_pairs_are_marked_for_every_model():
    first = np.diag([10] * 6) + 0
    first[2, 3], first[3, 2], first[0, 5] = 30, 10, 7
    table = evaluation.confused_by({"plain": first, "Mixup": first // 2}, CLASSES, n=2)
    assert table.index.tolist() == [f"{CLASSES[2]}, {CLASSES[3]}", f"{CLASSES[0]}, {CLASSES[5]}"]
    assert table["plain"].tolist() == [40, 7] and table["Mixup"].tolist() == [20, 3]
    axis = plots.confused(table).axes[0]
    assert line(axis, "plain").get_xdata().tolist() == [40, 7]
    assert line(axis, "Mixup").get_xdata().tolist() == [20, 3]


def test_cost_draws_both_prices_on_logarithmic_axes():
    left, right = plots.cost(costs()).axes
    assert left.get_xscale() == right.get_xscale() == "log"
    assert [each[0].get_xdata().tolist() for each in left.containers] == [[200], [90000]]
    assert [each[0].get_xdata().tolist() for each in right.containers] == [[0.4], [90]]


def test_wall_is_sorted_by_how_many_models_succeed():
    right = {"weak": [True, False, False, True], "strong": [True, True, False, True]}
    table, solved = plots.wall_table(right)
    assert solved.tolist() == [0, 1, 2, 2]
    assert table.index.tolist() == ["strong", "weak"]
    assert table.columns.tolist() == [2, 1, 0, 3]
    drawn = plots.wall(right).axes[0].images[0].get_array()
    assert drawn.tolist() == table.to_numpy().tolist()


def test_wall_shows_images_that_no_model_gets():
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 2, 2), dtype=np.uint8)
    figure = plots.wall({"a": [True, False, True, False]}, images, ["sea", "street", "sea", "forests"])
    shown = [axis for axis in figure.axes if axis.get_title() and axis.images]
    assert [axis.get_title() for axis in shown] == ["street", "forests"]
    assert [int(axis.images[0].get_array().max()) for axis in shown] == [1, 3]


# --- images


def test_filters_are_grey_at_zero_and_use_their_own_scale():
    scaled = plots.scaled_filters(np.array([[[[0.0, 1.0]]], [[[-4.0, 2.0]]], [[[0.0, 0.0]]]]))
    assert scaled[:, 0, 0].tolist() == [[0.5, 1.0], [0.0, 0.75], [0.5, 0.5]]


def test_heat_maps_lie_over_the_whole_image():
    images, maps = np.zeros((2, 3, 64, 64), dtype=np.uint8), np.zeros((2, 4, 4))
    maps[0, 1, 2], maps[1] = 5, -1
    figure = plots.heatmaps(images, {"CAM": maps})
    overlay = figure.axes[2].images[1]
    assert overlay.get_extent() == [-0.5, 63.5, 63.5, -0.5]
    assert overlay.get_array().max() == 1
    assert figure.axes[3].images[1].get_array().max() == 0


def test_grid_has_a_title_an_image():
    figure = plots.image_grid(np.zeros((5, 3, 4, 4), dtype=np.uint8), list("abcde"), 3)
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c", "d", "e", ""]


def test_soft_labels_are_the_targets():
    targets = np.array([[0.7, 0.3, 0], [0, 0, 1]])
    figure = plots.soft_labels(np.zeros((2, 3, 8, 8), np.uint8), targets, ["sea", "street", "forests"])
    below = figure.axes[2:]
    np.testing.assert_allclose([[bar.get_width() for bar in axis.patches] for axis in below], targets)
    assert [text.get_text() for text in below[0].texts] == ["70%", "30%", ""]
    assert plots.alt_text(figure) == "Images and their targets: sea 70%, street 30%; forests 100%"


def test_walk_between_images():
    walk = np.stack([np.linspace(0, 1, 11), np.linspace(0.8, 0, 11), np.linspace(0.2, 0, 11)], axis=1)
    figure = plots.between({"Mixup": walk})
    for axis, column in zip(figure.axes, (0, 2), strict=True):
        np.testing.assert_allclose(line(axis, "Mixup").get_ydata(), walk[:, column])
    assert "Mixup 10.0%" in plots.alt_text(figure)
