"""Faults injected into runs, ``kill -9`` among them: what was there stays whole, and the message says what to do."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from scene_utils import data, evaluation, experiments, results, training
from scene_utils.support import settings
from scene_utils.support.settings import SceneError
from tests.fakes import Malicious, pictures, refuse, tiny

pytestmark = pytest.mark.usefixtures("runs_folder")

CALLS = {  # where the system may refuse, and how
    "no room for a temporary file": ("tempfile.mkstemp", errno.ENOSPC),
    "no room while writing": ("os.fsync", errno.ENOSPC),
    "no permission to replace": ("os.replace", errno.EACCES),
}


@pytest.mark.parametrize("fault", CALLS)
def test_a_refused_write_keeps_the_old_file_and_says_what_to_do(fault, tmp_path, monkeypatch):
    path = settings.atomic_write(tmp_path / "file", "old")
    refuse(monkeypatch, *CALLS[fault])
    with pytest.raises(SceneError, match=r"cannot write .*file: .*; free some space or choose another folder"):
        settings.atomic_write(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and list(tmp_path.glob(".file*")) == []


def test_a_refused_checkpoint_ends_the_run_with_one_line_and_the_next_run_goes_on(monkeypatch):
    experiment = tiny(epochs=3)
    save, calls = training.save_checkpoint, []

    def second_refused(*args):
        calls.append(1)
        with pytest.MonkeyPatch.context() as patch:
            if len(calls) == 2:
                refuse(patch, "os.fsync", errno.ENOSPC)
            save(*args)

    monkeypatch.setattr(training, "save_checkpoint", second_refused)
    with pytest.raises(SceneError, match="cannot write .*tiny.sample.s0.*pt"):
        experiments.run(experiment)
    run = experiments.run(experiment)
    assert run.epochs == 3 and len(calls) == 2 + 1  # it went on from the first epoch; a short last one is not written


def test_a_refused_record_loses_no_training(monkeypatch, capsys):
    monkeypatch.setattr(training, "SHORT", 0)
    write = results.write

    def refused(*args):
        with pytest.MonkeyPatch.context() as patch:
            refuse(patch, "os.fsync")
            return write(*args)

    with monkeypatch.context() as patch, pytest.raises(SceneError, match="cannot write"):
        patch.setattr(results, "write", refused)
        experiments.run(tiny())
    capsys.readouterr()
    assert experiments.run(tiny()).status == "finished"
    assert "epoch" not in capsys.readouterr().out  # the checkpoint had the finished training


KILLED = 9


def killed_at(suffix, call):
    """Call in a process of its own that is killed while it replaces a file with this ending; that it was."""
    if torch.cuda.is_available():
        pytest.skip("a process that has used a GPU cannot be forked")
    child = os.fork()
    if child == 0:
        replace = os.replace
        os.replace = lambda a, b: os.kill(os.getpid(), KILLED) if str(b).endswith(suffix) else replace(a, b)
        call()
        os._exit(0)
    return os.waitpid(child, 0)[1] == KILLED


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCENE_RUNS_DIR", str(tmp_path_factory.mktemp("whole")))
        return experiments.run("lenet-rate-0.01", "sample")


@pytest.mark.parametrize("written", [".pt", ".npz", ".json"], ids=["checkpoint", "arrays", "record"])
def test_a_run_killed_while_it_writes_ends_like_any_other(written, whole, runs_folder):
    assert killed_at(written, lambda: experiments.run("lenet-rate-0.01"))
    again = experiments.run("lenet-rate-0.01")
    assert again.record["history"][-1]["loss"] == whole.record["history"][-1]["loss"]
    assert (again.logits == whole.logits).all() and again.correct == whole.correct
    assert not list((runs_folder / "checkpoints").iterdir())


def test_a_process_killed_while_it_writes_the_cache_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENE_CACHE_DIR", str(tmp_path / "cache"))
    own = pictures(tmp_path / "own", {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    assert killed_at(".bin", lambda: data.load_folder(own))
    assert not list((tmp_path / "cache").glob("*.bin"))
    assert len(data.load_folder(own).train) == 4
    assert not list((tmp_path / "cache").glob("*.tmp"))


@pytest.mark.parametrize("damage", ["", "{", '{"experiment": "tiny"}'])
def test_a_damaged_record_is_named_and_trained_again(damage, runs_folder, capsys):
    run = experiments.run(tiny())
    (runs_folder / "results" / f"{run.name}.json").write_text(damage)
    (runs_folder / "results" / f"{run.name} (1).json").write_text("a sync tool's copy is no record")
    assert run.name not in [each.name for each in results.records()]  # and costs the others nothing
    assert "cannot be used" in capsys.readouterr().out
    again = experiments.run(tiny())
    assert again.accuracy == run.accuracy
    assert "cannot be used" in capsys.readouterr().out


def test_a_record_never_executes_code(runs_folder, tmp_path):
    run = experiments.run(tiny())
    arrays = runs_folder / "results" / f"{run.name}.npz"
    np.savez(arrays, test_logits=np.array([Malicious(tmp_path / "executed")], dtype=object))
    record = json.loads(arrays.with_suffix(".json").read_text())
    record["arrays"] = results.hashlib.sha256(arrays.read_bytes()).hexdigest()[:16]
    arrays.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(SceneError, match="cannot be used"):
        results.read(arrays.with_suffix(".json"))
    assert not (tmp_path / "executed").exists()


def test_a_hold_out_smaller_than_the_classes_and_a_class_without_test_images(monkeypatch):
    train, holdout, dataset = experiments.sets("sample")
    some = [i for i, label in enumerate(dataset.test.labels.tolist()) if label != 2]
    fewer = dataset.__class__(dataset.train, dataset.test.select(some), dataset.source, dataset.commit, "fewer")
    monkeypatch.setattr(experiments, "sets", lambda *a: (train, holdout.select([0, 20, 30]), fewer))
    run = experiments.run(tiny())
    assert run.per_class[2] is None and run.total == len(some)
    table = evaluation.per_class(run.labels, run.logits.argmax(1), run.classes)
    assert np.isnan(table["recall"][2]) and table["total"][2] == 0


def command(experiment, runs, **env):
    line = [sys.executable, "-m", "scene_utils", "train", experiment, "--profile", "sample"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    return subprocess.Popen(line, env=kept | {"SCENE_RUNS_DIR": str(runs)} | env, cwd="/", text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")  # fmt: skip


def test_the_same_run_twice_at_once_trains_once_on_an_odd_machine(tmp_path):
    """No UTF-8, no home, another folder, a path with spaces and Hangul."""
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/nonexistent/home"}
    children = [command("lenet-rate-0.01", tmp_path / "실행 폴더's", **env) for _ in range(2)]
    outputs = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert sum(": 2 epochs, loss" in output for output in outputs) == 1
    assert sum("finished run found" in output for output in outputs) == 1
    assert list((tmp_path / "실행 폴더's/results").glob("lenet-rate-0.01.sample.s0.json"))
