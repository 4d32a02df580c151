"""Shared module of the scene-classification course series."""

__version__ = "0.1.0"
