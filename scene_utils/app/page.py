"""The page itself, made with Gradio, which the optional requirement ``app`` installs.

Nothing leaves the machine: no analytics, no fonts or scripts from elsewhere, no share link. Nothing is kept: uploads go
to a temporary folder of this process, and are deleted as soon as they have been read.
"""

from __future__ import annotations

import base64
import contextlib
import inspect
import io
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from scene_utils.app import look
from scene_utils.support import progress, settings
from scene_utils.support.settings import SceneError

LOOPBACK = "127.0.0.1"
LIMIT = 50  # megabytes of one photo
UPLOAD_LIMIT = 10 * LIMIT  # at which an upload is broken off, with all that came with it
FORGET = 600  # seconds after which an upload that nobody waits for is deleted
MISSING = "the app needs Gradio, which is not installed; call: make app (or pip install -c constraints.txt -e '.[app]')"
TITLE = "What do your photos show?"
CARDS = '<h2 class="unseen">Results</h2><div class="cards">${value}</div>'
FILES = Path(__file__).parent


def build(profile: str | None = None):
    """Return the page, a ``gradio.Blocks`` that is not yet served.

    Args:
        profile: whose training images are searched for similar ones.

    Raises:
        SceneError: where Gradio is not installed, or the shipped model is not there.
    """
    gradio = _gradio()
    network = look.Network(profile)
    with gradio.Blocks(title=TITLE, analytics_enabled=False) as page:
        gradio.HTML(_render("top.html.j2", title=TITLE, classes=network.run.classes), js_on_load=None)
        drop = gradio.File(file_count="multiple", label="Photos", show_label=False, height=170, elem_id="drop")
        status = gradio.HTML("", elem_id="status", js_on_load="element.setAttribute('role', 'status')")
        shown = gradio.HTML("", elem_id="shown", js_on_load=None, html_template=CARDS)
        gradio.HTML(_render("bottom.html.j2", **_about(network)), js_on_load=None)

        def answer(files: list[str]) -> Iterator[tuple]:
            for said, cards in answers(network, files):
                yield None, said, cards

        drop.upload(answer, drop, [drop, status, shown], show_progress="hidden", concurrency_limit=1,
                    api_visibility="private")  # fmt: skip
    return page


def serve(host: str = LOOPBACK, port: int | None = None, profile: str | None = None) -> None:
    """Serve the page until Ctrl+C.

    Args:
        host: the address that is listened on; by default only this machine reaches it.
        port: by default the first free one from 7860 up.

    Raises:
        SceneError: where Gradio is missing, or the address cannot be had.
    """
    with _folder():
        page = build(profile)
        address = _start(page, host, port)
        if host not in (LOOPBACK, "localhost", "::1"):
            settings.say(f"whoever reaches this machine can use the page: it listens on {host}")
        settings.say(f"open {address} in a browser; Ctrl+C ends it")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # the folder goes, however it ends
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        page.close(verbose=False)
    settings.say("closed; nothing was kept")


_shown = contextlib.ExitStack()  # closes what the notebook of this kernel shows


def launch(profile: str | None = None, height: int = 900) -> None:
    """Show the page inside a notebook, in JupyterLab and Colab; one line where it cannot be.

    A second call replaces the page of the first. Where nobody watches, no server is started.
    """
    if not progress.watched():
        print("the app opens here when this cell is run by hand")
        return
    close()
    _shown.enter_context(_folder())
    try:
        page = build(profile)
    except SceneError as error:
        close()
        print(error)
        return
    _shown.callback(page.close, verbose=False)
    _start(page, LOOPBACK, None, inline=True, height=height)


def close() -> None:
    """Close the page that ``launch`` has opened, if any."""
    _shown.close()


def _gradio():
    """Import Gradio, told beforehand to report nothing to anybody; within ``_folder``, where it makes folders."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError as error:
        raise SceneError(MISSING) from error
    return gradio


def _start(page, host: str, port: int | None, **options) -> str:
    """Start the server in a thread, and return its address."""
    gradio = _gradio()
    fonts = ["system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
    theme = gradio.themes.Default(primary_hue="blue", neutral_hue="slate", font=fonts, font_mono=["monospace"])
    # Colab's Gradio is older than ours, and keeps no history that one could switch off
    no_history = {"run_history": False} if "run_history" in inspect.signature(page.launch).parameters else {}
    try:
        _, address, _ = page.launch(
            server_name=host, server_port=port, share=False, prevent_thread_lock=True, quiet=True,
            max_file_size=f"{UPLOAD_LIMIT}mb", footer_links=[], enable_monitoring=False,
            ssr_mode=False, pwa=False, mcp_server=False, theme=theme, css_paths=FILES / "style.css",
            **({"inline": False} | options | no_history),
        )  # fmt: skip
    except OSError as error:
        taken = f"port {port}" if port else "every port from 7860 up"
        raise SceneError(f"{host}: {taken} is taken or not ours; choose another, for example --port 8000") from error
    return address


# --- what was given


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make the folder that Gradio writes uploads to, which goes in the end; what was broken off goes after a while."""
    with tempfile.TemporaryDirectory(prefix="scene-app-", ignore_cleanup_errors=True) as name:
        before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = name
        ended = threading.Event()
        threading.Thread(target=_sweep, args=(Path(name), ended), daemon=True).start()
        try:
            yield Path(name)
        finally:
            ended.set()
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def _sweep(folder: Path, ended: threading.Event) -> None:
    """Delete old files once a minute, until ``ended``."""
    while not ended.wait(60):
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and time.time() - path.stat().st_mtime > FORGET:
                    path.unlink()


def answers(network: look.Network, files: list[str]) -> Iterator[tuple[str, str]]:
    """Answer for uploaded files, a few at a time, and delete each as soon as it is read.

    Yields:
        HTML for the line below the drop zone, and for the cards so far.
    """
    began, counts, refused, cards = time.monotonic(), Counter(), [], ""
    try:
        for start in range(0, len(files), look.AT_ONCE):
            yield _render("status.html.j2", done=start, total=len(files)), cards
            photos = []
            for file in map(Path, files[start : start + look.AT_ONCE]):
                try:
                    photos.append(_read(file))
                except SceneError as error:
                    refused.append(str(error))
                finally:
                    _delete(file)
            seen = network.answer(photos) if photos else []
            counts.update("none of these" if each.none else each.probabilities.index[0] for each in seen)
            cards += _render("cards.html.j2", seen=seen, jpeg=_jpeg, tile=_tile)
    finally:
        for file in files:
            _delete(Path(file))
    seconds = time.monotonic() - began
    yield _render("status.html.j2", counts=counts.most_common(), answered=counts.total(), refused=refused,
                  seconds=seconds), cards  # fmt: skip


def _read(file: Path) -> tuple:
    if (size := file.stat().st_size) > LIMIT * 1e6:
        raise SceneError(
            f"photo {file.name} is too large: {size / 1e6:.0f} MB, and {LIMIT} MB is the most; make it smaller"
        )
    return look.read(file)


def _delete(file: Path) -> None:
    """Delete an upload and the folder that it alone lay in."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
        file.parent.rmdir()


# --- HTML


def _render(template: str, **values) -> str:
    """Fill in one of the templates beside this file; every value is escaped."""
    from jinja2 import Environment, FileSystemLoader

    pages = Environment(loader=FileSystemLoader(FILES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template(template).render(values)


def _about(network: look.Network) -> dict:
    """What the foot of the page says of the model and the threshold."""
    return {
        "run": network.run,
        "accuracy": network.run.holdout_accuracy,
        "places": len(look.hidden(network.images.images[0].numpy())),
        "images": len(network.images),
        "threshold": network.threshold,
        "limit": LIMIT,
    }


def _jpeg(image: Image.Image) -> str:
    """An image as an address that holds it, so that no file of it is served."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _tile(pixels) -> str:
    return _jpeg(Image.fromarray(pixels.transpose(1, 2, 0)))
