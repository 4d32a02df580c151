"""The first lessons: my_scene.py, the pages, the glossary."""

import linecache
import re

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scene_utils.lessons import mine, our_scene
from scene_utils.report import publish, series
from scene_utils.support.settings import SceneError

LESSONS = ("00a_neuron", "00b_training", "00c_convolution", "01_data", "02_lenet", "03_custom_lenet", "04_alexnet")
GLOSSARY = series.notebooks_dir() / "glossary.md"


def define(source, name):
    """A class or function as a notebook cell defines it: its source can be found, its module is not a file."""
    filename = f"<cell {abs(hash(source))}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope = {"torch": torch, "F": F, "nn": nn}
    exec(compile(source, filename, "exec"), scope)
    return scope[name]


# --- my_scene.py


EVALUATE = """
def helper(net):
    net.eval()

@torch.no_grad()
def evaluate(net, loader):
    helper(net)
    logits, labels = (torch.cat(part) for part in zip(*[(net(x), y) for x, y in loader]))
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()
"""


def test_a_right_piece_is_kept_replaced_and_used(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert mine.use("evaluate") is our_scene.evaluate
    first = EVALUATE.replace("helper(net)\n    logits", "net.eval()\n    logits")
    mine.keep(define(first, "evaluate"))
    mine.keep(define("class SceneDataset:\n" + CLASS, "SceneDataset"))
    mine.keep(define(first.replace("labels).item()", "labels)"), "evaluate"))
    assert capsys.readouterr().out == "evaluate: ours\n" + "right\nkept in my_scene.py\n" * 3
    text = (tmp_path / "my_scene.py").read_text()
    assert text.count("def evaluate") == text.count("@torch.no_grad()") == text.count("class SceneDataset") == 1
    assert "helper" not in text and "labels), (logits" in text
    own = mine.use("evaluate")
    assert own is not our_scene.evaluate and own.__module__ != our_scene.__name__
    assert mine.use("conv2d") is our_scene.conv2d
    assert capsys.readouterr().out == "evaluate: yours, from my_scene.py\nconv2d: ours\n"


CLASS = """
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index].float() / 127.5 - 1, int(self.labels[index])
"""


def test_what_is_wrong_or_needs_other_cells_is_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine.keep(define(EVALUATE, "evaluate"))
    told = capsys.readouterr().out
    assert told.startswith("right\nnot kept in my_scene.py: ") and "'helper' is not defined" in told
    mine.keep(define("def evaluate(net, loader):\n    return 0.0, 0.0\n", "evaluate"))
    mine.keep(define("def batches(dataset, size, shuffle=False):\n    yield ...\n", "batches"))
    assert re.fullmatch("not yet: .*\nnot answered yet\n", capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    with pytest.raises(SceneError, match="no lesson asks for 'other'"):
        mine.keep(define("def other():\n    pass\n", "other"))


@pytest.mark.parametrize("text", ["def evaluate(:", "1 / 0", "def evaluate(net, loader):\n    return 1, 2\n", ""])
def test_a_broken_module_does_not_stop_a_page(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_scene.py").write_text(text)
    assert mine.use("evaluate") is our_scene.evaluate


# --- the pages


@pytest.fixture(params=LESSONS)
def lesson(request):
    return nbformat.read(series.notebooks_dir() / f"{request.param}.ipynb", as_version=4)


def text_of(cell):
    """All that a cell prints; a busy machine may send it in parts."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def ids(notebook, prefix):
    return {cell.id.removeprefix(prefix): cell for cell in notebook.cells if cell.id.startswith(prefix)}


def test_every_blank_has_a_check_and_a_solution_that_is_right(lesson):
    solutions = ids(lesson, "solution-")
    blanks = {**ids(lesson, "exercise-"), **ids(lesson, "write-")}
    checked = {**ids(lesson, "check-"), **ids(lesson, "keep-")}
    assert 4 <= sum(cell.cell_type == "code" for cell in ids(lesson, "exercise-").values()) <= 5
    for name, solution in solutions.items():
        assert series.tagged(solution, "solution")
        assert "= None" in blanks[name].source or "..." in blanks[name].source
        assert text_of(checked[name]) == "not answered yet\n"
    assert len(solutions) == len(checked)


def test_a_student_who_fills_in_a_page_gets_a_module(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENE_TRAIN", "0")
    notebook = nbformat.read(series.notebooks_dir() / "00b_training.ipynb", as_version=4)
    solutions = ids(notebook, "solution-")
    student = publish.without_solutions(notebook)
    for cell in student.cells:
        kind, _, name = cell.id.partition("-")
        if name in solutions and kind == "write":
            source = re.sub(r"\n+checks\..*", "", solutions[name].source)
            cell.source = source.replace("SolutionDataset", "SceneDataset").replace("def solution_", "def ")
        elif name in solutions and kind == "exercise" and name != "3":  # its solution uses another's
            answer, blank = (re.search(r"(\w+)(?:\)$| = None)", each.source)[1] for each in (solutions[name], cell))
            cell.source = re.sub(r"checks\..*", "", solutions[name].source).replace(answer, blank)
    path = series.write_notebook(student, tmp_path / "00b_training.ipynb")
    done = series.execute(path, tmp_path / "done" / "00b_training.ipynb", {"profile": "sample"})
    executed = nbformat.read(done, as_version=4)
    told = {name: text_of(cell) for name, cell in {**ids(executed, "keep-"), **ids(executed, "check-")}.items()}
    kept = ("dataset", "batches", "train-epoch", "evaluate")
    assert all(told.pop(name) == "right\nkept in my_scene.py\n" for name in kept)
    assert told.pop("3") == "not answered yet\n" and all(text.endswith("right\n") for text in told.values())
    monkeypatch.chdir(tmp_path)
    for name in ("SceneDataset", "batches", "train_epoch", "evaluate"):
        assert mine.use(name) is not getattr(our_scene, name)


# --- the glossary


def test_glossary_has_every_term_that_pages_link_to_in_both_languages():
    text = GLOSSARY.read_text(encoding="utf-8")
    english, korean = text.split("## 한국어")
    terms = re.findall(r"^### (.+)$", english, flags=re.MULTILINE)
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", korean, flags=re.MULTILINE)[1:]
    assert terms == sorted(terms) == [term for term, _, _ in rows] and len(set(terms)) == len(terms)
    assert all(meaning.endswith(".") and re.search("[가-힣]", meaning) for _, _, meaning in rows)
    anchors = {term.replace(" ", "-") for term in terms}
    linked = set()
    for path in series.notebooks_dir().glob("*.ipynb"):
        linked |= set(re.findall(r"glossary\.md#([^)]+)\)", path.read_text(encoding="utf-8")))
    assert linked and linked <= anchors
    assert all((series.notebooks_dir() / name).exists() for name in re.findall(r"\((\w+\.ipynb)\)", english))
