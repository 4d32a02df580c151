"""Small images, experiments, notebooks, records and a small checkout; what the system refuses."""

import dataclasses
import errno
import os
import re
import shutil

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from torch import nn

from scene_utils import data, experiments, results
from scene_utils.catalogue import EXPERIMENTS, Experiment
from scene_utils.recipe import Recipe
from scene_utils.support import settings
from scene_utils.text.shown import MIME, to_json

PROJECT = settings.project_dir()
PARAMETERS = "profile = None\nseed = 0"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

RECIPE = Recipe(epochs=1, batch_size=64, learning_rate=0.01, precision="float32")


def net(classes=6, weights=None, strides=None):
    """A linear model on 16 colours."""
    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, classes))


def tiny(**changes):
    """An experiment of a second."""
    return Experiment("tiny", "Tiny", "tiny", net, {"short": RECIPE, "sample": RECIPE.replace(**changes)})


@pytest.fixture
def declare(monkeypatch):
    """A function that puts a tiny experiment with these options into the catalogue, and returns it."""

    def declare(name="tiny", recipe=None, **options):
        experiment = dataclasses.replace(tiny(**recipe or {}), name=name, **options)
        monkeypatch.setitem(EXPERIMENTS, name, experiment)
        return experiment

    return declare


def pictures(folder, counts, size=(64, 64), grey=False):
    """A dataset: ``{"train/sea": 3}`` makes three images there, of one colour for each class and much noise."""
    generator = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        colour = np.random.default_rng(list(name.split("/")[-1].encode())).integers(40, 216, 3)
        for i in range(count):
            pixels = (colour + generator.integers(-40, 40, (size[1], size[0], 3))).astype(np.uint8)
            Image.fromarray(pixels).convert("L" if grey else "RGB").save(folder / name / f"{i}.png")
    return folder


def split_of(labels, classes="ab", images=0):
    """A split of these images, or of images that are this grey or these greys all over."""
    images = torch.as_tensor(images, dtype=torch.uint8)
    if images.ndim < 4:
        images = images.view(-1, 1, 1, 1).expand(len(labels), 3, 64, 64)
    names = tuple(f"train/{classes[label]}/{i}.png" for i, label in enumerate(labels))
    return data.Split(images, torch.as_tensor(labels), tuple(classes), names)


def refuse(monkeypatch, call, code=errno.ENOSPC):
    """Let the system refuse a call, given as ``module.name``: no room, no permission."""

    def refused(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(call, refused)


def script(path, lines):
    """Write a program for the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


class Malicious:
    """Makes a folder where its pickle is loaded."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def runs_folder(tmp_path, monkeypatch):
    """An empty folder of runs, in the profile ``sample``."""
    monkeypatch.setenv("SCENE_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def nothing_published(runs_folder, monkeypatch):
    """An empty folder of published records beside one of runs."""
    monkeypatch.setattr(settings, "published_dir", lambda: runs_folder.parent / "published")


def code(source, *tags, outputs=None):
    """A code cell; with outputs it has been executed."""
    cell = new_code_cell(source, outputs=outputs or [], metadata={"tags": list(tags)} if tags else {})
    cell.execution_count = None if outputs is None else 1
    return cell


def code_of(path):
    """Sources of a notebook's code cells, but for those with lines for the shell."""
    cells = nbformat.read(path, as_version=4).cells
    return [c.source for c in cells if c.cell_type == "code" and not re.search(r"^\s*[%!]", c.source, re.M)]


def notebook(path, *cells, parameters=PARAMETERS, metadata=None):
    """Write a notebook: a title, the parameters, then cells (source, or a cell)."""
    first = [new_markdown_cell(f"# {path.stem}"), code(parameters, "parameters")]
    content = new_notebook(cells=first + [c if isinstance(c, dict) else code(c) for c in cells])
    content.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content.metadata |= metadata or {}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)
    return path


def output(data, runs):
    """An output that rests on runs, given their keys by experiment, of sample and seed 0."""
    names = {results.run_name(name, "sample", 0): key for name, key in runs.items()}
    return nbformat.v4.new_output("display_data", data, metadata={"runs": names} if runs else {})


def shown(part, **runs):
    """The output of ``text.shown.shown(part, runs=…)``."""
    return output(part._repr_mimebundle_(), runs)


def figure(svg, alt, **runs):
    """The output of a figure with an alternative text."""
    return output({"image/svg+xml": svg, MIME: {"figure": {"alt": to_json(alt)}}}, runs)


def record(experiment, key="k", profile="sample", seed=0, **changes):
    """Write a finished run of two images."""
    arrays = {f"{name}_logits": np.eye(2, dtype=np.float16) for name in ("test", "holdout")}
    arrays |= {f"{name}_labels": np.arange(2) for name in ("test", "holdout")}
    fields = {"experiment": experiment, "title": experiment, "profile": profile, "seed": seed, "model": "lenet"}
    fields |= {"status": "finished", "diverged_step": None, "evaluated_on": "test", "accuracy": 1.0, "correct": 2}
    fields |= {"total": 2, "per_class": [1.0, 1.0], "confusion_matrix": [[1, 0], [0, 1]], "classes": ["a", "b"]}
    fields |= {"epochs": 2, "seconds": 10.0, "parameters": 7, "device": "cpu", "precision": "float32", "recipe": {}}
    fields |= {"weights": None, "weights_choice": None, "members": [], "history": [], "date": "2026-01-02", "key": key}
    fields |= {"versions": {"torch": "2", "engine": 1}, "dataset": {
        "source": "https://example.org", "commit": "063473edcb", "key": "063473edcb", "counts": {}}}  # fmt: skip
    return results.write(fields | changes, arrays)


def answered(answers, logit=4.0, **fields):
    """A run with these answers for the sample's test images, all equally sure."""
    dataset = experiments.sets("sample")[2]
    labels = dataset.test.labels.numpy()
    record = {"experiment": "x", "title": "X", "profile": "sample", "seed": 0, "evaluated_on": "test"}
    record |= {"classes": list(dataset.test.classes), "total": len(labels), "correct": int((answers == labels).sum())}
    record["dataset"] = {"commit": dataset.commit, "key": dataset.key}
    logits = (logit * np.eye(6)[answers]).astype(np.float16)
    return results.Run(record | fields, {"test_logits": logits, "test_labels": labels})


def without_class(position, apart=3, classes="abc"):
    """A run with one class left out, sure of what it knows, and by ``apart`` less sure of the rest."""
    random, known = np.random.default_rng(position), [name for i, name in enumerate(classes) if i != position]
    labels, noise = random.integers(0, len(known), 200), random.normal(size=(300, len(known)))
    certain = np.eye(len(known))[[*labels, *[0] * 100]] * np.repeat([6, 6 - apart], [200, 100])[:, None] + noise
    arrays = {"holdout_logits": certain[:200], "holdout_labels": labels, "unknown_logits": certain[200:]}
    return results.Run({"classes": known, "accuracy": 1.0}, arrays)


@pytest.fixture(scope="module")
def browser():
    """A Chromium that Playwright drives."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here")
    from scene_utils.report import pages

    if (path := pages.find_chromium()) is None:
        pytest.skip("no Chromium here")
    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=path, args=[*flags.split(), "--disable-component-update",
                                                                 "--disable-sync"])  # fmt: skip


def violations(tab):
    """What axe-core finds serious on a page that is open."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here: make app")
    return [(each["id"], [node["html"][:200] for node in each["nodes"]])
            for each in axe.Axe().run(tab).response["violations"] if each["impact"] in ("serious", "critical")]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout with small notebooks, in a folder with a space and Hangul in its name."""
    root = tmp_path / "한글 project"
    package = root / "scene_utils"
    package.mkdir(parents=True)
    (root / "report").mkdir()
    shutil.copy(PROJECT / "Snakefile", root)
    for name in ("__init__.py", "__main__.py", "results.py"):
        shutil.copy(PROJECT / "scene_utils" / name, package / name)
    for name in ("report", "support", "text", "facts"):
        shutil.copytree(PROJECT / "scene_utils" / name, package / name)
    monkeypatch.setattr(settings, "project_dir", lambda: root)
    monkeypatch.setenv("SCENE_RUNS_DIR", str(root / "runs"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    for name in ("02_lenet", "03_custom_lenet"):
        notebook(root / "notebooks" / f"{name}.ipynb", "print(profile, seed)")
    image = f'from IPython.display import Image\nimport base64\nImage(base64.b64decode("{PNG}"))'
    notebook(root / "notebooks" / "10_conclusions.ipynb", code(image, "slide-wall"))
    return root
