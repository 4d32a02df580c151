"""Ship the small model: the weights of a finished run, 16 bits each, beside the package's code.

``python scripts/ship_model.py`` writes ``scene_utils/shipped/<run>.<key>.safetensors`` in place of what is there. It
refuses a file that is too large, and says how many test images the rounded weights answer differently.
"""

from __future__ import annotations

import json
import sys

from safetensors.torch import save

from scene_utils import experiments, results, trained, training
from scene_utils.recipe import Recipe
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

LIMIT = 8_000_000  # bytes


def ship(name: str = "lite0", profile: str = "short") -> None:
    """Write the shipped file of a finished run, and compare its answers with the record's."""
    run = results.find(name, profile)
    if run is None or run.status != "finished":
        raise SceneError(f"{name} has no finished run in the profile {profile}; train it first")
    model = trained.load_model(run).half()
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    content = save(state, {"run": run.name, "key": run.key, "classes": json.dumps(run.classes)})
    if len(content) > LIMIT:
        raise SceneError(f"{name}: {len(content):,} bytes are more than the {LIMIT:,} that may be shipped")
    for old in trained.SHIPPED.glob("*.safetensors"):
        old.unlink()
    path = settings.atomic_write(trained.SHIPPED / f"{run.name}.{run.key}.safetensors", content)
    test = experiments.sets(profile)[2].test
    answers = training.predict(model.float(), test, Recipe(**run.recipe)).argmax(1).numpy()
    differ = (answers != run.logits.argmax(1)).sum()
    right = (answers == run.labels).sum()
    print(f"{path.name}: {len(content):,} bytes, {differ} of {len(test):,} test images answered differently,"
          f" {right:,} right ({run.correct:,} in the record)")  # fmt: skip


if __name__ == "__main__":
    ship(*sys.argv[1:])
