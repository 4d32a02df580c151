"""The page of photos in a browser: uploads, refusals, a hundred at once, phone, keyboard; nothing leaves or stays."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from scene_utils import __main__ as command_line
from scene_utils import app, data
from scene_utils.app import look, page
from scene_utils.support import progress
from scene_utils.support.settings import SceneError
from tests.fakes import violations

SECONDS = 120

# An eighth of the embedded sample's training images: their features take a second.
FEW = """
from scene_utils import data
whole = data.load_sample()
few = data.Dataset(whole.train.select(range(0, len(whole.train), 8)), whole.test, whole.source, whole.commit, "few")
"""

# The server, as the command starts it, with smaller numbers; it notes every other machine that it would speak to.
SERVER = FEW + """
import sys
data.load_sample = lambda: few
log, port = open(sys.argv[1], "w", buffering=1), int(sys.argv[2])
def watch(event, details):
    if event == "socket.connect" and isinstance(details[1], tuple) and not details[1][0].startswith(("127.", "::1")):
        print(event, details[1], file=log)
    if event == "socket.getaddrinfo" and details[0] not in (None, "127.0.0.1", "localhost"):
        print(event, details[0], file=log)
sys.addaudithook(watch)
from scene_utils.app import look, page
page.LIMIT, look.STEP = 1, 64  # and one square, for speed
page.serve(port=port)
"""


@pytest.fixture(scope="module")
def network():
    names = {}
    exec(FEW, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load_sample", lambda: names["few"])
        yield look.Network("sample")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A hundred photos of 320 x 240: images of the sample's test set, enlarged."""
    folder = tmp_path_factory.mktemp("photos")
    test = data.load_sample().test
    for i in range(100):
        label, pixels = test.labels[i % len(test)], test.images[i % len(test)].numpy()
        picture = Image.fromarray(pixels.transpose(1, 2, 0)).resize((320, 240))
        picture.putpixel((0, 0), (i, 0, 0))  # no two files are alike
        picture.save(folder / f"{i:03d} {test.classes[label]}.jpg")
    return sorted(folder.glob("*.jpg"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, network):  # the network's features are kept, so that the server finds them
    """The running page: its process, address, temporary folder, and the log of machines it would speak to."""
    pytest.importorskip("gradio", reason="no Gradio here: make app")
    folder = tmp_path_factory.mktemp("server")
    (folder / "tmp").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, folder / "log", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(folder / "tmp")}, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        while "Ctrl+C" not in (line := process.stdout.readline()):
            assert line, "the app does not start"
        yield process, f"http://127.0.0.1:{port}/", folder / "tmp", folder / "log"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def tab(server, browser, request):
    """The page in a tab; no request may go anywhere but to the server."""
    _, address, _, log = server
    tab = browser.new_page(**getattr(request, "param", {}))
    requests = []
    tab.on("request", lambda asked: requests.append(asked.url))
    tab.goto(address)
    tab.locator("#drop button").first.wait_for(timeout=SECONDS * 1000)
    yield tab
    tab.close()
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert log.read_text() == ""


def drop(tab, *files):
    """Choose files, and wait until they are answered."""
    tab.locator("#status [role=status]").evaluate("line => { line.innerHTML = ''; }")  # of the files before
    tab.locator("#drop input[type=file]").set_input_files(files)
    tab.wait_for_function("""() => {
      const said = document.querySelector('#status [role=status]').innerText;
      return said.trim() && !said.includes('…');
    }""", timeout=SECONDS * 1000)


def left(folder: Path) -> list[Path]:
    """Files that hold anything."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_with_the_keyboard_alone_a_photo_is_answered_and_not_kept(tab, server, photos):
    def press_tab_until(condition: str) -> None:
        for _ in range(20):
            tab.keyboard.press("Tab")
            if tab.evaluate(condition):
                return
        raise AssertionError(f"never focused: {condition}")

    press_tab_until("document.activeElement.closest('#drop') !== null")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    chosen: list = []
    tab.on("filechooser", lambda chooser: chosen.append(chooser))
    for _ in range(SECONDS):  # the page shows its button before it listens to it
        tab.keyboard.press("Enter")
        tab.wait_for_timeout(1000)
        if chosen:
            break
    chosen[0].set_files(photos[0])
    card = tab.locator(".card")
    card.wait_for(timeout=SECONDS * 1000)
    assert card.count() == 1 and card.locator(".name").inner_text() == photos[0].name
    values = [float(text.rstrip(" %")) for text in card.locator(".bars td:last-child").all_inner_texts()]
    assert sum(values) == pytest.approx(100, abs=0.4) and values == sorted(values, reverse=True)
    assert card.locator("h3").inner_text().lower() == card.locator(".bars th").first.inner_text()
    assert card.locator(".alike img").count() == look.ALIKE and card.locator(".pair img").count() == 2
    assert tab.locator("img").evaluate_all("all => all.every(each => each.naturalWidth > 0)")
    assert "1 photo in" in tab.locator("#status").inner_text() and left(server[2]) == []
    assert tab.title() == page.TITLE and "gradio" not in tab.locator("body").inner_text().lower()
    press_tab_until("document.activeElement.matches('.about summary')")
    tab.keyboard.press("Enter")
    assert tab.locator(".about details[open] p").first.is_visible()


def test_what_cannot_be_answered_is_refused_in_a_sentence_and_axe_finds_nothing(tab, server, photos, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "<b>torn.png").write_bytes(photos[0].read_bytes()[:300])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)).save(tmp_path / "large.png")
    drop(tab, photos[1], *sorted(tmp_path.iterdir()))
    lines = tab.locator(".refused li").all_inner_texts()
    assert len(lines) == 3 and all(line.endswith(".") and line.startswith("Photo ") for line in lines)
    assert any("large.png is too large: 1 MB, and 1 MB is the most; make it smaller" in line for line in lines)
    assert any("notes.txt cannot be read: no image of a format that Pillow reads" in line for line in lines)
    assert tab.locator(".card").count() == 1 and left(server[2]) == []
    tab.locator(".about summary").evaluate_all("all => all.forEach(each => each.click())")
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        assert violations(tab) == [], scheme
    drop(tab, tmp_path / "notes.txt")
    assert tab.locator(".card").count() == 0


@pytest.mark.parametrize("tab", [{"viewport": {"width": 375, "height": 700}, "has_touch": True}], indirect=True)
def test_a_hundred_photos_at_once_on_a_phone(tab, server, photos):
    drop(tab, *photos)
    assert tab.locator("#status").inner_text().startswith("100 photos in")
    assert tab.locator(".card").count() == 100 and left(server[2]) == []
    answered = zip(tab.locator(".card h3").all_inner_texts(), photos, strict=True)
    assert sum(said.lower() in photo.name for said, photo in answered) >= 85  # about as right as on the test set
    boxes = tab.locator(".card, .card img, .card .bars").evaluate_all("all => all.map(e => e.getBoundingClientRect())")
    assert min(box["left"] for box in boxes) >= 0 and max(box["right"] for box in boxes) <= 375
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 375


def test_only_this_machine_reaches_it_and_its_folder_goes_with_it(server, photos):
    process, address, folder, _ = server
    listening = [c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    for path in ("monitoring/summary", "gradio_api/runs", "config"):
        try:
            with urllib.request.urlopen(address + path) as answer:
                text = answer.read().decode()
        except OSError:
            continue
        assert str(photos[0].parent) not in text and photos[0].name not in text
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0 and process.stdout.read().endswith("closed; nothing was kept\n")
    assert list(folder.iterdir()) == []


# --- without a browser


def test_in_colour_is_what_the_answer_depends_on(network):
    test = data.load_sample().test
    pixels = test.images[5].numpy()
    copies = look.hidden(pixels)
    changed = np.stack([(copy != pixels).any(0) for copy in copies])
    assert len(copies) == 25 and changed.sum((1, 2)).max() <= look.SQUARE**2 and changed.any(0).mean() > 0.9
    (seen,) = network.answer([("a", Image.new("RGB", (50, 50), "red"), pixels)])
    best = seen.probabilities.index[0]
    table, _ = network.look([pixels, *copies])
    losses = table[best].iloc[0] - table[best].iloc[1:].to_numpy()
    assert seen.loss == pytest.approx(losses.max(), abs=1e-4)
    red = np.asarray(seen.lit)[..., 0].astype(float)
    row, column = divmod(int(losses.argmax()), 5)
    assert red[row * 10 : row * 10 + 10, column * 10 : column * 10 + 10].mean() > red.mean()
    nothing = np.asarray(look.lit(Image.new("RGB", (9, 9), "red"), np.full((5, 5), -0.1)))
    assert (nothing == nothing[..., :1]).all()  # grey throughout


def test_features_are_what_the_last_layer_decides_by_and_an_image_is_most_similar_to_itself(network):
    table, features = network.look([image.numpy() for image in data.load_sample().test.images[::12]])
    logits = features @ network.net.classifier.weight.T  # up to length and bias
    assert torch.allclose(features.norm(dim=1), torch.ones(len(features)), atol=1e-4)
    assert (logits.argmax(1).numpy() == table.to_numpy().argmax(1)).mean() >= 0.75
    pixels = network.images.images[7].numpy()
    (seen,) = network.answer([("a", Image.fromarray(pixels.transpose(1, 2, 0)), pixels)])
    label, name, found = seen.alike[0]
    assert name == network.images.names[7] and label in name and (found == pixels).all()


def test_features_are_kept_and_those_of_another_size_made_anew(network, capsys, monkeypatch):
    look.Network("sample")
    assert "reading" not in capsys.readouterr().out
    few = network.images.select(range(9))
    monkeypatch.setattr(data, "load_sample", lambda: data.Dataset(few, few, "", None, "another"))
    assert len(look.Network("sample").features) == 9
    assert "reading 9 training images" in capsys.readouterr().out


def test_none_of_these_goes_by_the_measured_threshold(network, tmp_path, monkeypatch):
    path = tmp_path / "none_of_these.json"
    assert 0 < look.threshold().threshold < 1  # the committed one
    monkeypatch.setattr(look, "NONE_OF_THESE", path)
    assert look.threshold() == look.Threshold(0.5)
    measured = {"threshold": 1.0, "recall": 0.95, "false_positives": 0.6, "auroc": 0.8}
    measured["per_class"] = {"sea": {"false_positives": 0.7}, "street": {"false_positives": 0.5, "more": 1}}
    path.write_text(json.dumps(measured | {"more": "is passed over"}))
    monkeypatch.setattr(network, "threshold", look.threshold())
    (seen,) = network.answer([("a.jpg", Image.new("RGB", (9, 9)), np.zeros((3, 64, 64), np.uint8))])
    cards = page._render("cards.html.j2", seen=[seen], jpeg=page._jpeg, tile=page._tile)
    assert seen.none and "None of these?" in cards
    foot = page._render("bottom.html.j2", **page._about(network))
    assert "95 % of the photos of known scenes" in foot and "40 % of the photos of the unknown scene are caught" in foot
    assert "50 % of street" in foot and "70 % of sea" in foot
    monkeypatch.setattr(network, "threshold", look.Threshold())
    assert "has not been measured" in page._render("bottom.html.j2", **page._about(network))
    for broken in ("{", "[]", '{"threshold": 0.5}', json.dumps(measured | {"auroc": 80})):
        path.write_text(broken)
        with pytest.raises(SceneError, match="none_of_these.json holds no threshold .* restore it"):
            look.threshold()


def test_uploads_are_deleted_even_where_the_network_fails_or_they_are_broken_off(photos, tmp_path):
    (tmp_path / "hash").mkdir()
    copy = tmp_path / "hash" / "a.jpg"
    copy.write_bytes(photos[0].read_bytes())
    with pytest.raises(AttributeError):
        list(page.answers(None, [str(copy)]))
    assert list(tmp_path.iterdir()) == []
    for name, age in (("old", page.FORGET + 9), ("new", 0)):
        (tmp_path / name).write_text("half a photo")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    ends = iter([False, True])
    page._sweep(tmp_path, SimpleNamespace(wait=lambda seconds: next(ends)))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_without_gradio_one_line_names_the_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert command_line.main(["app"]) == 1
    assert capsys.readouterr().err == f"error: {page.MISSING}\n"
    monkeypatch.setattr(progress, "watched", lambda: True)
    app.launch()
    assert capsys.readouterr().out == f"{page.MISSING}\n" and "make app" in page.MISSING


def test_inside_a_notebook(network, monkeypatch, capsys):
    pytest.importorskip("gradio", reason="no Gradio here: make app")
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(progress, "watched", lambda: False)
    app.launch()
    assert shown == [] and len(capsys.readouterr().out.splitlines()) == 1
    monkeypatch.setattr(progress, "watched", lambda: True)
    folders = []
    for _ in range(2):  # the second replaces the first
        app.launch()
        folders.append(Path(os.environ["GRADIO_TEMP_DIR"]))
        address = shown[-1].data.split('src="')[1].split('"')[0]
        with urllib.request.urlopen(address) as answer:
            assert address.startswith("http://127.0.0.1:") and page.TITLE in answer.read().decode()
    assert [folder.exists() for folder in folders] == [False, True] and capsys.readouterr().out == ""
    monkeypatch.setattr("gradio.utils.colab_check", lambda: True)
    app.launch()
    folders.append(Path(os.environ["GRADIO_TEMP_DIR"]))
    assert "google.colab.kernel.proxyPort" in shown[-1].data and "share" not in capsys.readouterr().out
    page.close()
    assert not folders[2].exists() and "GRADIO_TEMP_DIR" not in os.environ


def test_a_port_that_is_taken(network, capsys):
    pytest.importorskip("gradio", reason="no Gradio here: make app")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert command_line.main(["app", "--port", str(port)]) == 1
    assert f"port {port} is taken" in capsys.readouterr().err
