"""What importing the SDK costs an agent."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spanhouse


def loaded_by(statement: str) -> set[str]:
    """Return the names of all modules a fresh process has loaded after a statement."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{statement}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_loads_neither_server_parts_nor_telemetry() -> None:
    """`import spanhouse` costs next to nothing: what is heavy comes when it is first used."""
    loaded = loaded_by("import spanhouse")
    server = {"fastapi", "polars", "streamlit", "pyarrow", "clickhouse_connect", "sqlalchemy"}
    assert not loaded & (server | {"pydantic", "opentelemetry", "requests"})


def test_recording_loads_no_server_parts() -> None:
    """An agent in production carries OpenTelemetry, requests and pydantic, no more."""
    loaded = loaded_by(
        "import spanhouse as sh\nsh.init('x', url='http://127.0.0.1:9')\nsh.shutdown()\n"
        "with sh.run('r') as run:\n  run.event('plan')\nsh.Client\nsh.ControlPoller"
    )
    assert not loaded & {"fastapi", "polars", "streamlit", "pyarrow", "clickhouse_connect", "sqlalchemy", "grpc"}


def test_a_frame_without_its_extra_names_the_extra() -> None:
    """Polars and Arrow are missed when a frame is asked for, not before, with the command that brings them."""
    code = """
import sys
for name in ("polars", "pyarrow"): sys.modules[name] = None
import spanhouse as sh
from spanhouse.frames import Answer
try:
    Answer({"runs": []}, sh.Client(), "/api/v1/runs", {}).frame()
except sh.ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "spanhouse[client]"' in done.stdout


@pytest.mark.parametrize("name", spanhouse.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """All that is promised can be imported, and is no module that hides a function of the same name."""
    value = getattr(spanhouse, name)
    assert value is not None
    assert type(value).__name__ != "module"
    assert name in dir(spanhouse)


def test_the_promise_and_the_map_are_the_same_list() -> None:
    """A name cannot be promised without a home, nor have a home without being promised."""
    assert sorted(spanhouse.__all__) == sorted(spanhouse._HOMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Hasattr and from-imports behave as with any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = spanhouse.nothing
