"""Settings of every test, those of notebooks included: no profile named, an empty runs folder, an empty home."""

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several shares the folder of all, so that nothing is trained twice
    _PLACE = Path(os.environ["HOME"]).parent
else:
    _PLACE = Path(tempfile.mkdtemp(prefix="scene-tests-"))
    atexit.register(shutil.rmtree, _PLACE, ignore_errors=True)

# A developer's font cache, start-up files, kernels and settings would show in what the tests see.
_FOREIGN = ("SCENE_", "XDG_", "MPL", "MATPLOTLIBRC", "IPYTHON", "JUPYTER_", "RETRAIN", "ONLY", "PROFILE", "SEED")
for _name in [name for name in os.environ if name.startswith(_FOREIGN) and name != "SCENE_DEVICE"]:
    del os.environ[_name]
(_PLACE / "home").mkdir(exist_ok=True)
for _name in ("HOME", "USERPROFILE", "APPDATA"):  # the last two on Windows
    os.environ[_name] = str(_PLACE / "home")
os.environ["SCENE_RUNS_DIR"] = str(_PLACE / "runs")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["SCENE_THREADS"] = "1"  # tests run side by side, and what is compared bit by bit must not follow the load
os.environ.pop("TQDM_DISABLE", None)  # nbval's kernels show what a reader's show

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background: kernels could not be stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.interactive", "tests.fakes"]


def pytest_ignore_collect(collection_path):
    """Leave out what JupyterLab leaves among the notebooks: Untitled, copies."""
    from scene_utils.report import series  # also lets kernels import this very checkout

    return (collection_path.suffix == ".ipynb" and not series.NAME.fullmatch(collection_path.stem)) or None


SLOWEST = ("test_series.py", "test_jupyterlab.py", "test_app.py", "08_ensemble.ipynb", "test_plots.py")


def pytest_collection_modifyitems(items):
    """Start with the files that take longest, then pages, so that no process is left alone with one at the end."""
    first = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: (first.get(item.path.name, len(first)), item.path.suffix != ".ipynb"))
