"""What docs/notebooks.md and the example notebook say runs as it stands, against a server with runs in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.process import ServerProcess

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


def _run(code: str, url: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "SPANHOUSE_URL": url},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_cells_run_one_after_another(tmp_path: Path) -> None:
    """Of the page and of the example, on the runs that an example agent leaves."""
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    cells = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert cells.count("frame()") >= 4
    with ServerProcess(tmp_path / "data") as server:
        _run((ROOT / "examples" / "guarded_agent.py").read_text(encoding="utf-8"), server.url)
        server.drain()
        [run] = server.get("/api/v1/runs")["runs"]
        cells = cells.replace("support-agent", run["agent"])
        assert _run(f"import polars as pl\n{cells}\nprint(runs.height)", server.url).strip() == "1"
        shown = _run((ROOT / "examples" / "notebook.py").read_text(encoding="utf-8"), server.url)
        assert "policy_deny" in shown
