"""Notebooks as a reader meets them: nbval's kernels have bars and widgets on, and no cell leaves noise on its page."""

import re

import pytest

# What a reader sees where an output has no better form than the repr of a Python object.
RAW = re.compile(r"\s*(\w+\(.*\b(children|value|layout|options)=|<[\w.]+ (object|size) |\d+%\|)", re.DOTALL)
WIDGET = "application/vnd.jupyter.widget-view+json"


def noise(outputs) -> list[str]:
    """Return what a reader should not meet among a cell's outputs: errors, warnings, the repr of a widget or figure."""
    found = []
    for output in outputs:
        if output["output_type"] == "stream" and output["name"] == "stderr":
            found.append(f"stderr: {output['text']}")
        elif output["output_type"] == "error":
            found.append(f"{output['ename']}: {output['evalue']}")
        elif set(output.get("data", {})) == {"text/plain"} and RAW.match(output["data"]["text/plain"]):
            found.append(f"raw text: {output['data']['text/plain']}")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Refuse noise in every cell that nbval executes, those whose output it does not compare among them.

    Pictures are not compared, as nbval does with PNG: what Pillow and Matplotlib write differs between their versions.
    """
    if hasattr(item, "cell_num") and "image/svg+xml" not in item.parent.skip_compare:
        item.parent.skip_compare += ("image/svg+xml",)
    result = yield
    if hasattr(item, "cell_num") and (found := noise(item.test_outputs or [])):
        item.raise_cell_error("Noise on the page", "\n".join(found))
    return result
