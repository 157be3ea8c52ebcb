"""Which of the places a token may stand in a command of an operator takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from spanhouse_server.cli.base import operator_token
from spanhouse_server.cli.commands import cli

BOTH = {"SPANHOUSE_TOKEN": "shk_reading", "SPANHOUSE_OPERATOR_TOKEN": "sho_named"}


@pytest.mark.parametrize(
    ("environ", "file", "taken"),
    [
        (BOTH, "sho_file", "sho_named"),
        ({"SPANHOUSE_TOKEN": "shk_reading"}, "sho_file", "sho_file"),
        ({"SPANHOUSE_TOKEN": "sho_remote"}, "", "sho_remote"),
        ({}, "sho_file", "sho_file"),
        ({}, "", ""),
    ],
)
def test_the_name_meant_for_it_wins_then_the_servers_own_file_then_the_common_name(
    tmp_path: Path, environ: dict[str, str], file: str, taken: str
) -> None:
    if file:
        (tmp_path / "operator.token").write_text(file)
    assert operator_token(environ, tmp_path) == taken


def test_the_token_of_this_machines_server_is_shown_to_no_other_machine(tmp_path: Path) -> None:
    """Or whoever answers there could stop the agents here."""
    assert operator_token({}, None) == ""
    (tmp_path / "operator.token").write_text("sho_file")
    environ = {"SPANHOUSE_DATA": "", "HOME": str(tmp_path), "SPANHOUSE_TOKEN": "", "SPANHOUSE_OPERATOR_TOKEN": ""}
    (tmp_path / ".spanhouse").mkdir()
    (tmp_path / ".spanhouse" / "operator.token").write_text("sho_file")
    ended = CliRunner().invoke(cli, ["keys", "list", "--url", "http://192.0.2.1:4318"], env=environ)
    assert ended.exit_code == 1
    assert "set SPANHOUSE_TOKEN to the operator token or a key to operate" in ended.output
