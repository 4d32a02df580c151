"""Folders, profile and seed mean the same in a command, its jobs and its kernels; what must be heard is heard."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from filelock import FileLock, Timeout
from nbconvert.filters import markdown2html

from scene_utils import catalogue
from scene_utils.report import series
from scene_utils.support import progress, settings
from scene_utils.support.settings import SceneError
from tests.fakes import refuse

PROJECT = settings.project_dir()
SHOW = """
import json, os
from scene_utils.support import progress, settings
folders = settings.runs_dir(), settings.cache_dir(), *map(settings.in_full, settings.FOLDERS[2:])
print(json.dumps([[str(each) for each in folders], {name: os.environ[name] for name in settings.FOLDERS}]))
"""


def shown(cwd, **environment):
    """The folders that a process finds, and what it leaves in the environment."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)} | environment
    done = subprocess.run([sys.executable, "-c", SHOW], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("value", ["~/{}", "{}", "./x/../{}"])
def test_every_folder_may_be_relative_or_begin_with_a_tilde_and_jobs_elsewhere_mean_the_same(tmp_path, value):
    (tmp_path / "elsewhere").mkdir()
    named = {name: value.format(name.lower()) for name in settings.FOLDERS}
    found, left = shown(tmp_path, HOME=str(tmp_path), **named)
    assert left == {name: str(tmp_path / name.lower()) for name in settings.FOLDERS}
    assert sorted(found) == sorted(left.values())
    assert shown(tmp_path / "elsewhere", HOME=str(tmp_path / "elsewhere"), **left) == [found, left]


def test_an_address_is_no_folder_and_a_home_that_does_not_exist_is_named(monkeypatch):
    for url in ("https://host/a", "file:///a", "git@host:a/b", "host:a", "ext::sh -c x"):
        monkeypatch.setenv("SCENE_DATA_URL", url)
        settings.tell_subprocesses()
        assert settings.in_full("SCENE_DATA_URL") == url == os.environ["SCENE_DATA_URL"]
    monkeypatch.setenv("SCENE_DATA_DIR", "~nobody-of-that-name/photos")
    with pytest.raises(SceneError, match="SCENE_DATA_DIR '~nobody-of-that-name/photos': its ~ names nobody's home"):
        settings.data_dir()


def test_in_a_notebook_folders_are_meant_from_where_jupyter_was_started(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")  # a kernel works there
    monkeypatch.setenv("PWD", str(tmp_path))  # the shell that started Jupyter was here
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert settings.started_in() == tmp_path
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert settings.started_in() == tmp_path / "notebooks"


def test_a_copied_project_says_that_it_runs_the_code_of_another_and_starts_its_own(tmp_path, monkeypatch):
    """The interpreter may know another checkout: what a command starts in another folder runs the command's code."""
    copy = tmp_path / "copy"
    (copy / "notebooks").mkdir(parents=True)
    shutil.copytree(PROJECT / "scene_utils", copy / "scene_utils", ignore=shutil.ignore_patterns("sample", "shipped"))
    for folder in (copy, copy / "notebooks"):
        monkeypatch.chdir(folder)
        with pytest.raises(SceneError) as error:
            settings.check_environment()
        told = f"this is {copy}, but Python takes scene_utils from {PROJECT}, where it was installed from; call"
        assert str(error.value).startswith(told) and "\n" not in str(error.value)
    job = "import scene_utils, os; print(scene_utils.__file__)"
    code = "import subprocess, sys; from scene_utils.support import settings;"
    code += f"subprocess.run([sys.executable, '-c', {job!r}], cwd='/')"
    for environment in ({}, {"PYTHONPATH": str(PROJECT.parent)}):
        done = subprocess.run([sys.executable, "-c", code], cwd=copy, env={"PATH": os.environ["PATH"]} | environment,
                              capture_output=True, text=True)  # fmt: skip
        assert Path(done.stdout.strip()) == copy / "scene_utils/__init__.py", done.stderr
    monkeypatch.chdir(PROJECT)
    settings.check_environment()


def test_one_place_resolves_profile_and_seed(monkeypatch):
    lenet = catalogue.get("lenet")
    assert settings.profile(None) == "sample" and settings.seed(None) == 0
    assert lenet.recipe(None, None) == lenet.recipe("sample", 0)
    monkeypatch.setenv("SCENE_PROFILE", "short")
    assert lenet.recipe() == lenet.recipe("short") != lenet.recipe("sample")
    with pytest.raises(SceneError, match="seed -1 is no whole number"):
        settings.seed(-1)


def test_what_is_waited_for_is_said_even_where_progress_is_silent(tmp_path, capsys):
    held, said = FileLock(tmp_path / "lock"), []
    held.acquire()
    with pytest.MonkeyPatch.context() as patch, progress.silent():
        patch.setattr(settings, "say", lambda line, say=settings.say: (said.append(line), say(line), held.release()))
        progress.line("an epoch")
        with settings.locked(tmp_path / "lock", "another process trains this run; waiting for it to finish"):
            assert said
    assert capsys.readouterr().out == "another process trains this run; waiting for it to finish\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="which file a lock is for is asked of Linux")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_on_a_drive_without_file_locks_processes_of_this_machine_still_wait(code, tmp_path, monkeypatch, recwarn):
    drive, flock = tmp_path / "drive", fcntl.flock

    def without_locks(file, operation):
        number = file if isinstance(file, int) else file.fileno()
        if os.readlink(f"/proc/self/fd/{number}").startswith(str(drive)):
            raise OSError(code, os.strerror(code))
        return flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with series.hold(drive), pytest.raises(SceneError, match=f"in use by process {os.getpid()}"), series.hold(drive):
        pass
    with settings.locked(drive / "a.lock", "waiting"), pytest.raises(Timeout):
        settings.file_lock(drive / "a.lock").acquire(timeout=0)
    with settings.locked(drive / "a.lock", "waiting"):  # given back
        pass
    assert not recwarn.list


def test_a_drive_whose_locks_fail_is_not_taken_for_one_without_them(tmp_path, monkeypatch):
    refuse(monkeypatch, "fcntl.flock", errno.EIO)
    with pytest.raises(SceneError, match="cannot write .*: Input/output error; set SCENE_RUNS_DIR"):
        settings.locked(tmp_path / "a.lock", "waiting").__enter__()


NAMES = ["$1_to_$5", "a*b*c", "<5cm", "x|y & z", "2^8~", "[a](b)", "back\\slash", "`code`", "한글"]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_name_looks_the_same_in_markdown(name):
    html = markdown2html(f"Most gained: {settings.escaped(name)} (3 images).")
    assert BeautifulSoup(html, "html.parser").get_text().strip() == f"Most gained: {name} (3 images)."
