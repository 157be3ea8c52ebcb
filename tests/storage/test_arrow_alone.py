"""Pandas stays out of the processes that do not ask for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEFT_OUT = "import sys; assert not {'pandas', 'streamlit', 'apprise'} & set(sys.modules), 'imported all the same'"


def run(code: str) -> str:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize(
    "module", ["spanhouse_collector.child", "spanhouse_collector.normalise", "spanhouse_server.process"]
)
def test_a_process_starts_without_what_it_may_never_need(module: str) -> None:
    run(f"import {module}; {LEFT_OUT}")


def test_whoever_asks_for_a_pandas_frame_gets_one() -> None:
    pytest.importorskip("pandas")
    ask = "import spanhouse_storage, pyarrow as pa; t = pa.table({'a': [1, 2]})"
    assert run(f"{ask}; {LEFT_OUT}; print(int(t.to_pandas()['a'].sum()))") == "3"
    assert run(f"{ask}; import pandas as pd; print(pa.Table.from_pandas(pd.DataFrame({{'a': [1, 2]}})) == t)") == "True"
