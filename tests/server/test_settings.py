"""Settings: one table, strict values, and a page of documentation that cannot drift."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanhouse.errors import ConfigurationError
from spanhouse_server import settings

DOC = Path(__file__).parents[2] / "docs" / "settings.md"


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """The order of strength, each in its turn."""
    file = tmp_path / "spanhouse.toml"
    file.write_text('http = "127.0.0.1:1"\ndata = "/from-file"\nrun_lease = "9m"\n')
    environ = {"SPANHOUSE_HTTP": "127.0.0.1:2", "SPANHOUSE_DATA": "/from-env"}
    loaded = settings.load({"http": "127.0.0.1:3"}, environ, file)
    assert (loaded.http, loaded.data, loaded.run_lease, loaded.ui) == ("127.0.0.1:3", "/from-env", 540.0, True)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SPANHOUSE_HTTP": "4318"}, "host:port"),
        ({"SPANHOUSE_HTTP": "127.0.0.1:99999"}, "host:port"),
        ({"SPANHOUSE_MAX_BODY": "lots"}, "MiB"),
        ({"SPANHOUSE_RUN_LEASE": "soon"}, "length of time"),
        ({"SPANHOUSE_UI": "maybe"}, "true or false"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_fix(environ: dict[str, str], said: str) -> None:
    """The error names the variable, the value and what to write."""
    with pytest.raises(ConfigurationError, match=said) as error:
        settings.load({}, environ)
    name, value = next(iter(environ.items()))
    assert name in str(error.value)
    assert repr(value) in str(error.value)


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    """A misspelt setting is an error, not a silence."""
    file = tmp_path / "spanhouse.toml"
    file.write_text('htpp = "127.0.0.1:1"\n')
    with pytest.raises(ConfigurationError, match="htpp"):
        settings.load({}, {}, file)


def test_every_setting_is_documented_as_it_is() -> None:
    """docs/settings.md holds the table's rows, and no other."""
    rows = [
        f"| `{row.flag}` | `{row.env}` | {f'`{row.default}`' if row.default else 'empty'} | {row.meaning} |"
        for row in settings.table()
    ]
    documented = [line for line in DOC.read_text(encoding="utf-8").splitlines() if line.startswith("| `--")]
    assert documented == rows


def test_the_url_is_one_a_client_can_use() -> None:
    """An address that means every interface is reached on loopback; IPv6 gets its brackets."""
    assert settings.load({"http": "0.0.0.0:80"}, {}).url == "http://127.0.0.1:80"
    assert settings.load({"http": "[::1]:4318"}, {}).url == "http://[::1]:4318"
