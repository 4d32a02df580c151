"""A reader in JupyterLab, in a browser: run all, stop a training and go on, restart, out of order, choose a photo."""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from scene_utils.report import series
from tests.interactive import noise

TOKEN = "a-token-for-this-server-alone"
SECONDS = 300  # for everything on a page

# A page with one training of some seconds, which keeps a checkpoint in its own folder.
TRAINING = [
    """from pathlib import Path
import torch
from scene_utils import catalogue, experiments, models, training
train, holdout, _ = experiments.sets("sample")
recipe = catalogue.get("lenet").recipe("sample").replace(epochs=40, images=96, precision="float32")""",
    """torch.manual_seed(0)
history = training.fit(models.LeNet(), train, holdout, recipe, Path("net.pt"), name="net")""",
    """print(len(history.epochs), history.status)""",
]

# The page that is open: its code cells, and whether it works at something.
STATE = """() => {
  const panel = jupyterapp.shell.currentWidget;
  const cells = panel.content.widgets.filter(cell => cell.model.type === 'code');
  return {
    kernel: panel.sessionContext.session?.kernel?.status, running: window.running,
    cells: cells.map(cell => ({source: cell.model.sharedModel.source, count: cell.model.executionCount,
                               idle: [null, 'idle'].includes(cell.model.executionState)})),
  };
}"""
# What its code cells show: pictures, so not to be asked for all the time.
OUTPUTS = """() => jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code')
  .map(cell => cell.model.outputs.toJSON())"""


class Page:
    """A notebook that is open in JupyterLab."""

    def __init__(self, tab, address: str, name: str) -> None:
        self.tab = tab
        tab.goto(f"{address}/lab/workspaces/{time.monotonic_ns()}/tree/{name}?token={TOKEN}")
        tab.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady", timeout=SECONDS * 1000)
        self.wait(lambda state: state["kernel"] == "idle")

    def state(self) -> dict:
        return self.tab.evaluate(STATE)

    def outputs(self) -> list[list[dict]]:
        return self.tab.evaluate(OUTPUTS)

    def text(self) -> str:
        """What the code cells say."""
        return "".join(str(each.get("text", each.get("data", each))) for cell in self.outputs() for each in cell)

    def wait(self, condition) -> None:
        end = time.monotonic() + SECONDS
        while not condition(state := self.state()):
            assert time.monotonic() < end, f"waited too long: {state['kernel']}, {self.text()[-500:]}"
            time.sleep(0.1)

    def start_all(self) -> None:
        """Give the command of the menu's *Run All Cells*."""
        self.forget(*range(len(self.state()["cells"])))
        self.tab.wait_for_function("jupyterapp.commands.isEnabled('notebook:run-all-cells')")
        self.tab.evaluate("""() => {
          window.running = true;
          jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.running = false; });
        }""")

    def finished(self) -> None:
        """Wait until every cell has run or one has failed."""
        self.wait(lambda state: state["kernel"] == "idle" and not state["running"])

    def run_all(self) -> None:
        self.start_all()
        self.finished()

    def forget(self, *numbers: int) -> None:
        """Take the numbers off code cells, so that a new one shows that the cell has run again."""
        self.tab.evaluate("""numbers => {
          const cells = jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code');
          for (const number of numbers) cells[number].model.executionCount = null;
        }""", numbers)

    def select(self, number: int) -> None:
        """Make the code cell of this number the active one, scrolled to."""
        self.tab.evaluate("""number => {
          const notebook = jupyterapp.shell.currentWidget.content;
          const code = notebook.widgets.filter(cell => cell.model.type === 'code')[number];
          notebook.activeCellIndex = notebook.widgets.indexOf(code);
          notebook.deselectAll();
          notebook.node.focus();
          return notebook.scrollToItem(notebook.activeCellIndex, 'center');
        }""", number)

    def start(self, number: int) -> None:
        self.select(number)
        self.forget(number)
        self.tab.keyboard.press("Control+Enter")

    def run(self, number: int) -> None:
        self.start(number)
        self.wait(lambda state: state["kernel"] == "idle" and state["cells"][number]["idle"]
                  and state["cells"][number]["count"])  # fmt: skip

    def rewrite(self, number: int, source: str) -> None:
        """Type another source into a code cell."""
        self.select(number)
        for key in ("Enter", "Control+A"):
            self.tab.keyboard.press(key)
        self.tab.keyboard.insert_text(source)
        self.wait(lambda state: state["cells"][number]["source"] == source)

    def button(self, command: str) -> None:
        """Press a button of the notebook's toolbar."""
        self.tab.locator(f'[data-command="notebook:{command}"]').first.click()

    def number(self, text: str) -> int:
        """The code cell that has this text in its source."""
        return next(i for i, cell in enumerate(self.state()["cells"]) if text in cell["source"])

    def check_clean(self) -> None:
        """Assert that every cell has run, without an error or noise."""
        assert [line for outputs in self.outputs() for line in noise(outputs)] == []
        assert [cell["source"] for cell in self.state()["cells"] if cell["source"].strip() and not cell["count"]] == []

    def classify(self, number: int, photo: Path) -> None:
        """Choose a photo with the button below a code cell, and wait for its picture."""
        self.select(number)
        with self.tab.expect_file_chooser() as chooser:
            self.tab.get_by_role("button", name="Photos").click()
        chooser.value.set_files(photo)
        self.tab.locator(".jupyter-widgets img, .jupyter-widgets svg").first.wait_for(timeout=SECONDS * 1000)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A copy of the notebooks: JupyterLab saves what it shows."""
    return Path(shutil.copytree(series.notebooks_dir(), tmp_path_factory.mktemp("lab") / "notebooks"))


@pytest.fixture(scope="module")
def address(root):
    """JupyterLab's own server, with the runs folder and the empty home of the tests."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
               f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={TOKEN}", "--ServerApp.port_retries=0",
               "--LabApp.expose_app_in_browser=True",
               "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]  # fmt: skip
    server = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={TOKEN}").close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, "JupyterLab does not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def tab(browser, address):
    return browser.new_page(viewport={"width": 1280, "height": 900})


@pytest.fixture
def open_page(tab, address):
    """A function that opens a notebook; its kernel ends with the test."""
    yield lambda name: Page(tab, address, f"{name}.ipynb")
    tab.evaluate("""async () => {
      const panel = jupyterapp.shell.currentWidget;
      await panel.context.save();  // nothing unsaved: no question when the page is left
      await panel.sessionContext.shutdown();
    }""")


def epochs(checkpoint: Path) -> list[dict]:
    return torch.load(checkpoint, weights_only=True)["history"]["epochs"]


def in_training(page: Page, since: int = 0) -> bool:
    """Whether some epochs are done; the page is looked at now and then, so no epoch's line is seen for certain."""
    return any(int(epoch) >= since + 3 for epoch in re.findall(r"net: epoch (\d+)/", page.text()))


def test_run_all_twice_out_of_order_and_with_other_parameters(open_page):
    page = open_page("03_custom_lenet")
    for _ in range(2):
        page.run_all()
        page.check_clean()
    for number in range(len(page.state()["cells"]) - 1, 0, -10):
        page.run(number)
        page.check_clean()
    page.rewrite(1, "profile = None\nseed = 1")
    page.run(1)
    page.run(page.number('experiments.run("custom_lenet"'))
    page.check_clean()
    assert "custom_lenet.sample.s1" in page.text() and "profile sample, seed 1" in page.text()


def test_a_photo_is_classified_at_the_start_of_the_first_page(open_page, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my photo.png")
    page = open_page("01_data")
    number = page.number("classify.own_photo")
    for earlier in range(number + 1):
        page.run(earlier)
    page.classify(number, tmp_path / "my photo.png")


def test_a_training_goes_on_after_an_interrupt_and_after_a_restart_of_the_kernel(root, open_page):
    content = new_notebook(cells=[new_code_cell(source) for source in TRAINING])
    content.metadata.kernelspec = {"name": series.KERNEL, "display_name": series.KERNEL, "language": "python"}
    nbformat.write(content, root / "page.ipynb")
    page, checkpoint, done = open_page("page"), root / "net.pt", []
    page.start_all()
    page.wait(lambda _: in_training(page))
    page.button("interrupt-kernel")
    page.finished()
    assert "run the same again to go on from there" in page.text() and "KeyboardInterrupt" in page.text()
    done.append(epochs(checkpoint))
    page.start(1)
    page.wait(lambda _: in_training(page, len(done[0])))
    page.button("restart-kernel")
    page.tab.locator(".jp-Dialog button.jp-mod-accept").click()
    page.wait(lambda state: state["kernel"] == "idle")
    done.append(epochs(checkpoint))
    page.run_all()
    page.check_clean()
    assert page.outputs()[2][0]["text"] == "40 finished\n"
    assert 3 <= len(done[0]) < len(done[1]) < 40
    assert all(epochs(checkpoint)[: len(before)] == before for before in done)
