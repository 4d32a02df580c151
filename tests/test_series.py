"""The graph of notebooks, its locks and faults, pages, publishing: on small notebooks made here."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import papermill
import pikepdf
import pytest
import torch
import yaml
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from scene_utils import __main__ as command_line
from scene_utils import __version__, data, results
from scene_utils.report import assemble, pages, publish, series
from scene_utils.report.manifest import CONCLUSIONS
from scene_utils.support import ledger, settings
from scene_utils.support.settings import SceneError
from tests.fakes import PARAMETERS, PNG, PROJECT, code, code_of, notebook


def command(root, *arguments, **options):
    line = [sys.executable, "-m", "scene_utils", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
    return subprocess.Popen(line, cwd=root, **pipes, **options)


def call(root, *arguments):
    process = command(root, *arguments)
    text = process.communicate()[0]
    return process.returncode, text


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def output_of(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for cell in cells for o in cell.get("outputs", []))


def executed(text):
    return sorted(re.findall(r"^(\w+): \d+ s$", text, flags=re.MULTILINE))


# --- one notebook


def test_order_dependencies_and_what_jupyterlab_leaves_among_the_notebooks(project):
    notebook(project / "notebooks" / "A1_beyond.ipynb")
    for name in ("Untitled", "02_lenet-Copy1", "02_lenet (1)", "my notes"):
        shutil.copy(project / "notebooks/02_lenet.ipynb", project / f"notebooks/{name}.ipynb")
    assert series.notebooks() == ["02_lenet", "03_custom_lenet", "10_conclusions", "A1_beyond"]
    assert series.depends("03_custom_lenet") == ["02_lenet"]
    assert series.depends("10_conclusions") == ["02_lenet", "03_custom_lenet", "A1_beyond"]
    assert "Untitled" not in publish.lesson_table() and "Copy" not in publish.lesson_table()
    assert sorted(path.stem for path in publish.student().glob("*.ipynb")) == series.notebooks()


def test_a_notebook_gets_its_parameters_and_this_interpreter_whatever_a_hub_calls_python3(tmp_path, monkeypatch):
    spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "hub", "language": "python"}
    settings.atomic_write(tmp_path / "hub/kernels/python3/kernel.json", json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "hub"))
    source = "import os, sys\nprint(profile, seed, os.path.basename(os.getcwd()), sys.executable)"
    path = notebook(tmp_path / "nb{x}" / "a.ipynb", source)
    done = series.execute(path, tmp_path / "out" / "a.ipynb", {"profile": "short", "seed": 3})
    assert output_of(done) == f"short 3 nb{{x}} {sys.executable}\n"
    assert [p.name for p in done.parent.glob("*.ipynb")] == ["a.ipynb"]
    assert os.environ["JUPYTER_PATH"] == str(tmp_path / "hub")
    assert [series.folder(*edition).name for edition in (("sample", 0), ("short", 1))] == ["sample", "short-s1"]


def test_own_images_added_removed_or_overwritten_in_place_are_noticed(tmp_path, monkeypatch):
    for name in ("train/a", "train/b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_bytes(b"image")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCENE_DATA_DIR", str(tmp_path / "photos"))
    target, states = tmp_path / "photos/train/a/0.png", [series.data_state()]
    assert series.data_state() == states[0]
    with open(target, "r+b") as file:  # in place, and as many bytes
        file.write(b"IMAGE")
    os.utime(target, ns=(0, target.stat().st_mtime_ns + 1))
    states.append(series.data_state())
    (tmp_path / "photos/train/a/1.png").write_bytes(b"image")
    states.append(series.data_state())
    (tmp_path / "photos/train/a/1.png").rename(tmp_path / "photos/train/b/1.png")
    states.append(series.data_state())
    (tmp_path / "photos/train/b/1.png").unlink()
    (tmp_path / "photos/train/.DS_Store").write_bytes(b"x")
    assert len(set(states)) == 4 and series.data_state() == states[1]
    shutil.rmtree(tmp_path / "photos/train")
    with pytest.raises(SceneError, match="photos is no dataset: it has no folder train"):
        series.run("sample")


@pytest.mark.parametrize(
    "content, values, message",
    [
        (None, {"profil": "short"}, r"parameter of a\.ipynb 'profil' is unknown; known: profile, seed"),
        (None, {"profile": "long"}, "profile 'long' is unknown; known: sample, short, full"),
        (nbformat.writes(new_notebook(cells=[code("1")])), {}, "has no cell tagged 'parameters'"),
        ("<html>", {}, "no notebook that can be read"),
    ],
)
def test_what_cannot_be_executed_is_refused_before_anything_runs(tmp_path, content, values, message):
    path = notebook(tmp_path / "a.ipynb", "print(1)")
    if content:
        path.write_text(content)
    with pytest.raises(SceneError, match=message):
        series.execute(path, tmp_path / "out" / "a.ipynb", values)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "source, timeout, message",
    [
        ("import os\nos.kill(os.getpid(), 9)", None, "a.ipynb failed: its kernel was killed"),
        ("import time\ntime.sleep(60)", 1, "a.ipynb failed: a cell took longer"),
    ],
    ids=["killed", "too long"],
)
def test_failure_is_named_and_the_notebook_kept(tmp_path, source, timeout, message):
    path = notebook(tmp_path / "a.ipynb", "print('before')", source)
    with pytest.raises(SceneError, match=message) as caught:
        series.execute(path, tmp_path / "out" / "a.ipynb", {"profile": "sample"}, timeout=timeout)
    assert "\n" not in str(caught.value)
    assert [p.name for p in (tmp_path / "out").glob("*.ipynb")] == ["a.failed.ipynb"]
    assert "before" in output_of(tmp_path / "out" / "a.failed.ipynb")


# --- the graph

SHOWS = """from scene_utils.text import say
from scene_utils.text.shown import shown
shown(say("code"))"""


def test_series_is_incremental_goes_on_after_a_failure_and_ends_with_the_page(project, monkeypatch):
    shows = code(SHOWS, "slide-2")
    notebook(project / "notebooks" / "02_lenet.ipynb", "import os\nprint(os.environ.get('SCENE_TRAIN'))", shows)
    notebook(project / "notebooks" / "04_alexnet.ipynb")
    monkeypatch.setenv("ONLY", "02_lenet 03_custom_lenet")
    code_, text = call(project, "report", "--no-training")
    assert code_ == 0, text
    page, korean = (project / "runs" / "sample" / name for name in ("report.html", "report.ko.html"))
    last = f"report: {page} (accuracies on the test set, choices on the hold-out)"
    assert text.splitlines()[-1] == last
    assert executed(text) == ["02_lenet", "03_custom_lenet", "10_conclusions"] and "trainings to do" not in text
    assert output_of(series.executed("sample", 0, "02_lenet")) == "0\n"
    assert re.search(r"^1 of \d steps done$", text, flags=re.MULTILINE)
    assert {path.name for path in page.parent.glob("report*")} == {"report.html", "report.ko.html", "report.md"}
    assert "state dict를 서로" in korean.read_text(encoding="utf-8")

    code_, text = call(project, "report")
    assert (code_, text.splitlines()[1:]) == (0, ["nothing has changed", last])

    monkeypatch.delenv("ONLY")
    for language, old in (("en", "can be exchanged"), ("ko", "를 서로 바꾸어")):
        texts = project / "scene_utils" / "text" / f"{language}.toml"
        texts.write_text(texts.read_text(encoding="utf-8").replace(old, "!!"), encoding="utf-8")
    (project / "scene_utils" / "report" / "templates" / "report" / "style.css").write_text("main {}")
    changed, failed = (folder / f"03_custom_lenet{kind}.ipynb" for folder, kind in (
        (project / "notebooks", ""), (project / "runs" / "sample" / "notebooks", ".failed")))  # fmt: skip
    committed = new_output("display_data", {"text/markdown": "as committed"})
    notebook(changed, "raise RuntimeError('broken')", code("x", "slide-7", outputs=[committed]))
    before = page.stat().st_mtime_ns
    code_, text = call(project, "report")
    assert code_ == 1
    assert f"03_custom_lenet.ipynb failed: cell [3]: RuntimeError: broken; its traceback: {failed}" in text
    assert text.splitlines()[-1].startswith(f"error: stopped at 03_custom_lenet; {page} shows what there is; ")
    assert "Traceback" not in text and "RuntimeError" in json.dumps(nbformat.read(failed, as_version=4))
    # what does not build on it goes on; a changed text and the report's own code execute nothing
    assert executed(text) == ["04_alexnet", "10_conclusions"]
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_mtime_ns > before and "as committed" in html and html.count("data:image/png") == 1
    assert all("!!" in each.read_text(encoding="utf-8") and "main {}" in each.read_text() for each in (page, korean))

    notebook(changed, "print('mended')")
    series.executed("sample", 0, "04_alexnet").unlink()
    code_, text = call(project, "report")
    assert code_ == 0 and not failed.exists()
    assert executed(text) == ["03_custom_lenet", "04_alexnet", "10_conclusions"]

    (project / "Snakefile").write_text("rule all:\n    input: undefined\n")
    code_, text = call(project, "report")
    assert code_ == 1 and "error: the graph of the series cannot be executed: " in text
    assert "undefined" in text and text.count("\n") == 2


def test_retrain_forces_all_with_one_date_for_all_kernels(project, monkeypatch):
    given = []
    monkeypatch.setattr("snakemake.cli.main", given.extend)
    monkeypatch.setenv("RETRAIN", "1")
    series.run("sample")
    assert "--forceall" in given and os.environ["RETRAIN"] == settings.retrain_since() > "2026"


@pytest.mark.skipif(os.cpu_count() < 2, reason="one core")
def test_notebooks_are_executed_side_by_side_with_a_share_of_the_threads(project, monkeypatch):
    """Each of two independent notebooks waits until the other has begun; one that builds on another waits for it.

    Before the first one the time is told; no writable home is needed, and no UTF-8.
    """
    source = """
        import os, pathlib, time
        pathlib.Path({0!r}).touch()
        end = time.monotonic() + 300
        while not pathlib.Path({1!r}).exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        print(profile, os.environ["OMP_NUM_THREADS"])"""
    first, second = str(project / "first"), str(project / "second")
    for name, here, there in (("02_lenet", first, second), ("04_alexnet", second, first)):
        notebook(project / "notebooks" / f"{name}.ipynb", textwrap.dedent(source).format(here, there))
    notebook(project / "notebooks" / "03_custom_lenet.ipynb", f"import os\nassert os.path.exists({first!r})")
    for name, stub in {"experiments": "time_needed = lambda *given: (7, 9e4)",
                       "durations": 'time_here = lambda seconds: f"about {seconds:.0f} s"'}.items():  # fmt: skip
        (project / "scene_utils" / f"{name}.py").write_text(stub + "\n")
    for name, value in (("SCENE_DEVICE", "cpu"), ("HOME", os.devnull), ("PYTHONIOENCODING", "ascii")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    code_, text = call(project, "report", "--profile", "short")
    assert code_ == 0 and text.index("trainings to do: 7, about 90000 s") < text.index("02_lenet"), text
    assert output_of(series.executed("short", 0, "02_lenet")) == f"short {max(1, os.cpu_count() // 4)}\n"


def test_on_one_gpu_notebooks_are_executed_one_after_the_other(project, monkeypatch):
    """Threads and the resource that the graph gives each notebook, where the device is a GPU."""
    monkeypatch.setenv("SCENE_DEVICE", "cuda")
    assert series.gpu()
    line = [sys.executable, "-m", "snakemake", "--cores", "8", "--dry-run", "--config"]
    line += ["profile=sample", "gpu=1", "threads=8"]
    done = subprocess.run(line, cwd=project, capture_output=True, text=True, encoding="utf-8")
    told = re.findall(r"rule execute:.*?threads: (\d+)\s+resources: (.*?)\n", done.stdout, flags=re.DOTALL)
    assert len(told) == 3 and all(threads == "8" and "gpu=1" in resources for threads, resources in told), done.stderr


def test_progress_shows_the_newest_epoch(capsys):
    progress = series._Progress(every=0)
    progress.write("LeNet: epoch 1/9, loss 1.2, hold-out 0.5, 3.0 s\nLeNet: epoch 2/9, loss 1.1, diverged, 3.5 s\n")
    progress.write("table of epoch 3/9\n")
    assert capsys.readouterr().out == "    LeNet: epoch 2/9, loss 1.1, diverged, 3.5 s\n"


@pytest.fixture
def waiting(project):
    """A report in whose only lesson a cell waits for a file: the process, and that file."""
    begun, go = project / "begun", project / "go"
    source = f"""
        import pathlib, time
        pathlib.Path({str(begun)!r}).touch()
        while not pathlib.Path({str(go)!r}).exists():
            time.sleep(0.1)"""
    (project / "notebooks" / "03_custom_lenet.ipynb").unlink()
    notebook(project / "notebooks" / "02_lenet.ipynb", textwrap.dedent(source))
    process = command(project, "report", start_new_session=True)
    wait_for(begun.exists)
    return process, go


def test_a_running_one_holds_the_folder_and_a_killed_one_leaves_nothing_in_the_way(waiting, project, capsys):
    """Snakemake, which the command runs in, is killed; what it left finishes, then the next call goes on."""
    process, go = waiting
    assert command_line.main(["report"]) == 1
    told = capsys.readouterr().err
    assert f"is in use by process {process.pid} on " in told and told.count("\n") == 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    second = command(project, "report")
    while "waiting" not in (line := second.stdout.readline()):
        assert line, "the second call ended without waiting"
    assert line == "02_lenet: still executed by an interrupted run; waiting for it to finish\n"
    go.touch()
    assert second.wait() == 0, second.stdout.read()
    assert (project / "runs" / "sample" / "report.html").exists()
    assert not list((project / "runs").rglob("*.running.ipynb"))


def test_an_interrupted_run_stops_without_a_report(waiting):
    process, _ = waiting
    os.killpg(process.pid, signal.SIGINT)
    text = process.communicate(timeout=60)[0]
    assert "interrupted; the same command goes on where this one stopped" in text
    assert process.returncode == 1 and "10_conclusions" not in text
    assert text.splitlines()[-1].startswith("error: stopped at 02_lenet; mend")


# --- pages


def report_of(*cells):
    return new_notebook(cells=[new_markdown_cell("# A report"), *cells])


def picture(alt=None):
    return new_output("display_data", {"image/png": PNG}, metadata={"image/png": {"alt": alt}} if alt else {})


def html(text, kind="html"):
    return new_output("display_data", {f"text/{kind}": text})


def markdown(text):
    return html(text, "markdown")


def test_a_frame_shows_a_sentence_and_one_picture_and_notes_beside_it(tmp_path):
    table, cell = html("<table><tr><td>7</td></tr></table>"), new_code_cell()
    cell.outputs = [table, markdown("told"), markdown("intro"), picture("a"), markdown("rest"), picture("b"), table]
    page = pages.html_report(report_of(new_markdown_cell("## A slide"), cell), tmp_path / "a.html")
    found = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select(".frame")
    names = [[" ".join(part.get("class", [part.name])) for part in each.contents] for each in found]
    assert names == [["h2", "p", "p", "body beside"], ["p", "body beside"]]
    assert [each.get_text(" ", strip=True) for each in found] == ["A slide told intro 7", "rest 7"]
    assert [len(each.select(".body > .figure")) for each in found] == [1, 1]


def test_html_is_one_page_without_scripts_or_requests(tmp_path):
    cell = new_code_cell("secret = 1")
    cell.outputs = [
        html("<div><style scoped></style><table border='1'><tr><td onclick='x()'>7</td></tr></table></div>"),
        html("<script src='https://example.org/x.js'></script><iframe src='https://example.org'></iframe>"),
        picture(),
        picture("a curve"),
        new_output("stream", name="stderr", text="a warning"),
    ]
    first, second = "## 1. First\n\nSee [x](https://x.org).", "## 2. Second"
    source = report_of(new_markdown_cell(first), new_markdown_cell(second), cell)
    text = pages.html_report(source, tmp_path / "report.ko.html", "ko").read_text(encoding="utf-8")
    assert not re.search(r"<script|<iframe|<link|onclick|secret|a warning|scoped|mathjax|require", text)
    assert not re.search(r"""(src|srcset)="(?!data:)|url\(|@import""", text)
    assert re.search(r'<html lang="ko">', text) and "<title>A report</title>" in text
    assert "Content-Security-Policy" in text
    assert re.findall(r'<a href="#slide-\d">(.*?)</a>', text) == ["1. First", "2. Second"]
    assert text.count("<section>") == 2 and text.count('<div class="table"') == 1
    assert re.findall(r'alt="(.*?)"', text) == ["2. Second", "a curve"]
    source = report_of(new_markdown_cell("![x](https://example.org/x.png)"))
    with pytest.raises(SceneError, match="an image from elsewhere: https://example.org/x.png"):
        pages.html_report(source, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_markdown_has_its_figures_beside_it(tmp_path):
    cell = new_code_cell("secret = 1")
    table = html('<table border="1" class="wide">\n  <tr><td>7</td></tr></table>')
    cell.outputs = [picture("a curve"), picture(), table]
    source = report_of(new_markdown_cell("## 4. LeNet: loss"), cell)
    settings.atomic_write(tmp_path / "figures/old.png", "")
    text = pages.markdown_report(source, tmp_path / "report.md").read_text(encoding="utf-8")
    assert "![a curve](figures/4-lenet-loss-1.png)" in text and "secret" not in text
    assert "<table>\n<tr><td>7" in text
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["4-lenet-loss-1.png", "4-lenet-loss-2.png"]


@pytest.mark.skipif(pages.find_chromium() is None, reason="no Chromium here")
def test_the_deck_has_one_wide_page_per_section(tmp_path):
    cells, curve = [], picture("a")
    curve.metadata["image/png"]["data"] = "panel,at,series,value\n" + "".join(f"loss,{i},a,1\n" for i in range(50))
    for n in (1, 2):  # a figure's data is not printed, and a list alone goes with what is before it
        cells += [new_markdown_cell(f"## {n}. Slide"), new_code_cell(outputs=[curve, markdown("Text.")])]
        cells += [new_code_cell(outputs=[markdown("- one\n- two")])]
    page = pages.html_report(report_of(*cells), tmp_path / "report.html")
    output = pages.pdf_deck(page, tmp_path / "report.pdf")
    with pikepdf.open(output) as deck:
        assert [list(slide.MediaBox) for slide in deck.pages] == [[0, 0, 960, 540]] * 3  # title, two slides
        assert [link.Dest for link in deck.pages[0].Annots] == list(map(pikepdf.Name, ("/slide-1", "/slide-2")))
    assert b"/ObjStm" in output.read_bytes()  # its tags are compressed


def test_a_deck_that_is_no_pdf_is_an_error_and_leaves_the_old_one(tmp_path, monkeypatch):
    chromium, old = tmp_path / "chromium", settings.atomic_write(tmp_path / "report.pdf", b"old")
    monkeypatch.setattr(pages, "find_chromium", lambda: str(chromium))
    for line in ("exit 1", 'for last; do case $last in --print-to-pdf=*) echo "%PDF" > "${last#*=}";; esac; done'):
        chromium.write_text(f"#!/bin/sh\n{line}\n")
        chromium.chmod(0o755)
        with pytest.raises(SceneError, match="could not print .*; print it from a browser instead"):
            pages.pdf_deck(tmp_path / "report.html", old)
    assert old.read_bytes() == b"old"


# --- publishing and copies for a class


@pytest.fixture
def published(project, monkeypatch):
    """The small project as if executed: papermill's own cell and metadata, outputs made up; no records."""
    for name in series.notebooks():
        done = series.executed("sample", 0, name)
        done.parent.mkdir(parents=True, exist_ok=True)
        source = str(project / "notebooks" / f"{name}.ipynb")
        content = papermill.execute_notebook(source, None, {"profile": "sample", "seed": 0}, prepare_only=True)
        shown = [new_output("stream", name=name, text=name) for name in ("stdout", "stderr", "stdout")]
        content.cells[-1].outputs = [picture()] if name == CONCLUSIONS else shown
        content.cells[-1].execution_count = 3
        content.cells[-1].metadata.papermill = {"duration": 1.0}
        series.write_notebook(content, done)
    assemble.write("sample", 0)
    for name in ("report.html", "report.md"):
        (project / "report" / name).write_text("old")
    monkeypatch.setattr(publish, "write_tables", lambda: None)
    monkeypatch.setattr(pages, "find_chromium", lambda: None)
    return project


def test_publish(published, capsys):
    target, mine = published / "report", published / "runs" / "results" / "lenet.sample.s0.json"
    for path in (target / "results" / "other.short.s0.json", mine, target / "figures" / "old.png"):
        settings.atomic_write(path, "{}")
    mine.with_suffix(".npz").write_bytes(b"arrays")
    mine.with_name("tuning.sample.s0.csv").write_text("key\n")
    settings.atomic_write(target / "minutes.json", '{"sample": {"10_gone": 3.0}}')
    publish.publish("sample", 0)
    assert capsys.readouterr().out.splitlines()[-1].endswith("(accuracies on the test set, choices on the hold-out)")
    assert set(json.loads((target / "minutes.json").read_text())["sample"]) <= set(series.notebooks())
    assert {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()} == {
        "report.html", "report.ko.html", "report.md", "figures/what-no-model-gets-right-1.png", "minutes.json",
        "results/other.short.s0.json", "results/lenet.sample.s0.json", "results/lenet.sample.s0.npz",
        "results/tuning.sample.s0.csv",
    }  # fmt: skip
    content = nbformat.read(published / "notebooks" / "02_lenet.ipynb", as_version=4)
    assert [cell.source for cell in content.cells][1:] == [PARAMETERS, "print(profile, seed)"]
    assert [output.text for output in content.cells[2].outputs] == ["stdoutstdout"]  # no stderr
    assert "papermill" not in json.dumps(content)
    assert [cell.get("execution_count") for cell in content.cells] == [None, 1, 2]


def test_finished_runs_are_published_alone_and_no_start_is_lost(project):
    source, target = settings.results_dir(), settings.published_dir()
    for name in ("new.short.s1", "own.short.s0", "small.sample.s0"):
        run = {"dataset": {"commit": None if name.startswith("own") else "063473"}}
        settings.atomic_write(source / f"{name}.json", json.dumps(run))
        settings.atomic_write(source / f"{name}.npz", b"arrays")
    head = "date,experiment,profile,seed,key\n"
    settings.atomic_write(target.parent / "started.csv", head + "2026-01-01,old,short,0,a\n")
    settings.atomic_write(source / "started.csv", head + "2026-01-02,new,short,1,b\n2026-01-03,small,sample,0,c\n")
    assert publish.publish_runs() == ["new.short.s1"]
    assert publish.publish_runs() == []
    assert sorted(path.name for path in target.iterdir()) == ["new.short.s1.json", "new.short.s1.npz"]
    assert ledger.logged(target.parent, "started.csv") == ["2026-01-01,old,short,0,a", "2026-01-02,new,short,1,b"]


@pytest.mark.parametrize("nth", [1, 4])
def test_a_publish_that_is_killed_leaves_whole_files_and_is_repeated(published, nth):
    child = os.fork()
    if child == 0:
        replace, calls = os.replace, []

        def at(source, destination):
            calls.append(destination)
            if len(calls) == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, destination)

        os.replace = at
        publish.publish("sample", 0)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    done, target = published / "runs" / "sample", published / "report"
    for name in ("report.html", "report.md"):
        assert (target / name).read_text() in ("old", (done / name).read_text())
    for path in series.notebooks_dir().glob("*.ipynb"):
        nbformat.read(path, as_version=4)
    publish.publish("sample", 0)
    assert (target / "report.html").read_text() == (done / "report.html").read_text()
    assert not list(target.rglob("*.tmp"))


def test_publish_refuses_what_has_not_been_executed_as_it_is(published):
    notebook(published / "notebooks" / "02_lenet.ipynb", "print('changed')")
    before = {p: p.read_bytes() for p in published.rglob("*") if p.is_file()}
    changed = "02_lenet has changed since it was executed; run make report PROFILE=sample"
    for profile, message in (("sample", changed), ("short", "has not been executed; run make report PROFILE=short")):
        with pytest.raises(SceneError, match=message):
            publish.publish(profile, 0)
    assert all(path.read_bytes() == content for path, content in before.items() if path.name[0] != ".")


@pytest.mark.parametrize(("plugin", "codes", "message"), [
    (False, {}, "Snakemake's plug-in for Slurm is missing; call: .venv/bin/pip install"),
    (True, {}, "there is no sbatch on this machine"),
    (True, {"sacct": 1, "sbatch": 0}, r"Slurm refuses accounting, .* \(no: sacct -n -X\)"),
    (True, {"sacct": 0, "sbatch": 1},
     r"Slurm refuses a first job \(no: sbatch --test-only --account=scenes --partition=short --wrap true\)"),
    (True, {"sacct": 0, "sbatch": 0}, None),
])  # fmt: skip
def test_what_slurm_lacks_is_said_in_one_line(plugin, codes, message, tmp_path, monkeypatch):
    for name, code_ in codes.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho no: {name} "$@" >&2\nexit {code_}\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(series.importlib.util, "find_spec", lambda name: name if plugin else None)
    options = ["--executor", "slurm", "--default-resources", "slurm_account=scenes", "slurm_partition=short"]
    if message is None:
        series.check_slurm(options)
    else:
        with pytest.raises(SceneError, match=message) as caught:
            series.check_slurm(options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [["--executor", "slurm"], ["--executor=slurm"], ["-e", "slurm"], ["-eslurm"]])
def test_slurm_is_looked_at_however_it_is_asked_for(options, project, monkeypatch):
    def refused(asked):
        raise SceneError(f"looked at {asked}")

    monkeypatch.setattr(series, "check_slurm", refused)
    with pytest.raises(SceneError, match="looked at"):
        series.run("sample", options=[*options, "--jobs", "8"])


# --- the command line, and what the project says of itself


def test_help_is_instant_and_errors_are_one_line(project, monkeypatch, capsys):
    before = os.times()
    code_, text = call(PROJECT, "--help")
    seconds = sum(os.times()[2:4]) - sum(before[2:4])  # of the processor: other tests run beside this one
    assert code_ == 0 and "publish" in text and seconds < 1
    monkeypatch.setenv("ONLY", "02_lenet 05_vgg")
    assert command_line.main(["report"]) == 1
    assert capsys.readouterr().err.startswith("error: ONLY: there is no notebook '05_vgg'; known: 02_lenet, ")
    monkeypatch.delenv("ONLY")
    assert command_line.main(["report", "--profile", "long"]) == 1
    assert capsys.readouterr().err == "error: profile 'long' is unknown; known: sample, short, full\n"
    monkeypatch.setenv("SCENE_RUNS_DIR", str(project / "Snakefile" / "runs"))
    assert command_line.main(["report"]) == 1
    text = capsys.readouterr().err
    assert "Not a directory; mend that" in text and text.count("\n") == 1


RUN = SimpleNamespace(name="lenet.sample.s0", status="finished", correct=5, total=6, judged_on="test set", seed=1,
                      dataset={"commit": "c"}, date="2026", accuracy=0.5, key="k",
                      answers=lambda of: np.array([0, 1]))  # fmt: skip
JUDGED = {  # command: what stands in for its work, and the sets that its last line names
    "train lenet": ({"experiments.run": RUN}, "test set"),
    "case mixup": ({"experiments.run_case": None}, "hold-out"),
    "case order": ({"lessons.orders.run": pd.DataFrame()}, "hold-out"),
    "case": ({"lessons.verdicts.status": pd.DataFrame()}, "hold-out test set sealed set"),
    "case --status --judge": ({"lessons.verdicts.status": pd.DataFrame(), "lessons.verdicts.judge": ["mixup"]},
                              "test set sealed set"),
    "project mixup": ({"lessons.project.committed": "c",
                       "experiments.sets": [0, SimpleNamespace(labels=torch.arange(2))],
                       "lessons.project.runs": {"plain": [RUN] * 2, "mixup": [RUN] * 2}}, "hold-out verdict"),
    "live rate": ({"lessons.live.record": "rate.json"}, "hold-out"),
    "report": ({"report.series.run": "report.html"}, "test set hold-out"),
    "publish-runs": ({"report.publish.publish_runs": ["a"], "report.publish.write_tables": None}, "test set hold-out"),
    "predictions": ({"predictions.write": pd.DataFrame({"model": ["a"], "seed": [0]})}, "test set hold-out"),
    "cards": ({"lessons.cards.write": ["MODEL_CARD.md"]}, "test set hold-out"),
    "check-numbers": ({}, "test set hold-out"),
}  # fmt: skip
# their own tests look at the last lines of the first two; the others judge nothing
OTHERS = "classify publish fetch app estimate student colab site grade execute assemble"


@pytest.mark.parametrize("line", JUDGED)
def test_the_last_line_says_which_set_was_judged(line, monkeypatch, capsys):
    work, sets = JUDGED[line]
    for name, result in work.items():
        monkeypatch.setattr(f"scene_utils.{name}", lambda *_, result=result, **__: result)
    assert command_line.main(line.split()) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert all(each in last for each in re.findall("hold-out|test set|sealed set|verdict", sets)), last


def test_each_command_that_judges_is_looked_at():
    assert set(command_line.OPTIONS) == {line.split()[0] for line in JUDGED} | set(OTHERS.split())


def test_what_is_slow_to_import_waits_until_it_is_needed():
    """Each of these takes from a third of a second to more than one; every kernel and ``classify`` would pay it."""
    slow = "captum cleanlab jsonschema nbformat optuna papermill sklearn snakemake timm torch._dynamo torchvision"
    heavy = {"__main__": f"{slow} numpy torch", "report.series": f"{slow} numpy torch",
             "classify": f"{slow} IPython matplotlib scipy.stats statsmodels", "lessons.course": slow,
             "lessons.checks": "sklearn torch._dynamo torchvision"}  # fmt: skip
    script = f"""
import importlib, sys
for module, names in {heavy}.items():
    importlib.import_module("scene_utils." + module)
    print(module, *(set(names.split()) & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout.splitlines() == list(heavy), done


def test_readme_shows_the_published_records():
    for path, table in (("README.md", publish.results_table), ("notebooks/README.md", publish.lesson_table)):
        text = (PROJECT / path).read_text(encoding="utf-8")
        assert publish.with_table(text, table()) == text, "stale; run make publish"
    text = f"a\n{publish.BEGIN}\nold\n{publish.END}\nb"
    assert publish.with_table(text, "| \\1 |") == f"a\n{publish.BEGIN}\n| \\1 |\n{publish.END}\nb"
    with pytest.raises(SceneError, match="README.md needs the lines"):
        publish.with_table("a", "b")


def test_table_shows_the_best_reading_on_the_report_s_own_test_set(monkeypatch):
    def run(profile, correct, total, seed=0):
        recipe = {"input_size": 96, "mixup": 0.2, "augmentation": "flip", "distillation": 0}
        fields = {"experiment": "lenet", "status": "finished", "dataset": {"commit": data.COMMIT}}
        fields |= {"correct": correct, "total": total, "accuracy": correct / total, "recipe": recipe, "counted": []}
        return SimpleNamespace(profile=profile, seed=seed, **fields)

    runs = [run("sample", 90, 96), run("full", 3000, 3407, seed=1), run("short", 2800, 3407)]
    monkeypatch.setattr(results, "records", lambda published: runs)
    row = "| LeNet | 0.7945 | **0.8218** | 0.8086 to 0.8343 | 2,800 of 3,407 | images of 96 pixels | – |"
    assert publish.results_table().splitlines()[2] == row
    runs.append(run("full", 2900, 3407))
    assert "2,900 of 3,407 |" in publish.results_table().splitlines()[2]


def test_the_citation_file_and_the_requirements_say_what_is_there():
    """Nothing is missing in requirements.txt, and nothing in it is unused."""
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"message", "title"} <= cited.keys() and cited["cff-version"] == "1.2.0" and cited["license"] == "MIT"
    assert cited["authors"] == [{"name": "Scene classification course contributors"}]
    assert cited["version"] == __version__
    known = {"PIL": "pillow", "sklearn": "scikit-learn", "bs4": "beautifulsoup4"}
    optional = {"pillow_heif", "gradio", "jinja2", "onnx", "onnxruntime"}  # used where it is installed
    own = {"scene_utils", "IPython", *optional, *sys.stdlib_module_names}
    modules = {p for name in series.notebooks() for p in series.sources(name) if p.suffix == ".py"}
    sources = [p.read_text(encoding="utf-8") for p in modules]
    sources += ["\n".join(code_of(path)) for path in (PROJECT / "notebooks").glob("*.ipynb")]
    found = {m for s in sources for m in re.findall(r"^\s*(?:import|from) (\w+)", s, flags=re.MULTILINE)}
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    required = {re.match(r"[\w-]+", line)[0] for line in lines if line[0] != "#"} - {"ipykernel"}
    assert {known.get(name, name) for name in found - own} == required
