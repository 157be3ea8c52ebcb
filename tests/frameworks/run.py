# ruff: noqa: T201 - a script that prints a table
"""Runs agents of real frameworks offline against a real server, and compares their runs with what they did.

Each framework gets a virtual environment of its own, made from the package index the first time (minutes, and a few
GB): too heavy for every change, so it is run by hand. Models are scripted or served by a stub on the loopback.

Usage: python tests/frameworks/run.py [--envs DIR] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

os.environ.setdefault("SPANHOUSE_GRPC", "")  # its port is fixed, and another server may hold it

from tests.support.process import ServerProcess  # noqa: E402 - after the setting it reads

EXPORT = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
PACKAGES: dict[str, tuple[str, ...]] = {
    "pydantic_ai": ("pydantic-ai-slim",),
    "langgraph": ("langgraph", "langchain", "langchain-openai", "openinference-instrumentation-langchain"),
    "openai_agents": ("openai-agents", "openinference-instrumentation-openai-agents"),
    "llama_index": ("llama-index-core", "openinference-instrumentation-llama-index"),
    "strands": ("strands-agents[otel]",),
    "smolagents": ("smolagents[openai]", "openinference-instrumentation-smolagents"),
    "mlflow": ("mlflow-tracing",),
    "google_adk": ("google-adk",),
    "openllmetry": ("langgraph", "langchain", "langchain-openai", "opentelemetry-instrumentation-langchain"),
}
EXPECTED: dict[str, Any] = {
    "agent": "weather_agent",
    "model_calls": 2,
    "tool_calls": 1,
    "input_tokens": 280,
    "output_tokens": 50,
    "cache_read_tokens": 228,
    "session_id": "sess-1",
    "user_id": "user-42",
    "stop_reason": "finish",
}
# What a framework does not send, or counts differently, by its own account.
DIFFERENT: dict[str, dict[str, Any]] = {
    "pydantic_ai": {"user_id": None},
    "llama_index": {"agent": None, "cache_read_tokens": None},
    "openai_agents": {"cache_read_tokens": None},
    "google_adk": {"user_id": None},
    "smolagents": {"cache_read_tokens": None, "tool_calls": 2},
}


def environment(folder: Path, name: str) -> Path:
    """Return the Python of a framework's environment, made where it is not there yet."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        venv.create(folder / name, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES[name], *EXPORT]
        subprocess.run(install, check=True)
    return python


def play(python: Path, name: str, url: str) -> str:
    """Run one framework's agent; return what it printed last where it failed."""
    environ = {**os.environ, "FRAMEWORK": name, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONPATH": ""}
    environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    # Under the framework's own name the script would hide it.
    source = (HERE / "agents" / f"{name}.py").read_text()
    command = [str(python), "-c", f"import sys; sys.path.insert(0, {str(HERE / 'agents' / 'shared')!r})\n{source}"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    return "" if ended.returncode == 0 else (ended.stderr.strip().splitlines() or ["failed"])[-1]


def compare(name: str, found: list[dict[str, Any]]) -> list[str]:
    """Return what differs between the runs found and the one expected."""
    if len(found) != 1:
        return [f"{len(found)} runs instead of 1"]
    wanted = EXPECTED | DIFFERENT.get(name, {})
    return [f"{key}: {found[0][key]!r} instead of {value!r}" for key, value in wanted.items() if found[0][key] != value]


def line(name: str, version_: str, convention: str, figures: Sequence[object], verdict: str) -> str:
    """Return one line of the table."""
    shown = "".join(f"{'-' if figure is None else figure!s:>6}" for figure in figures)
    return f"{name:<16}{version_:<12}{convention:<16}{shown}  {verdict}"


def main() -> int:
    """Print one line a framework; return how many differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=sorted(PACKAGES))
    parser.add_argument("--envs", type=Path, default=Path(tempfile.gettempdir()) / "spanhouse-frameworks")
    options = parser.parse_args()
    options.envs.mkdir(parents=True, exist_ok=True)
    different = 0
    with tempfile.TemporaryDirectory() as data, ServerProcess(Path(data) / "server") as server:
        print(line("framework", "version", "convention", ("runs", "calls", "tools", "in", "out"), "verdict"))
        for name in options.names:
            python = environment(options.envs, name)
            failed = play(python, name, server.url)
            server.drain()
            runs = [run for run in server.get("/api/v1/runs", limit=500)["runs"] if run["service_name"] == name]
            differences = [failed] if failed else compare(name, runs)
            different += bool(differences)
            run = runs[0] if runs else {}
            figures = [run.get(key) for key in ("model_calls", "tool_calls", "input_tokens", "output_tokens")]
            verdict = "; ".join(differences) or "as expected"
            print(
                line(name, version(python, name), run.get("convention") or "-", (len(runs), *figures), verdict),
                flush=True,
            )
    return different


def version(python: Path, name: str) -> str:
    """Return the installed version of the framework's main package."""
    package = PACKAGES[name][-1 if name == "openllmetry" else 0].split("[")[0]
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
