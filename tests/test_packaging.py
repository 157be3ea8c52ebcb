"""What is installed: a light SDK, every file the parts read at run time, types for users."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("sdk", "runtime", "collector", "storage", "analysis", "alerts", "dashboards", "server")
HEAVY = ("fastapi", "polars", "streamlit", "pyarrow", "clickhouse_connect", "chdb", "sqlalchemy", "plotly", "pandas")


def test_the_wheel_holds_every_file_of_every_part(tmp_path: Path) -> None:
    """SQL, YAML, TOML and markers travel with the code."""
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", *PARTS], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {line.split("/", 1)[1] for line in tracked.stdout.splitlines() if (ROOT / line).is_file()}
    assert wanted - packed == set()


def test_importing_the_sdk_loads_nothing_of_the_server() -> None:
    """An agent pays for OpenTelemetry and no more."""
    code = f"import sys, spanhouse; print([m for m in {HEAVY} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_base_install_asks_for_nothing_of_the_server() -> None:
    """Only the extras name the heavy packages."""
    base = {line.split(">")[0].split("[")[0].strip() for line in requires("spanhouse") or [] if "extra ==" not in line}
    assert base == {"opentelemetry-sdk", "opentelemetry-exporter-otlp", "pydantic", "requests", "protobuf"}
