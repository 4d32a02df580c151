"""The floors of the package: support, core, text, lessons, report, grading, app; imports go down only."""

import ast
from pathlib import Path

from scene_utils.report import series
from scene_utils.support import settings

PACKAGE = settings.project_dir() / "scene_utils"
FLOORS = ["support", "", "text", "lessons", "report", "grading", "app"]  # "": the core, in the package itself
LONGEST = 60  # lines of a function


def floor(path: Path) -> str:
    """The folder of a module."""
    folder = path.relative_to(PACKAGE).parts[0]
    return folder if folder in FLOORS else ""


def upwards(path: Path, source: str) -> list[str]:
    """Imports of a module that go up, or from the report's floor to a lesson."""
    own = floor(path)
    allowed = set(FLOORS[: FLOORS.index(own) + 1]) - ({"lessons"} if own == "report" else set())
    return [f"{path} -> {other}" for other in sorted(series.modules(source)) if floor(other) not in allowed]


def sources() -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def test_imports_go_down():
    known = {path: source for path, source in sources().items() if path.name != "__main__.py"}  # it knows all floors
    assert [wrong for path, source in known.items() for wrong in upwards(path, source)] == []


def test_an_arrow_that_goes_up_is_found():
    wrong = {
        "support/devices.py": "from scene_utils import data",
        "data.py": "from scene_utils.text import sentences",
        "text/sentences.py": "import scene_utils.lessons.course",
        "report/pages.py": "from scene_utils.lessons import course",
        "lessons/course.py": "from scene_utils import app",
    }
    assert all(upwards(PACKAGE / name, line) for name, line in wrong.items())
    assert not upwards(PACKAGE / "report/pages.py", "from scene_utils import results")


def test_no_function_is_long():
    found = [(path.name, node.name) for path, source in sources().items() for node in ast.walk(ast.parse(source))
             if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= LONGEST]  # fmt: skip
    assert found == []
