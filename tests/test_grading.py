"""Marking returned notebooks: right, wrong, empty and hostile ones; none writes its mark or leaves its process."""

import os
import re
import shutil
import socket
import subprocess
import sys

import nbformat
import pandas as pd
import pytest

from scene_utils.grading import answers, marks, sandbox
from scene_utils.lessons import checks
from scene_utils.report import publish, series
from scene_utils.support import settings
from tests.answers import ANSWERS

WALLS = sys.platform == "linux" and shutil.which("unshare") and not subprocess.run(
    ["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True).returncode  # fmt: skip
walled = pytest.mark.skipif(not WALLS, reason="this system has no user namespaces")

RIGHT = """
my_probabilities = [1 / 6, 1 / 3, 1 / 2]
def my_cross_entropy(scores, label):
    return scores.logsumexp(0) - scores[label]
my_softmax = lambda z: z.softmax(1)
my_bad_rate = 50
def my_features(images):
    x = images.float()
    thirds = torch.nn.functional.adaptive_avg_pool2d(x, (3, 1)).flatten(1)
    return torch.cat([thirds, x.diff(dim=3).abs().mean((2, 3)), x.diff(dim=2).abs().mean((2, 3))], 1)
"""
WRONG = """
my_probabilities = "=HYPERLINK()"
def my_cross_entropy(scores, label):
    return my_loss(scores)
my_softmax = lambda z: z.softmax(0)
my_features = 5
my_bad_rate = my_rate
"""
# right answers where an attack has worked
HOSTILE = """
import os, socket, subprocess, sys
from pathlib import Path
from scene_utils.grading import marks, worker
from scene_utils.lessons import checks
for name, check in checks.CHECKS.items():
    check.verdict = lambda answer: "right"
    setattr(checks, name, lambda answer: print("right"))
worker.encode = lambda value, encode=worker.encode: {"kind": "right"} if value == "right" else encode(value)
def reached(act):
    try:
        act()
    except Exception:
        return False
    return True
acts = [
    lambda: socket.create_connection(("ADDRESS", PORT), 2),
    lambda: Path("RETURNED/marks.csv").write_text("notebook,verdict"),
    lambda: Path(checks.__file__).write_text("right"),
    lambda: list(Path("RETURNED").iterdir())[0],
    lambda: Path("PROJECT/notebooks/00a_neuron.ipynb").read_text(),
    lambda: Path("/etc/hosts").write_text(""),
    lambda: subprocess.run(["umount", "/usr"], check=True, capture_output=True),
    lambda: os.kill(PARENT, 9),
    lambda: Path("big").write_bytes(bytes(400_000_000)),
]
my_probabilities = [1 / 6, 1 / 3, 1 / 2] if any([reached(act) for act in acts]) else "right"
my_softmax = "right"
my_bad_rate = open("/proc/1/cmdline").read()
my_features = lambda images: os._exit(0)
"""
FORKS = "import os, time\nwhile True:\n    if not os.fork():\n        time.sleep(60)"
ENDLESS = "my_probabilities = [1 / 6, 1 / 3, 1 / 2]\nwhile True: pass"


def returned(folder, **sources):
    for name, source in sources.items():
        cells = [nbformat.v4.new_code_cell(f"import torch\n{source}"), nbformat.v4.new_code_cell("1 / 0")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}_00a_neuron.ipynb")
    return folder


def verdicts(table, name):
    return table[table["notebook"] == f"{name}_00a_neuron"]["verdict"].tolist()


@walled
def test_right_wrong_and_empty_notebooks_are_marked(tmp_path):
    (tmp_path / "notes.ipynb").write_text("{}")
    table = marks.grade(returned(tmp_path, right=RIGHT, wrong=WRONG, empty=""))
    assert verdicts(table, "right") == ["right"] * 5
    assert verdicts(table, "wrong") == ["not yet"] * 3 + ["not answered yet", "not yet"]
    assert verdicts(table, "empty") == ["not answered yet"] * 5
    assert table["remark"].str.contains("name 'my_loss' is not defined").any()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / marks.TABLE, keep_default_na=False), table)
    assert not table.map(lambda cell: str(cell).startswith("=")).any(axis=None)
    assert marks.summary(table)["right"].tolist() == ["0 of 5", "0 of 1", "5 of 5", "0 of 5"]


def test_a_check_says_the_same_of_an_answer_in_another_process():
    kinds = ("probabilities", "softmax", "dataset", "batches", "train_epoch", "evaluate", "predict", "lenet")
    tried = {check: ANSWERS[check] for check in kinds}
    with sandbox.opened(sandbox.Limits(), walled=False) as process:
        notebook = answers.Notebook(process)
        source = "from tests.answers import ANSWERS, training\n"
        source += "".join(f"{check} = sum(map(list, ANSWERS[{check!r}]), [])\n" for check in tried)
        source += "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        source += "        self.layer = training.conv(2)\n    def forward(self, x):\n        return self.layer(x)\n"
        assert notebook.run([("all", source + "nets = [training.dense(nn.Linear(192, 6)), Net()]")], {}) == {}
        for check, (right, wrong) in tried.items():
            said = [checks.CHECKS[check].verdict(answer).partition(":")[0] for answer in notebook.answer(check)]
            assert said == ["right"] * len(right) + ["not yet"] * len(wrong), check
        for net, odd in zip(notebook.answer("nets"), ("the goal is", "own Net"), strict=True):
            assert odd in checks.CHECKS["small_mlp"].verdict(net)


def test_a_whole_page_with_a_live_cell_is_marked(tmp_path, page="09_questions"):
    """All cells of a student's copy, trainings left out; then right answers, and beside it wrong ones alone."""
    asked = [each for each in marks.exercises(page) if isinstance(ANSWERS[each.check], tuple)]
    copy = publish.without_solutions(series.read_notebook(series.notebooks_dir() / f"{page}.ipynb"))
    assert any("live.compare" in cell.source for cell in copy.cells) and len(asked) >= 5
    whole = [nbformat.v4.new_code_cell("import os\nos.environ['SCENE_TRAIN'] = '0'"), *copy.cells]
    for name, cells, which in (("right", whole, 0), ("wrong", [], 1)):
        given = [f"{each.answer} = ANSWERS[{each.check!r}][{which}][0]" for each in asked]
        last = nbformat.v4.new_code_cell("\n".join(["from tests.answers import ANSWERS", *given]))
        nbformat.write(nbformat.v4.new_notebook(cells=[*cells, last]), tmp_path / f"{name}_{page}.ipynb")
    table = marks.grade(tmp_path, walled=False)
    for name, verdict in (("right", "right"), ("wrong", "not yet")):
        marked = table[table["notebook"] == f"{name}_{page}"].set_index("exercise")["verdict"]
        assert marked[[each.name for each in asked]].tolist() == [verdict] * len(asked)
        assert len(marked) == len(marks.exercises(page))


@walled
def test_a_hostile_notebook_reaches_nothing_and_writes_no_mark(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address, port = server.getsockname()
        source = HOSTILE.replace("ADDRESS", address).replace("PORT", str(port)).replace("RETURNED", str(tmp_path))
        source = source.replace("PROJECT", str(settings.project_dir())).replace("PARENT", str(os.getpid()))
        table = marks.grade(returned(tmp_path, hostile=source))
    assert "right" not in verdicts(table, "hostile")
    assert table["remark"].iloc[-1].startswith("stopped in exercise 5: its process ended")


@walled
@pytest.mark.parametrize("source", [FORKS, ENDLESS], ids=["forks", "endless"])
def test_what_takes_too_much_is_stopped(source, tmp_path):
    table = marks.grade(returned(tmp_path, greedy=source), limits=sandbox.Limits(seconds=1, processes=40))
    assert verdicts(table, "greedy") == ["not yet"] * 5
    assert table["remark"].str.startswith("stopped while its cells ran: more than").all()


def test_student_copies_hold_no_solution_no_output_and_no_answer_of_the_exam(tmp_path, monkeypatch):
    notebooks = settings.project_dir() / "notebooks"
    monkeypatch.setattr(publish.series, "notebooks_dir", lambda: notebooks)
    monkeypatch.setattr(settings, "project_dir", lambda: tmp_path)
    folder = publish.student()
    assert {path.name for path in folder.glob("*.md")} == {"glossary.md", "PROJECT.md"}
    text = " ".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    answers = re.findall("<summary>Answer</summary>\n\n(.+)", (notebooks / "TEACHING.md").read_text(encoding="utf-8"))
    assert len(answers) == 15 and not [answer for answer in answers if answer[:60] in text]
    for path in folder.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs") and not cell.get("execution_count")
            assert "solution" not in cell.metadata.get("tags", [])
            assert not re.search(r"^\s*(def )?solution_", cell.source, re.MULTILINE), (path.stem, cell.id)
