"""Pandas stays out of the processes that do not need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALONE = "from spanhouse_storage.arrow_alone import leave_pandas_out; leave_pandas_out()"


def run(code: str) -> str:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_decode_child_starts_and_converts_without_pandas() -> None:
    pytest.importorskip("pandas")
    child = (
        f"import spanhouse_collector.child; {ALONE}; from spanhouse_collector.normalise import normalise; normalise(())"
    )
    assert run(f"{child}; import sys; print('pandas' in sys.modules)") == "False"


def test_a_server_starts_without_what_it_may_never_need() -> None:
    start = "import spanhouse_server.process, sys; print({'streamlit', 'apprise'} & set(sys.modules))"
    assert run(start) == "set()"


def test_whoever_asks_for_a_pandas_frame_gets_one() -> None:
    pytest.importorskip("pandas")
    ask = f"{ALONE}; import pyarrow as pa; t = pa.table({{'a': [1, 2]}})"
    assert run(f"{ask}; print(int(t.to_pandas()['a'].sum()))") == "3"
    assert run(f"{ask}; import pandas as pd; print(pa.Table.from_pandas(pd.DataFrame({{'a': [1, 2]}})) == t)") == "True"
