"""The static site: pages that link to one another, formulas as MathML, a search, no request."""

import re
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from scene_utils.report import site
from scene_utils.support import settings
from tests.fakes import violations

NAMES = ["index", "00a_neuron", "glossary"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return site.write(tmp_path_factory.mktemp("site") / "site", only=NAMES).parent


def test_every_page_of_the_folder_notebooks_is_on_the_site():
    pages_there = {f"notebooks/{path.name}" for path in (settings.project_dir() / "notebooks").glob("*.md")}
    assert pages_there <= set(site.sources())


def read(folder, name):
    return BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def test_links_lead_to_pages_headings_and_files_that_are_there(folder):
    ids = {name: {each["id"] for each in read(folder, name).find_all(id=True)} for name in NAMES}
    for name in NAMES:
        for link in read(folder, name).find_all("a", href=re.compile(r"^(?!https?:)")):
            path, _, anchor = unquote(link["href"]).partition("#")
            assert not path or (folder / path).exists(), link
            page = path.removesuffix(".html") or name
            assert not anchor or page not in ids or anchor in ids[page], link
    turn = [link["href"] for link in read(folder, "00a_neuron").select(".turn a")]
    assert turn == ["index.html", "glossary.html"]


def test_formulas_are_mathml_and_hidden_code_is_in_a_fold(folder):
    main = read(folder, "00a_neuron").main
    formulas = [formula.get_text() for formula in main.find_all("math", display="block")]
    assert len(formulas) == 4 and all("$" not in text and "\\" not in text for text in formulas)
    assert main.select("details > summary + .highlight")
    assert not main.find_all("img", src=re.compile("^(?!data:)")) and "scene_utils is missing" not in main.get_text()


def test_in_a_browser_from_the_folder(folder, browser):
    tab = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="light")
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((folder / "00a_neuron.html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.keyboard.press("/")
    tab.keyboard.type("softmax turns")
    tab.locator("#found a", has_text="Glossary › softmax").click()
    tab.wait_for_url("**/glossary.html#softmax")
    tab.get_by_role("button", name="Dark mode").click()
    tab.goto((folder / "index.html").as_uri())
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 29)"
    assert [url for url in asked if not url.startswith((folder.as_uri(), "data:"))] == []
    for name in ("00a_neuron", "index"):
        tab.goto((folder / f"{name}.html").as_uri())
        assert violations(tab) == []
