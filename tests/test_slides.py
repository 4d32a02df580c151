"""The report: every slide against records made by hand, in both languages, whole, in part and without any."""

import dataclasses
import json
import re
import shutil
from string import Formatter

import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from scene_utils import catalogue, data, experiments, plots, results
from scene_utils.report import pages, series, slides
from scene_utils.report.slides import Report, Table
from scene_utils.support import settings
from scene_utils.support.settings import SceneError
from scene_utils.text.slide_texts import TEXTS

AFTER = [name for name in slides.SECTIONS if name not in ("opening", "summary")]
PAGE = ["opening", "summary", *slides.SLIDES, *AFTER]
NAMES = [*slides.SEVEN, *catalogue.MEMBERS, *slides.RATES, *slides.DEPTHS, *slides.PLAIN, *slides.SCHEDULES]
NAMES += ["alexnet-two-fc", "lenet-reported", *slides.BEYOND]
# How many of 100 images each model has right, how long it trained; what is not named has 60 and 10 seconds.
RIGHT = {"lenet": 70, "custom_lenet": 40, "resnet18": 60, "resnet18_mixup": 62, "resnet18_transfer": 90, "ensemble": 97}
SECONDS = {"lenet": 5.0, "resnet18_transfer": 40.0, "ensemble": 900.0}


def answers(labels, percent, shift):
    """Logits of which ``percent`` of 100 are right; wrong ones name the next class."""
    wrong = (np.arange(len(labels)) * 37 + shift) % 100 >= percent
    predicted = (labels + wrong) % 6
    return (4 * np.eye(6)[predicted]).astype(np.float16)


def write(name, seed=0, percent=None, diverged=False, **changes):
    """Write a record of the profile sample with made-up answers."""
    experiment = catalogue.get(name)
    train, holdout, dataset = experiments.sets("sample", experiment.drop_test_duplicates)
    percent = RIGHT.get(name, 60) if percent is None else percent
    arrays = {}
    for kind, split in (("holdout", holdout), ("test", dataset.test)):
        labels = split.labels.numpy()
        if not (diverged or (kind == "test" and experiment.selection_only)):
            arrays |= {f"{kind}_labels": labels, f"{kind}_logits": answers(labels, percent, 0)}
            arrays[f"{kind}_logits_mirror"] = answers(labels, percent + 1, 0)
    arrays["holdout_curve"] = np.stack([answers(holdout.labels.numpy(), p, 0) for p in (20, percent)])
    history = [
        {"epoch": epoch, "loss": 2 / epoch, "accuracy": 0.3 * epoch, "holdout_loss": 1.9 / epoch,
         "holdout_accuracy": 0.3 * epoch, "learning_rate": 0.01, "seconds": SECONDS.get(name, 10.0) / 2}
        for epoch in (1, 2)
    ]  # fmt: skip
    task = experiments.Task(experiment, "sample", seed, None, None, train, holdout, dataset)
    pretrained = experiment.depth or experiment.members
    record = experiments.make_record(
        task, arrays, history, key=name, status="diverged" if diverged else "finished",
        diverged_step=7 if diverged else None, seconds=SECONDS.get(name, 10.0), parameters=1000 * len(name),
        device="cpu", processor="one for all", precision="float32",
        recipe=dataclasses.asdict(experiment.recipe("sample", seed)),
        weights="stand-in; stand-in" if pretrained else None, weights_choice="rotation" if pretrained else None,
    )  # fmt: skip
    results.write(record | changes, arrays)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """Neither own nor published runs."""
    monkeypatch.setenv("SCENE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(settings, "published_dir", lambda: tmp_path / "published")
    yield tmp_path
    plots.use_style()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One run of every experiment that a slide needs; rates from 0.04 up diverge."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCENE_RUNS_DIR", str(tmp_path_factory.mktemp("made")))
        for name in NAMES:
            write(name, diverged=name in slides.RATES and float(name.rsplit("-", 1)[1]) >= 0.04)
        return settings.results_dir()


@pytest.fixture
def full(empty, made):
    """The runs of ``made``, to be changed at will."""
    shutil.copytree(made, settings.results_dir())
    return empty


def page(what, report):
    return slides.slide(what, report) if isinstance(what, int) else slides.SECTIONS[what](report)


def everything(report):
    return [shown for what in PAGE for shown in page(what, report)]


def words(shown):
    """What is to be read, without figures."""
    texts = [s.frame.to_csv(index=False) if isinstance(s, Table) else s.data for s in shown if not is_figure(s)]
    return "\n".join(texts)


def is_figure(shown):
    return isinstance(shown, Figure)


def figure(what, report, number=0):
    return [shown for shown in page(what, report) if is_figure(shown)][number]


def numbers(text):
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", text))


# --- words


def test_languages_have_the_same_texts_places_and_digits():
    english, korean = TEXTS["en"], TEXTS["ko"]
    assert english.keys() == korean.keys()
    for key, text in english.items():
        places = [sorted(name for _, name, _, _ in Formatter().parse(t) if name) for t in (text, korean[key])]
        assert places[0] == places[1], key
        assert numbers(text) == numbers(korean[key]), key


def test_unknown_language_and_seed_are_refused(empty):
    with pytest.raises(SceneError, match="language 'fr' is unknown"):
        Report("sample", language="fr")
    with pytest.raises(SceneError, match="seed -1"):
        Report("sample", seed=-1)


def test_both_languages_have_the_same_numbers_and_figures(full, monkeypatch):
    monkeypatch.setattr(plots.seaborn, "heatmap", lambda values, **options: None)  # as long as all else together
    english, korean = Report("sample"), Report("sample", language="ko")
    read = ""
    for what in PAGE:
        first, second = page(what, english), page(what, korean)
        assert numbers(words(first)) == numbers(words(second)), what
        read += words(second)
        drawn = [[plots.alt_text(shown) for shown in side if is_figure(shown)] for side in (first, second)]
        assert drawn[0] == drawn[1]
    assert "구분할 수 없음" in read


# --- whole, in part, nothing


def test_each_slide_has_its_number_and_nothing_is_missing(full):
    report = Report("sample")
    for number in slides.SLIDES:
        shown = slides.slide(number, report)
        assert shown[0].data == f"## {number}. {TEXTS['en'][f'slide.{number}']}"
        assert len(shown) > 1
        assert "scene_utils train" not in words(shown)  # no command is left to call
    assert slides.missing_table(report)["#"].tolist() == [21]  # the search has not run
    assert "make report PROFILE=sample" in words(slides.slide(21, report))
    assert "21,Questions,tuning" in words(slides.missing_slides(report))


def test_without_runs_each_slide_says_so_with_one_command(empty):
    report = Report("sample", seed=3)
    assert set(slides.missing_table(report)["#"]) == {n for n, slide in slides.SLIDES.items() if slide.needs}
    for number, slide in slides.SLIDES.items():
        text = words(slides.slide(number, report))
        commands = re.findall(r"^python -m scene_utils train (.+) --profile sample --seed 3$", text, re.M)
        assert len(commands) == bool(slide.needs), number
        assert not slide.needs or "Not run yet" in text
        for name in " ".join(commands).split():
            catalogue.get(name)
    assert slides.summary_table(report)["verdict"].tolist() == ["not run"] * 7
    everything(report)


def test_what_runs_in_part_shows_it_and_names_the_rest(empty):
    write("lenet-rate-0.01")
    text = words(slides.slide(3, Report("sample")))
    assert "0.01,1.000" in text and "In part not run yet" in text
    assert "lenet-rate-0.02" in text and "train lenet-rate-0.01 " not in text


def test_runs_on_other_images_are_passed_over(empty):
    write("lenet", dataset={"source": "own images", "commit": None, "key": "other", "counts": {}})
    assert Report("sample").done("lenet") == []


def test_a_model_that_diverged_has_no_numbers(empty):
    write("lenet", diverged=True)
    report = Report("sample")
    assert "infinite at step 7" in words(slides.slide(5, report))
    assert slides.summary_table(report)["verdict"][0] == "not run"
    everything(report)


# --- slides against the records


def test_data(full):
    report = Report("sample")
    table = slides.class_counts(report)
    assert table["report: train"].tolist() == [f"{n:,}" for n in report.facts["dataset"]["train_counts"]]
    assert table["test"].tolist() == ["16"] * 6
    text = words(slides.slide(1, report))
    assert f"!git clone {data.URL}" in text and "%cd Scene-Classification-Dataset-Split" in text
    assert "folder `val`: 1." in text


def test_cliff(full):
    report = Report("sample")
    table = slides.sweep_table(report)
    assert table["learning_rate"].tolist() == list(catalogue.LEARNING_RATES)
    assert table["diverged_step"].notna().tolist() == [rate >= 0.04 for rate in catalogue.LEARNING_RATES]
    above, below = figure(3, report).axes
    finished, crosses, line = above.lines
    assert finished.get_xdata().tolist() == [rate for rate in catalogue.LEARNING_RATES if rate < 0.04]
    assert crosses.get_xdata().tolist() == [rate for rate in catalogue.LEARNING_RATES if rate >= 0.04]
    assert set(line.get_xdata()) == {0.007} and set(below.lines[0].get_ydata()) == {7}
    assert "later: the highest rate that finishes is 0.02" in words(slides.slide(3, report))


@pytest.mark.parametrize("number, name", list(zip((5, 9, 12, 14, 15, 16, 20), slides.SEVEN, strict=True)))
def test_confusion_slides(full, number, name):
    report = Report("sample")
    run, text = report.run(name), words(slides.slide(number, report))
    assert f"{run.correct} of {run.total} test images right" in text
    table = slides.per_class(report, run)
    assert table["report"].tolist() == [f"{r:.4f}" for r in report.facts["results"][name]["per_class"]]
    assert table["ours"].tolist() == [f"{r:.4f}" for r in run.per_class]
    assert f"{name}: profile sample, seed 0" in text.replace("resnet18, ", "").replace("lenet, custom", "custom")
    drawn = [text.get_text() for text in figure(number, report).axes[0].texts]
    assert drawn == [str(n) for n in run.confusion.flatten()]


def test_differences_are_told_in_images_and_beside_the_claim(full):
    report = Report("sample")
    text, breaks = words(slides.slide(9, report)), report.run("lenet").correct - report.run("custom_lenet").correct
    assert f"fixes 0, breaks {breaks} of 96 images: −{breaks / 0.96:.1f} points" in text
    assert "The report finds −4.0 points" in text and "the claim survives" in text


def test_depth_is_patience(full):
    lines = figure(13, Report("sample")).axes[0].lines
    labels = [f"{epochs}{plain}" for epochs in ("1 epoch", "2 epochs") for plain in ("", ", no shortcuts")]
    assert [line.get_label() for line in lines] == labels
    assert lines[2].get_ydata().tolist() == [0.6] * 5 and lines[0].get_ydata().tolist() == [0.3] * 5


def test_trade_of_mixup(full):
    report = Report("sample")
    axis = figure(15, report, 1).axes[0]
    runs = report.done("resnet18", "resnet18_mixup")
    right = [run.logits.argmax(1) == run.labels for run in runs]
    gained = [int((~right[0] & right[1] & (runs[0].labels == label)).sum()) for label in range(6)]
    assert [bar.get_width() for bar in axis.containers[0]] == gained and sum(gained) == 2


def test_final_model(full):
    report = Report("sample")
    text = words(slides.slide(17, report))
    assert text.count("ResNet50 + transferred + Mixup") == 2 and "stand-in\n" in text  # said once, not twice
    lines = figure(19, report).axes[0].lines
    assert [line.get_label() for line in lines] == ["ResNet50", "ResNet101", "ResNet152", "ensemble (final)", "94%"]
    assert "the goal of 94% lies inside" in words(slides.slide(20, report))


def test_conditions_are_the_reports_and_ours(full):
    report = Report("sample")
    table = slides.conditions_table(report).set_index("condition")
    assert table.loc["epochs"].tolist() == ["50", "2"] and table.loc["learning rate", "report"] == "0.001"
    assert table.loc["milestones"].tolist() == ["10, 20, 30, 40", "–"]
    assert table.loc["batch size", "report"].endswith("(assumed)")
    multistep, literal = figure(18, report).axes[0].lines
    assert multistep.get_ydata()[-1] == pytest.approx(0.001 / 16) and literal.get_ydata()[-1] < 1e-30
    assert "<sub>" in words(slides.slide(18, report)) and "$" not in words(slides.slide(18, report))


THREE = [(80, "earns its keep"), (40, "costs weights, and accuracy"), (60, "nothing shows")]


@pytest.mark.parametrize("percent, told", THREE)
def test_second_layer_has_three_answers(full, percent, told):
    write("alexnet-two-fc", percent=percent)
    assert told in words(slides.slide(21, Report("sample")))


def test_schedules_are_judged_on_the_hold_out_and_over_seeds(full):
    write("schedule-cosine", percent=100)
    write("schedule-constant", percent=10)
    text = words(slides.slide(21, Report("sample")))
    assert "cosine has 1.0000. Told apart from it: constant, " in text and "Over 2 seeds" not in text
    for name in slides.SCHEDULES:
        write(name, seed=1, percent=50)
    assert "Over 2 seeds the schedule cosine has the highest mean" in words(slides.slide(21, Report("sample")))


def test_tuning_study(full, monkeypatch):
    rows = [("study", i, rate, 128, 0.9, 0.0, 0.0, 0, 0.3 + 10 * rate, 1.0, "k")
            for i, rate in enumerate([0.001, 0.004, 0.016, 0.064] * 4, 1)]  # fmt: skip
    table = pd.DataFrame(rows, columns=slides.tuning.COLUMNS)
    searches = {slides.MOST: 0.8, slides.LEAST: 0.5, f"{slides.MOST}, again": 0.7, f"{slides.LEAST}, again": 0.4}
    more = [table.head(3).assign(search=name, accuracy=[a, a - 0.01, a + 0.01]) for name, a in searches.items()]
    monkeypatch.setattr(slides.tuning, "trials", lambda *arguments: pd.concat([table, *more]))
    report = Report("sample")
    text = words(slides.slide(21, report))
    assert "In 16 trials" in text and "learning rate" in text and slides.missing_table(report).empty
    assert "study,16,0.9400," in text and f"{slides.MOST},3,0.8100,0.7000" in text
    assert "So I start with what matters most: learning rate" in text
    assert "1 epochs of 96 training images, 4 trainings, 4 s" in text  # each once, whoever asked for it
    assert numbers(text) == numbers(words(slides.slide(21, Report("sample", language="ko"))))
    monkeypatch.setattr(slides.tuning, "trials", lambda *arguments: pd.concat([table.head(15), *more]))
    assert "tuning" in slides.missing_table(report).to_string()  # a study that was stopped is not shown


# --- sections


def test_summary_is_the_ladder(full):
    report = Report("sample")
    table = slides.summary_table(report)
    assert table["ours"].tolist() == [f"{report.run(name).accuracy:.4f}" for name in slides.SEVEN]
    assert table["report"].tolist() == [f"{report.facts['results'][name]['accuracy']:.4f}" for name in slides.SEVEN]
    assert table["verdict"].tolist() == ["lower"] * 5 + ["not to be told apart"] * 2
    assert [slides.against(report, name) for name in ("resnet18_transfer", "ensemble")] == ["same", "same"]
    _, ours = [shown for shown in figure("summary", report).axes[0].containers]
    assert ours[0].get_xdata().tolist() == [report.run(name).accuracy for name in slides.SEVEN]
    assert len(slides.summary_sentences(report)) == 3
    assert "more accurate than the report's in 0, less accurate in 5, not to be told apart in 2; not run: 0" in words(
        page("summary", report)
    )


def test_wall_counts_what_none_gets(full):
    report = Report("sample")
    right = np.array([run.logits.argmax(1) == run.labels for run in report.done(*slides.SEVEN)])
    none, everyone = int((~right).all(0).sum()), int(right.all(0).sum())
    told = f"{none} of 96 test images are right in none of the 7 models, {everyone} in all"
    assert told in words(page("wall", report))
    shown = figure("wall", report)
    assert none == 3 and shown.photos
    pictures = [axis for part in shown.subfigs[1:] for axis in part.axes if axis.images]
    assert len(pictures) == none
    hard = report.sets[2].test.images[np.flatnonzero((~right).all(0))[0]]
    assert np.array_equal(pictures[0].images[0].get_array(), np.moveaxis(hard.numpy(), 0, -1))


def test_claims_have_three_verdicts(full):
    report = Report("sample")
    table = slides.claims_table(report).set_index("claim")
    verdicts = table["verdict"].tolist()
    assert verdicts == ["opposite", "survives", "open", "survives", "open", "open", "open"]
    mixup = table.loc["ResNet18 + Mixup is more accurate than ResNet18"]
    assert mixup["report"] == "+0.0259" and mixup["firm"]
    assert not table.iloc[-1]["firm"]  # 0.9431 with its own interval does not settle 94 %
    write("custom_lenet", percent=95)
    write("ensemble", percent=100)
    verdicts = slides.claims_table(Report("sample"))["verdict"].tolist()
    assert verdicts[1] == "opposite" and verdicts[-1] == "survives"


def test_claims_about_depth_follow_the_slope(full):
    for name, percent in zip(slides.DEPTHS, (95, 80, 60, 40, 20), strict=True):
        write(name, percent=percent)
    verdicts = slides.claims_table(Report("sample"))["verdict"].tolist()
    assert verdicts[4:6] == ["survives", "opposite"]  # worse at the end, and ever more so


def test_choice(full):
    report = Report("sample")
    table = slides.advice_table(report).set_index("what matters")["model"]
    assert table["the highest accuracy"] == "ensemble (final)"
    assert table["no pretrained weights that fit my images"] == table["an answer soon"] == "LeNet"
    assert table["little memory, a small device"] == "LeNet"
    assert table["as good, and cheaper to train"] in ("ensemble (final)", "ResNet18 + transferred")
    diamonds = [line for line in figure("choice", report).axes[0].lines if line.get_marker() == "D"]
    tested = [(run.seconds, run.accuracy) for run in report.done(*slides.SEVEN)]
    assert {(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds} >= set(tested)
    assert "The price of a point: from LeNet to ensemble (final) it takes 895 s more" in words(page("choice", report))


def test_seconds_of_two_processors_are_not_compared(full):
    write("lenet", processor="another")
    report = Report("sample")
    assert not {"an answer soon", "as good, and cheaper to train"} & set(slides.advice_table(report)["what matters"])
    assert "The price of a point" not in words(page("choice", report))


def test_other_readings_stand_in_one_table(full):
    write("lenet", seed=1, percent=65)
    table = slides.readings_table(Report("sample"))
    lenet = table[table["experiment"] == "lenet"]
    assert lenet["reading"].tolist() == ["averaged with the mirror image", "as it is", "averaged with the mirror image"]
    assert lenet["seed"].tolist() == [0, 1, 1]
    assert set(table["experiment"]) == {*slides.SEVEN, *catalogue.MEMBERS, "lenet-reported"}
    assert len(page("runs", Report("sample"))[2].frame) == len(NAMES) + 1


def test_provenance_is_one_line_for_runs_alike(full):
    report = Report("sample")
    runs = report.done(*slides.DEPTHS)
    text = slides.provenance(report, runs).data
    assert text.startswith("<small>depth-18 to depth-152 (5 runs): profile sample, seed 0, 2 epochs, from scratch")
    assert "50 s on cpu in float32" in text
    assert f"torch {runs[0].versions['torch']}" in text and runs[0].date[:10] in text


def test_benchmark_where_it_has_been_measured(empty, monkeypatch):
    monkeypatch.setattr(settings, "project_dir", lambda: empty)
    report = Report("sample")
    assert page("bench", report) == []
    sides = {"ours": 200.0, "usual": 100.0}
    row = {"model": "resnet18", "images_per_second": sides, "ratio": 2.0, "peak_gb": sides, "share_of_matrix_rate": 0.5}
    row |= {"first_batch_seconds": 1.25, "shares_of_time": {"arithmetic": 0.8}}
    row |= {"share_of_matrix_rate_in_arithmetic": 0.625}
    measured = {"machine": {"name": "a processor"}, "repeats": 3, "date": "2026-01-02", "models": [row]}
    (empty / "report").mkdir()
    (empty / "report" / "bench.json").write_text(json.dumps(measured))
    assert "ResNet18,100,200,2.00,100.0 / 200.0,1.2,50%,80%,62%" in words(page("bench", report))
    row |= {"careful_ratio": 1.6, "losses": {"ours": 1.2, "careful": 1.21, "usual": 1.19}}
    row["images_per_second"] = sides | {"careful": 125.0}
    measured |= {"decoding_seconds": 12.34, "same_steps": 20}
    (empty / "report" / "bench.json").write_text(json.dumps(measured))
    told = words(page("bench", report))
    assert "ResNet18,100,125,200,2.00,1.60," in told
    assert "same 20 steps" in told and "at most 0.020" in told and "in 12.3 s" in told


# --- other images, no images


def test_own_images_leave_the_comparison_out(empty, monkeypatch):
    for split, count in (("train", 12), ("val", 3)):
        for number, name in enumerate(("bicycle", "bus", "tram")):
            folder = empty / "own" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng([number, i, count]).integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    monkeypatch.setenv("SCENE_DATA_DIR", str(empty / "own"))
    monkeypatch.setenv("SCENE_CACHE_DIR", str(empty / "cache"))
    report = Report("short")
    assert not report.compared and report.classes == ["bicycle", "bus", "tram"]
    shown = everything(report)
    columns = {str(column) for each in shown if isinstance(each, Table) for column in each.frame.columns}
    assert not [column for column in columns if "report" in column] and "0.9431" not in words(shown)
    assert str(empty) not in words(shown)


def test_published_records_are_told_without_the_images(empty, monkeypatch):
    write("lenet", dataset={"source": data.URL, "commit": data.COMMIT, "key": data.COMMIT, "counts": {}})
    source = settings.results_dir() / "lenet.sample.s0"
    (empty / "published").mkdir()
    for suffix in (".json", ".npz"):
        text = source.with_suffix(f".s0{suffix}").read_bytes()
        text = text.replace(b'"profile": "sample"', b'"profile": "short"') if suffix == ".json" else text
        (empty / "published" / f"lenet.short.s0{suffix}").write_bytes(text)

    def refuse(*arguments):
        raise SceneError("no network")

    monkeypatch.setattr(slides.experiments, "sets", refuse)
    report = Report("short")
    assert report.sets is None and [run.experiment for run in report.done(*slides.SEVEN)] == ["lenet"]
    assert "scene_utils fetch" in words(slides.slide(1, report))
    everything(report)


# --- pages


def executed(report):
    """The notebook as if it had been executed: one cell a slide or section."""
    cells = []
    for what in PAGE:
        cell = new_code_cell(f"slides.show({what!r}, report)")
        for shown in page(what, report):
            content, metadata = DisplayFormatter().format(shown)
            cell.outputs.append(new_output("display_data", content, metadata=metadata))
        cells.append(cell)
    return new_notebook(cells=cells)


def test_page_has_all_slides_and_no_request(full, monkeypatch):
    monkeypatch.setattr(settings, "project_dir", lambda: full)  # without a benchmark
    executed_path = full / "10_report.ipynb"
    nbformat.write(executed(Report("sample")), executed_path)
    assert executed_path.stat().st_size < 1_500_000
    html = pages.html_report(executed_path, full / "report.html").read_text(encoding="utf-8")
    assert len(html) < 4_000_000
    headings = re.findall(r'<h2[^>]* id="([\w-]+)">', html)
    assert headings[1:22] == [f"slide-{number}" for number in range(1, 22)]
    assert len(headings) == 1 + 21 + len(AFTER) - 1  # no benchmark here
    assert not re.search(r"<script|<link|<iframe|\bon\w+=\"|url\(|@import", html)
    assert not re.search(r"""(?:src|srcset)=["'](?!data:)""", html)
    alts = re.findall(r'<img[^>]* alt="([^"]*)"', html)
    assert len(alts) == html.count("<img") and all(len(alt) > 20 for alt in alts)
    markdown = pages.markdown_report(executed_path, full / "report.md").read_text(encoding="utf-8")
    assert "## 21. Questions" in markdown and "figures/5-lenet-confusion-matrix-1.svg" in markdown


def test_notebook_shows_every_slide_and_section_in_order():
    notebook = series.read_notebook(series.notebooks_dir() / f"{series.REPORT}.ipynb")
    source = "\n".join(cell.source for cell in notebook.cells)
    shown = re.findall(r'^slides\.show\("?(\w+)"?, report\)$', source, re.M)
    assert shown == ["opening", "summary", *map(str, slides.SLIDES), *AFTER]
    assert series.report_languages() == ["", ".ko"]
