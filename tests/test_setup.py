"""``make`` sets up its environment: what it says, and how it gets over a broken or unfinished one. No real package."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from scene_utils.support import settings
from tests.fakes import script

PROJECT = settings.project_dir()
PIP = """
import os, sys
if os.environ.get("FAKE_PIP") == "fails":
    sys.exit("ERROR: no such package")
if os.environ.get("FAKE_PIP") == "killed":
    os.kill(os.getppid(), 9)
    os.kill(os.getpid(), 9)
print("Collecting torch>=2.2 (from -r requirements.txt)")
print("  Downloading torch-2.14.1.whl.metadata (29 kB)")
print("Downloading torch-2.14.1.whl (530.1 MB)")
print("Installing collected packages: torch, scene-utils")
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.fixture
def project(tmp_path):
    """The Makefile with lists of packages of its own, and a pip that installs nothing."""
    root = tmp_path / "a project"
    (root / "scripts").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml", "scripts/install.py"):
        shutil.copy(PROJECT / name, root / name)
    script(tmp_path / "python3", f'case $2 in venv) set -- "$@" --without-pip;; esac\nexec "{sys.executable}" "$@"')
    (tmp_path / "fake" / "pip").mkdir(parents=True)
    (tmp_path / "fake" / "pip" / "__init__.py").write_text("")
    (tmp_path / "fake" / "pip" / "__main__.py").write_text(PIP)
    return root


def make(root, *arguments, **environment):
    environment |= {"PYTHONPATH": str(root.parent / "fake"), "PATH": f"{root.parent}:{os.environ['PATH']}"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"} | environment
    done = subprocess.run(["make", ".venv/.ready", *arguments], cwd=root, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def ready(project):
    code, said = make(project)
    assert code == 0 and "looking up: package 1, torch" in said and "GB on disk" in said
    assert "made anew" not in said and "Gradio" not in said
    (project / ".venv" / "mine").touch()  # is gone where .venv is made anew
    return project


def changed(path):
    """Date a file after ``.ready`` and the others before it, all in the past: a busy machine may date all alike."""
    others = [each for each in path.parent.iterdir() if each.is_file()]
    for seconds, each in [(90, other) for other in others] + [(60, path.parent / ".venv" / ".ready"), (30, path)]:
        os.utime(each, (time.time() - seconds,) * 2)


def kept(project):
    return (project / ".venv" / "mine").exists()


def test_only_what_has_changed_is_installed_into_what_is_there(ready):
    code, said = make(ready)
    assert code == 0 and "installing" not in said
    changed(ready / "constraints.txt")
    code, said = make(ready)
    assert code == 0 and "installing" in said and kept(ready)
    code, said = make(ready, ".venv/.app")
    assert code == 0 and "installing Gradio and ONNX Runtime into .venv" in said
    code, said = make(ready, ".venv/.app")
    assert code == 0 and "installing" not in said


def test_an_interrupted_installation_and_a_venv_whose_python_is_gone_are_made_anew(ready):
    for fault in ("fails", "killed"):
        changed(ready / "constraints.txt")
        code, said = make(ready, FAKE_PIP=fault)
        assert code != 0 and ("no such package" in said or fault == "killed"), said
        code, said = make(ready)
        assert code == 0 and "unfinished" in said and not kept(ready)
    (ready / ".venv" / "mine").touch()
    for link in (ready / ".venv" / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nonexistent/python3")
    code, said = make(ready)
    assert code == 0 and "is broken" in said and not kept(ready)


def test_an_old_or_missing_python_is_named_and_another_one_has_an_environment_of_its_own(ready, tmp_path):
    old = script(tmp_path / "old", "case $2 in *print*) echo 3.8;; esac\nexit 1")
    for python in (old, "/nonexistent/python3"):
        code, said = make(ready, f"PYTHON={python}")
        assert code != 0 and "is not Python 3.11 or newer" in said and kept(ready)
    assert make(ready, f"PYTHON={tmp_path}/python3")[0] == 0 and kept(ready)
    other = script(tmp_path / "other", 'case $2 in *print*) echo 3.99; exit;; esac\nexec python3 "$@"')
    code, said = make(ready, f"PYTHON={other}")
    assert code == 0 and "made anew" in said and not kept(ready)
