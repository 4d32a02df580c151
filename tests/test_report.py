"""The report out of tagged cells: what is current, what is missing, both languages, the manifest, the texts."""

import ast
import re
from string import Formatter

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from scene_utils import cases, catalogue, data, experiments
from scene_utils import text as texts
from scene_utils.report import assemble, manifest, pages, series
from scene_utils.report.assemble import Edition
from scene_utils.support import settings, svg
from scene_utils.support.settings import SceneError
from scene_utils.text import join, say
from scene_utils.text.shown import MIME, Paragraph, Table
from tests.fakes import PROJECT, code, code_of, figure, notebook, record, shown, violations

SCENE = {"scene": {"profile": "sample", "seed": 0}}  # of a published notebook
SLIDES = {slide.id: slide for slide in manifest.slides()}


@pytest.fixture
def checkout(project, monkeypatch):
    """The small checkout, without published records."""
    monkeypatch.setattr(settings, "published_dir", lambda: project / "report" / "results")
    assemble._is_known.cache_clear()
    return project


def lesson(root, *cells, name="02_lenet", executed=False, metadata=None):
    place = series.executed("sample", 0, name).parent if executed is True else root / "notebooks"
    return notebook(place / f"{name}.ipynb", *cells, metadata=metadata)


def curve(text="a curve", **runs):
    """An executed cell of slide 4, whose output depends on the profile."""
    return code("curve()", "slide-4", assemble.UNCOMPARED, outputs=[shown(Paragraph([text]), **runs)])


def page(slide, language="en", seed=0):
    """What a slide shows as Markdown."""
    cells = assemble.page(SLIDES[slide], Edition("sample", seed), language)
    outputs = [o.data.get("text/markdown") or o.data.get("text/html") for c in cells for o in c.get("outputs", [])]
    text = [*(c.source for c in cells[:1]), *filter(None, outputs), *(c.source for c in cells[1:])]
    return "\n".join(part.strip() for part in text if part)


# --- what a slide shows


def test_a_slide_is_its_title_its_cells_and_its_small_print(checkout):
    record("lenet")
    cells = [curve(lenet="k"), "between", curve("two", lenet="k"), code("other()", "slide-5", outputs=[])]
    lesson(checkout, *cells)
    lesson(checkout, *cells, executed=True)
    text = page("4")
    assert text.startswith("## 4. LeNet: loss curve\na curve\ntwo\n<small>lenet: profile sample, seed 0, epochs: 2")
    assert "10 s on cpu in float32, 2026-01-02, torch 2, engine 1, images 063473e</small>" in text
    assert "other" not in text and "make report" not in text


def test_the_current_execution_then_the_committed_output_of_these_records_source_and_profile(checkout):
    record("lenet", key="new")
    lesson(checkout, curve("committed", lenet="old"), metadata=SCENE)
    assert "Not executed with these records yet" in page("4")
    assert "ONLY=02_lenet make report PROFILE=sample" in page("4")
    lesson(checkout, curve("committed", lenet="new"), metadata=SCENE)
    assert "committed" in page("4")
    lesson(checkout, curve("executed", lenet="new"), executed=True)
    assert "executed" in page("4") and "committed" not in page("4")
    lesson(checkout, code("changed()", "slide-4", assemble.UNCOMPARED))
    assert "Not executed" in page("4")
    lesson(checkout, curve("short's", lenet="new"), metadata={"scene": {"profile": "short", "seed": 0}})
    lesson(checkout, executed=True)
    assert "short's" not in page("4")


def test_what_depends_on_neither_data_nor_profile_is_shown_as_committed_in_all(checkout, monkeypatch):
    lesson(checkout, code("structure()", "slide-2", outputs=[shown(Paragraph(["a structure"]))]))
    assert page("2") == "## 2. LeNet: output dimensions\na structure"
    lesson(checkout, code("told()", "slide-4", outputs=[shown(Paragraph(["asked"]))]), curve(lenet="k"), metadata=SCENE)
    assert "asked" in page("4") and "a curve" not in page("4") and "Not run yet" in page("4")  # beside what waits
    lesson(checkout, code("structure()", "slide-2", outputs=[shown(Paragraph(["a structure"]))]))
    monkeypatch.setattr(Edition, "runs", {})
    monkeypatch.setenv("SCENE_DATA_DIR", str(checkout))
    assert "a structure" in page("2", seed=3)


def test_cells_before_the_one_that_failed_are_shown(checkout):
    record("lenet")
    failing = code("fails()", "slide-5")
    lesson(checkout, code("curve()", "slide-4", assemble.UNCOMPARED), failing)
    path = lesson(checkout, curve(lenet="k"), failing, executed=True)
    path.rename(path.with_suffix(".failed.ipynb"))
    assert "a curve" in page("4") and "Not executed" in page("5")
    failing.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    failing.execution_count = 4
    lesson(checkout, curve(lenet="k"), failing, executed=True).rename(path.with_suffix(".failed.ipynb"))
    assert "Not executed" in page("5") and "ename" not in page("5")


def test_what_has_not_run_is_named_with_one_command_and_listed(checkout):
    lesson(checkout)
    for slide in SLIDES.values():
        text = page(slide.id, seed=3)
        commands = re.findall(r"^python -m scene_utils train (.+) --profile sample --seed 3$", text, re.M)
        assert len(commands) == bool(slide.needs), slide.id
        for name in " ".join(commands).split():
            catalogue.get(name)
    assert "python -m scene_utils train ensemble --profile sample\n" in page("17")
    record("depth-18")
    assert say("part_not_run") in page("13") and "train depth-34 depth-50 " in page("13")
    needing = [slide for slide in SLIDES.values() if slide.numbered and slide.needs]
    assert f"{len(needing)} of 21 slides wait for a run" in page("missing")
    for name in {name for slide in needing for name in slide.needs}:
        record(name)
    assert "<td>21</td>" in page("missing") and "tuning" in page("missing")
    (checkout / "runs/results/tuning.sample.s0.csv").write_text("")
    assert say("missing.none") in page("missing")


def test_runs_on_other_images_are_passed_over(checkout, monkeypatch):
    record("lenet", dataset={"source": "own images", "commit": None, "key": "own", "counts": {}})
    record("alexnet")
    assert "Not run yet" in page("5") and "Not run yet" not in page("12")
    monkeypatch.setenv("SCENE_DATA_DIR", str(checkout))
    monkeypatch.setattr(data, "load", lambda profile: type("Dataset", (), {"key": "own"}))
    assert "Not run yet" not in page("5") and "Not run yet" in page("12")


def test_a_section_with_nothing_to_show_is_left_out(checkout):
    wall = code("wall()", "slide-wall", outputs=[shown(Paragraph(["w"]))])
    lesson(checkout, code("bench()", "slide-bench", outputs=[]), wall, name="10_conclusions")
    assert assemble.page(SLIDES["bench"], Edition("sample", 0), "en") == []
    assert "w" in page("wall")


def test_small_print_is_one_line_for_runs_alike(checkout):
    told = code("told()", "slide-13", outputs=[shown(Paragraph(["told"]))])
    lesson(checkout, told, name="05_resnet_depth")
    for name in SLIDES["13"].needs[:5]:
        record(name)
    record("depth-18-plain", weights="imagenet; imagenet", refit={"images": 17034, "seconds": 1.0})
    lines = page("13").split("<small>")[1].splitlines()
    assert lines[0].startswith("depth-18 to depth-152 (5 runs): profile sample, seed 0, epochs: 2, from scratch, 50 s ")
    assert lines[1].startswith("depth-18-plain: ") and "again on all 17,034 images, imagenet, 10 s" in lines[1]


def test_the_small_print_names_the_runs_under_the_reports_conditions_which_are_of_the_profile_full(checkout):
    lesson(checkout, code("conditions()", "slide-18", outputs=[shown(Paragraph(["told"]))]), name="08_ensemble")
    record("ensemble-reported", profile="full", device="a GPU")
    record("ensemble")
    lines = page("18").split("<small>")[1].splitlines()
    assert lines[0].startswith("ensemble-reported: profile full") and "on a GPU" in lines[0]
    assert lines[1].startswith("ensemble: profile sample")


# --- languages


SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>glacier</text><text>epoch 3</text><text>LeNet</text></svg>'


def told(form="higher"):
    values = {"first": "A", "second": "B", "fixes": 1, "breaks": 0, "total": 2, "points": 0.5, "low": 0.1, "high": 0.9}
    return say("difference", **values, form=say(f"difference.{form}", **values))


def test_every_part_is_shown_in_both_languages(checkout):
    table = Table(pd.DataFrame({"class": ["glacier"], "accuracy": ["0.5"]}))
    outputs = [shown(Paragraph([told()])), shown(table), figure(SVG, join([told(), "x"]))]
    outputs += [nbformat.v4.new_output("stream", name=name, text=f"on {name}") for name in ("stdout", "stderr")]
    lesson(checkout, code("all()", "slide-2", outputs=outputs))
    english, korean = (assemble.page(SLIDES["2"], Edition("sample", 0), language) for language in ("en", "ko"))
    assert english[0].source == "## 2. LeNet: output dimensions" and korean[0].source == "## 2. LeNet: 출력 차원"
    assert [output.text for output in korean[1].outputs[3:]] == ["on stdout"]
    first, second = ([o.data for o in page[1].outputs[:3]] for page in (english, korean))
    assert "+50.0 points" in first[0]["text/markdown"] and "+50.0%p" in second[0]["text/markdown"]
    assert "glacier" in first[1]["text/html"]
    assert "<td>빙하</td>" in second[1]["text/html"] and "정확도" in second[1]["text/html"]
    words = re.findall(r"<text[^>]*>(.*?)</text>", second[2]["image/svg+xml"])
    assert words == ["빙하", "Epoch 3", "LeNet"] and first[2]["image/svg+xml"] == SVG
    alts = [page[1].outputs[2].metadata["image/svg+xml"]["alt"] for page in (english, korean)]
    assert alts == [f"{texts.render(told(), language)} x" for language in ("en", "ko")]


def test_a_changed_wording_is_shown_without_execution_and_not_where_it_is_gone(checkout, monkeypatch):
    lesson(checkout, code("told()", "slide-2", outputs=[shown(Paragraph([told()]))]))
    known = texts.texts
    for language in ("en", "ko"):
        changed = known(language) | {"difference.higher": "{second}!!"}
        monkeypatch.setattr(texts, "texts", lambda language, changed=changed: changed)
        assert page("2", language).endswith("B!!")
    gone = {key: text for key, text in known("en").items() if key != "difference"}
    monkeypatch.setattr(texts, "texts", lambda language: gone)
    assert "Not executed" in page("2")


def test_labels_with_something_in_them_are_translated(monkeypatch):
    known = {"term.glacier": "빙하", "figure.{a} taken for {b}": "{a} → {b}", "figure.no {x}": "{x} 없음"}
    known |= {"figure.{n:#} of {m:#}": "{m} 중 {n}"}
    monkeypatch.setattr(texts, "texts", lambda language: known)
    texts._patterns.cache_clear()
    assert texts.label("glacier taken for sea (2)", "ko") == "빙하 → sea (2)"
    assert texts.label("no glacier", "ko") == "빙하 없음" and texts.label("no", "ko") == "no"
    assert texts.label("1,200 of −3.5%", "ko") == "−3.5% 중 1,200" and texts.label("a of 3", "ko") == "a of 3"
    assert texts.label("no glacier", "en") == "no glacier"
    texts._patterns.cache_clear()


# --- pages


def test_the_pages_have_all_slides_in_both_languages(checkout):
    record("lenet")
    outputs = [figure(SVG, "a curve of the loss", lenet="k")]
    lesson(checkout, code("curve()", "slide-4", outputs=outputs))
    bench = code("bench()", "slide-bench", outputs=[])
    notebook(checkout / "notebooks/10_conclusions.ipynb", bench)
    report = assemble.write("sample", 0)
    assert sorted(path.name for path in report.parent.glob("report*")) == ["report.html", "report.ko.html", "report.md"]
    for language, name, title in (("en", "report.html", "Contents"), ("ko", "report.ko.html", "차례")):
        html = (report.parent / name).read_text(encoding="utf-8")
        headings = re.findall(r'<h2[^>]* id="([\w-]+)">', html)
        assert headings[1:22] == [f"slide-{number}" for number in range(1, 22)]
        assert len(headings) == len(SLIDES) - 2  # the title, and no benchmark here
        assert f'<html lang="{language}">' in html and f"<h2>{title}</h2>" in html
        assert re.search(r"<h1>.+</h1>", html) and "cell-id" not in html
    text = (report.parent / "report.md").read_text(encoding="utf-8")
    assert "![a curve of the loss](figures/4-lenet-loss-curve-1.svg)" in text and text.startswith("# Scene")
    assert "## 21. Questions" in text
    first = {path.name: path.read_bytes() for path in report.parent.glob("report*")}
    assemble.write("sample", 0)
    assert first == {path.name: path.read_bytes() for path in report.parent.glob("report*")}


def test_a_long_table_is_in_a_closed_fold(checkout):
    table = Table(pd.DataFrame({"a": ["1", "2"]}), "wide fold")
    lesson(
        checkout,
        code("log()", "slide-ledger", outputs=[shown(Paragraph(["told"])), shown(table)]),
        name="10_conclusions",
    )
    html = assemble.write("sample", 0).read_text(encoding="utf-8")
    fold = BeautifulSoup(html, "html.parser").select_one("details:has(table.fold)")
    assert fold.summary.get_text() == "Show the table (2 rows)" and not fold.has_attr("open")
    assert "Show the table" not in fold.find_parent("section").p.get_text()


# --- the manifest


def test_the_manifest_has_every_slide_once_and_names_what_exists():
    ids = [slide.id for slide in manifest.slides()]
    assert len(set(ids)) == len(ids)
    assert [slide.id for slide in manifest.slides() if slide.numbered] == [str(n) for n in range(1, 22)]
    assert ids[:2] == ["opening", "summary"]
    for slide in manifest.slides():
        assert slide.title_key in texts.texts("en")
        for name in (*slide.needs, *slide.beside, *slide.train):
            catalogue.get(name)
    assert set(SLIDES["3"].needs) == {f"lenet-rate-{rate}" for rate in catalogue.LEARNING_RATES}
    depths = {f"depth-{d}" for d in catalogue.DEPTHS} | {f"depth-{d}-plain" for d in catalogue.PLAIN_DEPTHS}
    assert set(SLIDES["13"].needs) == depths
    assert set(SLIDES["17"].needs) == {*catalogue.MEMBERS, "ensemble"}
    assert {f"schedule-{name}" for name in catalogue.SCHEDULES} < set(SLIDES["21"].needs)


def test_every_slide_is_tagged_in_its_notebook_alone():
    found = {}
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        for cell in series.read_notebook(path).cells:
            for tag in cell.metadata.get("tags", []):
                if tag.startswith("slide-"):
                    found.setdefault(tag.removeprefix("slide-"), set()).add(path.stem)
    assert found == {slide.id: {slide.notebook} for slide in manifest.slides() if slide.notebook}


def test_what_the_committed_slides_show_can_be_said_in_korean_and_names_its_records():
    for slide in manifest.slides():
        path = PROJECT / "notebooks" / f"{slide.notebook}.ipynb"
        cells = assemble._tagged(path, slide.tag)
        outputs = [output for cell in cells for output in cell.outputs if assemble.visible(output)]
        known = {MIME, *pages.SUFFIX}  # a picture's words are in the SVG
        bare = [output for output in outputs if not known & output.get("data", {}).keys()]
        assert bare == [], f"{slide.tag}: show it with text.shown.shown"
        runs = {name.rsplit(".", 2)[0] for output in outputs for name in output.metadata.get("runs", {})}
        assert not outputs or set(slide.needs) <= runs, f"{slide.tag} does not name all the runs that it needs"


def english(output):
    """English that is left of an output in Korean: sentences, code left out; a figure's alternative text and words."""
    done = assemble.translated(output, "ko")
    text = " ".join(value for kind, value in done.get("data", {}).items() if kind.startswith("text/"))
    told = re.sub(r"```.*?```|`[^`]*`|<[^>]*>", "", text, flags=re.DOTALL)
    alts = [about.get("alt", "") for about in done.get("metadata", {}).values() if isinstance(about, dict)]
    left = [each for each in (told, *alts) if re.search(r"([a-z]+ ){3}[a-z]{2,}", each)]
    drawn = svg.texts(done.data["image/svg+xml"]) if "image/svg+xml" in done.get("data", {}) else []
    return left + [word for word in drawn if re.search(r"[A-Za-z]{2,} [a-z]{3,}", word)]


def test_no_english_is_left_in_the_korean_slides():
    assert english(shown(Paragraph(["a sentence of five words"]))) and not english(shown(Paragraph([told()])))
    assert english(figure("<svg><text>no such axis</text></svg>", told())) == ["no such axis"]
    assert english(figure("<svg/>", "a figure without a translation"))
    for slide in manifest.slides():
        for cell in assemble._tagged(PROJECT / "notebooks" / f"{slide.notebook}.ipynb", slide.tag):
            assert [each for output in cell.outputs for each in english(output)] == [], slide.tag


ENGLISH = re.compile(r"[a-z]{3,} [a-z]{3,}|\d epochs?\b")


def test_titles_of_experiments_and_arms_are_translated():
    assert ENGLISH.search("ResNet101, 4 epochs") and not ENGLISH.search("ResNet18 + transferred + Mixup")
    titles = {
        arm.title for path in cases.DESIGNS.glob("*.toml") if path.stem != "chosen" for arm in cases.arms(path.stem)
    }
    assert [title for title in titles if ENGLISH.search(texts.render(title, "ko"))] == []
    for each in catalogue.SERIES:  # in tables and figures
        assert not ENGLISH.search(texts.label(each.title, "ko")), each.title
        if not each.name.startswith(("lenet-rate", "lite0-without", "mixup-")):
            assert not ENGLISH.search(texts.render(each.title, "ko")), each.title


# --- the texts


def places(template):
    return sorted(name for _, name, _, _ in Formatter().parse(template) if name)


def test_both_languages_have_the_same_texts_and_places():
    english, korean = (texts.texts(language) for language in texts.LANGUAGES)
    assert english.keys() == {key for key in korean if key.partition(".")[0] not in ("term", "figure")}
    for key, template in english.items():
        assert places(template) == places(korean[key]) or set(places(template)) == set(places(korean[key])), key
    for key, form in korean.items():
        if key.startswith("figure."):
            assert places(key) == places(form), key


def used_keys(source, keys):
    """Keys that a source's strings name, in full or, with places in an f-string, by their pattern."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & keys
        elif isinstance(node, ast.JoinedStr):
            pattern = "".join(re.escape(p.value) if isinstance(p, ast.Constant) else "[^.]+" for p in node.values)
            if re.search(r"\w\\?\.|\.\w", pattern):
                found |= {key for key in keys if re.fullmatch(pattern, key)}
    return found


def sources():
    for path in (PROJECT / "scene_utils").rglob("*.py"):
        yield path.read_text(encoding="utf-8")
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        yield from code_of(path)


def test_no_text_is_unused():
    some = {"difference.higher", "difference.lower", "title", "other"}
    assert used_keys('say(f"difference.{form}")\nsay("title")', some) == some - {"other"}
    keys = set(texts.texts("en"))
    used = {slide.title_key for slide in manifest.slides()}
    for source in sources():
        used |= used_keys(source, keys)
    assert sorted(keys - used) == []


@pytest.mark.parametrize(
    "key, values, named",
    [
        ("no.such", {}, "text 'no.such'"),
        ("many", {"first": "a", "last": "b"}, "count"),
        ("accuracy", {"name": "A", "correct": "5", "total": 6, "accuracy": 0.5, "low": 0, "high": 1}, "no number"),
    ],
)
def test_a_missing_key_a_missing_value_and_one_of_the_wrong_kind_are_refused(key, values, named):
    with pytest.raises(SceneError, match=named):
        say(key, **values)


# --- without training


def test_without_training_a_missing_run_is_named_in_one_line(checkout, monkeypatch):
    monkeypatch.setenv("SCENE_TRAIN", "0")
    with pytest.raises(SceneError) as caught:
        experiments.run("lenet", "sample")
    assert str(caught.value) == (
        "lenet.sample.s0 is missing, and SCENE_TRAIN=0 trains nothing;"
        " call: python -m scene_utils train lenet --profile sample --seed 0"
    )
    assert not list((checkout / "runs").rglob("*.json")) and not list((checkout / "runs").rglob("started.csv"))
    monkeypatch.setenv("SCENE_TRAIN", "no")
    with pytest.raises(SceneError, match="SCENE_TRAIN 'no' is unknown; known: 1, 0"):
        settings.check_environment()


# --- in a browser


def test_axe_finds_nothing_serious_in_either_language_on_a_desk_or_a_phone(tmp_path, browser):
    tab = browser.new_page()
    for language, width in (("en", 1280), ("ko", 390)):
        page = pages.html_report(assemble.assemble("short", 0, language), tmp_path / "report.html", language)
        tab.set_viewport_size({"width": width, "height": 844})
        tab.goto(page.as_uri())
        tab.locator("summary").evaluate_all("all => all.forEach(each => each.click())")
        assert violations(tab) == []
