"""The examples in docstrings and in the page about tools run as they are written."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from types import ModuleType

import pytest

from spanhouse_runtime import credentials, retries, tools, traits

PAGE = Path(__file__).parents[3] / "docs" / "tools.md"


@pytest.mark.parametrize("module", [credentials, retries, tools, traits], ids=lambda module: module.__name__)
def test_examples_in_docstrings_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


def test_the_page_about_tools_runs_from_top_to_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(blocks) > 4
    assert capsys.readouterr().out == "set_plan\nmaria is free again\n"
