"""Three right and five wrong answers for each check, one module per page, as ``ANSWERS``.

``ANSWERS[check] = (right, wrong)``; where answers are costly or a goal has to be lowered, a function of pytest's
``monkeypatch`` that returns the two lists. ``tests/test_checks.py`` tries them all, and finds a new module by itself.
"""

import importlib
import pkgutil

PAGES = [importlib.import_module(f"{__name__}.{page.name}") for page in pkgutil.iter_modules(__path__)]
ANSWERS = {name: answers for page in PAGES for name, answers in page.ANSWERS.items()}
