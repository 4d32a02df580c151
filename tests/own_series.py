"""The whole series, A1 and A2 included, on a folder of somebody's own: two classes of small grey photos.

    make test-own        (about five minutes on two cores)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scene_utils.report import series
from tests.fakes import pictures

COUNTS = {"train/cats": 40, "train/dogs": 40, "val/cats": 10, "val/dogs": 10}


def main() -> int:
    """Execute every page, and return 0 where each went to its end."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        pictures(root / "photos", COUNTS, (40, 50), grey=True)
        folders = {"SCENE_DATA_DIR": "photos", "SCENE_RUNS_DIR": "runs", "SCENE_CACHE_DIR": "cache"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SCENE_")}
        command = [sys.executable, "-m", "scene_utils", "report", "--profile", "sample"]
        done = subprocess.run(command, env=kept | {key: str(root / path) for key, path in folders.items()})
        made = {path.stem for path in (root / "runs/sample/notebooks").glob("*.ipynb")}
        missing = sorted(set(series.notebooks()) - made)
        print(f"own images, two classes: {len(made)} of {len(series.notebooks())} pages executed", *missing)
        return done.returncode or len(missing)


if __name__ == "__main__":
    sys.exit(main())
