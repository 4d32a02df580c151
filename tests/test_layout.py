"""The floors of the package: support, core, text, lessons, report, grading, app; imports go down only."""

import ast

from scene_utils.support import settings

PACKAGE = settings.project_dir() / "scene_utils"
FLOORS = ["support", "", "text", "lessons", "report", "grading", "app"]  # "": the core, in the package itself


def floor(module: str) -> str:
    """The folder of a module, given as ``scene_utils.<folder>.<name>``."""
    folder = module.split(".")[1] if "." in module else ""
    return folder if folder in FLOORS else ""


def imported(source: str) -> set[str]:
    """Modules of the package that a source imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
    return {name for name in names if name.split(".")[0] == "scene_utils"}


def upwards(name: str, source: str) -> list[str]:
    """Imports of a module that go up, or from the report's floor to a lesson."""
    own = floor(name)
    allowed = set(FLOORS[: FLOORS.index(own) + 1]) - ({"lessons"} if own == "report" else set())
    return [f"{name} -> {other}" for other in sorted(imported(source)) if floor(other) not in allowed]


def test_imports_go_down():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        if name != "scene_utils.__main__":  # the command knows all floors
            wrong += upwards(name, path.read_text(encoding="utf-8"))
    assert wrong == []


def test_an_arrow_that_goes_up_is_found():
    wrong = {
        "support.devices": "from scene_utils import data",
        "data": "from scene_utils.text import sentences",
        "text.sentences": "import scene_utils.lessons.course",
        "report.pages": "from scene_utils.lessons import course",
        "lessons.course": "from scene_utils import app",
    }
    assert all(upwards(f"scene_utils.{name}", line) for name, line in wrong.items())
    assert not upwards("scene_utils.report.pages", "from scene_utils import results")
