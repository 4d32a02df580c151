"""A web page on this machine that says what photos show; above all other floors, and imported by none of them."""

from scene_utils.app.page import build, launch, serve

__all__ = ["build", "launch", "serve"]
