from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spanhouse_dashboards import settings

PROGRAM = """
from streamlit import config
config.get_option("server.port")
from spanhouse_dashboards.mount import WARMED, _import_all, streamlit_app
streamlit_app(url="http://127.0.0.1:9/")
_import_all()
from spanhouse_dashboards import settings
print(config.get_option("browser.gatherUsageStats"), config.get_option("server.fileWatcherType"),
      config.get_option("theme.dark.backgroundColor"), settings.current().url)
"""


def test_mounting_suffices_from_any_directory_even_when_streamlit_was_configured_before(tmp_path: Path) -> None:
    """No statistics go out, no file is watched, both themes are there, and every warmed module exists."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit/config.toml").write_text("[browser]\ngatherUsageStats = true\n")
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "none", "#0F141B", "http://127.0.0.1:9"]


def test_the_api_is_found_by_what_was_configured_then_the_environment_then_the_default_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.configure(None)
    monkeypatch.delenv("SPANHOUSE_URL", raising=False)
    assert settings.current().url == "http://127.0.0.1:4318"
    monkeypatch.setenv("SPANHOUSE_URL", "http://127.0.0.1:5/")
    assert settings.current().url == "http://127.0.0.1:5"
    settings.configure("http://127.0.0.1:6")
    assert settings.current().url == "http://127.0.0.1:6"
    settings.configure(None)
