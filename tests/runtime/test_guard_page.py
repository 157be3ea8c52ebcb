"""The page about the guard and its example run as they stand."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from tests.support.otlp_sink import OtlpSink

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "guard.md", "exec"), names)  # the point of the test
    assert capsys.readouterr().out == "order A-1001: delivered\nfinish\n"
    names["budgets"].close()  # type: ignore[attr-defined]


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with OtlpSink() as sink:
        monkeypatch.setenv("SPANHOUSE_URL", sink.url)
        runpy.run_path(str(ROOT / "examples" / "guarded_framework.py"), run_name="__main__")
        runs = [span for span in sink.spans if span.name == "invoke_agent support-agent" and not span.pending]
    assert capsys.readouterr().out == "stopped by policy_deny:refund\n"
    assert [span.attributes["spanhouse.stop_reason"] for span in runs] == ["policy_deny:refund"]


def test_every_link_of_the_page_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
