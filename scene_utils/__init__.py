"""Shared module of the scene-classification course series."""

import logging

__version__ = "0.1.0"

# It says on stderr that it looks for fonts, and which optional ones a machine lacks: nothing that a reader can use.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
