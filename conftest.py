"""Settings of every test, those of notebooks included: the profile sample, an empty runs folder."""

import atexit
import os
import shutil
import tempfile

_RUNS = tempfile.mkdtemp(prefix="scene-runs-")
atexit.register(shutil.rmtree, _RUNS, ignore_errors=True)

for _name in ("SCENE_DATA_DIR", "SCENE_WEIGHTS", "RETRAIN", "ONLY", "PROFILE", "SEED"):
    os.environ.pop(_name, None)
os.environ["SCENE_PROFILE"] = "sample"
os.environ["SCENE_RUNS_DIR"] = _RUNS
os.environ["TQDM_DISABLE"] = "1"  # nbval compares what goes to stderr
