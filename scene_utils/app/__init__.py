"""A web page on this machine that says what photos show; above all other floors, and imported by none of them."""

from scene_utils.app.page import launch, serve

__all__ = ["launch", "serve"]
