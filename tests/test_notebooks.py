"""What must hold for every committed notebook, beside what ``pytest --nbval notebooks`` compares."""

import json
import re
import statistics
import tempfile
from copy import deepcopy

import nbformat
import papermill
import pytest

from scene_utils.report import colab, publish, series
from scene_utils.support import settings
from scene_utils.text.shown import MIME
from tests.interactive import WIDGET, noise

PATHS = [series.notebooks_dir() / f"{name}.ipynb" for name in sorted(series.notebooks())]
FOLDERS = "|".join(["/home", "/Users", "/root", "/work", tempfile.gettempdir(), re.escape(str(settings.project_dir()))])
MACHINE = re.compile(rf"(?<![\w.])(?:{FOLDERS})/|site-packages")


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    content = nbformat.read(path, as_version=4)
    nbformat.validate(content)
    return content


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def without_pictures(text):
    return re.sub(r'"image/[\w+]+": (\[[^\]]*\]|"(\\.|[^"\\])*")|base64,[A-Za-z0-9+/=]+', "", text)


def test_outputs_without_errors_and_stderr(notebook):
    cells = [cell for cell in code_cells(notebook) if cell.source.strip()]
    assert any(cell.outputs for cell in cells), "no outputs; run make publish"
    assert noise([o for cell in cells for o in cell.outputs]) == []


@pytest.mark.parametrize("data, seen", [
    ({"text/plain": "FileUpload(value=(), description='Photos')"}, True),
    ({"text/plain": "VBox(children=())", WIDGET: {"model_id": "1"}}, False),
    ({"text/plain": "<IPython.core.display.HTML object>", "text/html": "<b>1</b>"}, False),
    ({"text/plain": "<Figure size 640x480 with 1 Axes>"}, True),
    ({"text/plain": "  0%|          | 0/3 [00:00<?, ?it/s]"}, True),
    ({"text/plain": "Recipe(epochs=1)"}, False),
])  # fmt: skip
def test_noise_is_what_no_reader_should_meet(data, seen):
    assert bool(noise([{"output_type": "display_data", "data": data}])) == seen
    assert noise([{"output_type": "stream", "name": "stdout", "text": "fine"}]) == []
    assert noise([{"output_type": "stream", "name": "stderr", "text": "a warning"}]) == ["stderr: a warning"]


def test_nothing_of_a_machine_or_of_papermill(path):
    text = path.read_text(encoding="utf-8")
    assert MACHINE.findall(without_pictures(text)) == []
    content = json.loads(text)
    assert "papermill" not in content["metadata"]
    for cell in content["cells"]:
        assert "papermill" not in cell["metadata"] and "execution" not in cell["metadata"]
        assert "injected-parameters" not in cell["metadata"].get("tags", [])


def test_parameters_kernel_and_a_first_cell_that_helps_in_a_fresh_session(path, notebook):
    assert sum("parameters" in tags(cell) for cell in notebook.cells) == 1
    defaults = {name: each["default"] for name, each in papermill.inspect_notebook(str(path)).items()}
    assert defaults["profile"] == "None" and defaults["seed"] == "0"
    assert notebook.metadata.kernelspec.name == series.KERNEL
    assert code_cells(notebook)[0].id == colab.ID


def test_the_first_cell_and_the_badge_say_the_address_that_is_set(path, notebook):
    assert colab.with_address(deepcopy(notebook), path.stem, colab.repository()) == notebook
    there = colab.with_address(deepcopy(notebook), path.stem, "https://github.com/a/b")
    assert f"github/a/b/blob/main/notebooks/{path.name})" in there.cells[0].source
    assert 'REPOSITORY = "https://github.com/a/b"\n' in code_cells(there)[0].source
    assert publish.without_solutions(deepcopy(there)).cells[0] == notebook.cells[0]  # a class gets no badge
    back, ours = (colab.with_address(each, path.stem, "") for each in (there, notebook))
    assert [cell.source for cell in back.cells] == [cell.source for cell in ours.cells]


def test_size_and_short_cells(path, notebook):
    assert path.stat().st_size < 1_500_000
    lines = [cell.source.count("\n") + 1 for cell in code_cells(notebook)]
    assert max(lines) <= 40 and statistics.median(lines) < 10


def test_no_scripts_and_nothing_from_elsewhere(notebook):
    shown = [o.data for cell in code_cells(notebook) for o in cell.outputs if "data" in o]
    pages = [str(data.get("text/html", "")) + str(data.get("image/svg+xml", "")) for data in shown]
    foreign = re.compile(r"<script|<iframe|<link|src=[\"'](?!data:)|url\((?!#)|@import")
    assert not [page for page in pages if foreign.search(page)]
    kinds = {kind for data in shown for kind in data} - {MIME}
    assert not [kind for kind in kinds if kind.startswith(("application/javascript", "application/vnd."))]


def test_solutions_are_right_and_the_last_cell_asserts_folded(notebook):
    solutions = [cell for cell in code_cells(notebook) if "solution" in tags(cell)]
    checked = [cell for cell in solutions if "checks." in cell.source]
    assert len(checked) >= 3 and all("right" in json.dumps(cell.outputs) for cell in checked)
    last = code_cells(notebook)[-1]
    assert "assert" in last.source and last.metadata.get("jupyter", {}).get("source_hidden") is True
