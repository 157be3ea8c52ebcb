"""Starting the server: what cannot be served is said in one sentence, before anything is opened."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.process import free_port

from spanhouse_server.cli.commands import cli
from spanhouse_server.cli.serve import bind
from spanhouse_server.settings import Settings

HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
sys.meta_path.insert(0, Hidden())
sys.argv = ["spanhouse", *{arguments!r}]
from spanhouse_server.cli import main
main()
"""


@pytest.mark.parametrize(
    ("hidden", "arguments"),
    [("click", ["runs"]), ("uvicorn", ["--help"]), ("fastapi", ["up"]), ("sqlalchemy", ["--version"])],
)
def test_without_the_server_parts_the_command_says_how_to_get_them(
    tmp_path: Path, hidden: str, arguments: list[str]
) -> None:
    """One sentence and exit code 2, whichever part is missing and whenever it is missed."""
    if arguments == ["up"]:
        arguments += ["--data", str(tmp_path), "--http", f"127.0.0.1:{free_port()}", "--grpc", ""]
    script = HIDE.format(hidden={hidden}, arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.strip().splitlines() == [
        f"spanhouse needs the server parts ({hidden} is missing): pip install 'spanhouse[server]'"
    ]


@pytest.mark.parametrize(
    ("flags", "environ", "code", "said"),
    [
        (["--http", "0.0.0.0:0"], {}, 2, "--allow-remote"),
        (["--http", "[::]:0"], {}, 2, "--allow-remote"),
        (["--http", "10.1.2.3:4318"], {}, 2, "10.1.2.3"),
        (["--http", "4318"], {}, 2, "host:port"),
        ([], {"SPANHOUSE_MAX_BODY": "lots"}, 2, "SPANHOUSE_MAX_BODY"),
        (["--log-level", "loud"], {}, 2, "debug, info, warning, error"),
        (["--rules", "/no/such/rules.yaml"], {}, 2, "/no/such/rules.yaml"),
        (["--data", "/dev/null/x"], {}, 2, "--data"),
        (["--http", "256.0.0.1:4318", "--allow-remote", "true"], {}, 1, "--http"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_served_is_said_in_one_sentence(
    tmp_path: Path, flags: list[str], environ: dict[str, str], code: int, said: str
) -> None:
    """Exit code 2 for a setting, 1 for what the machine refuses; never a traceback."""
    defaults = ["--http", f"127.0.0.1:{free_port()}", "--data", str(tmp_path), "--grpc", "", "--ui", "false"]
    ended = CliRunner().invoke(cli, ["up", *defaults, *flags], env=environ)
    assert ended.exit_code == code, (ended.output, ended.exception)
    assert said in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr


def test_a_settings_file_that_cannot_be_used_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is no file, no TOML, misspelt, or has a list where one value belongs."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "spanhouse.toml"
    for content, said in (("= 1", "TOML"), ("htpp = 1", "htpp"), ('data = ["a"]', "list")):
        file.write_text(content, encoding="utf-8")
        ended = CliRunner().invoke(cli, ["up"])
        assert (ended.exit_code, len(ended.stderr.strip().splitlines())) == (2, 1)
        assert said in ended.stderr
    file.unlink()
    file.mkdir()
    assert "cannot be read" in CliRunner().invoke(cli, ["up"]).stderr


def test_port_0_becomes_the_port_that_was_given() -> None:
    """What is announced can be called; and the port is ours from then on."""
    listener, settings = bind(Settings(http="127.0.0.1:0", grpc=""))
    with listener:
        assert settings.port == listener.getsockname()[1] != 0
        with socket.create_connection((settings.host, settings.port)):
            pass
        with pytest.raises(SystemExit) as taken:
            bind(settings)
        assert taken.value.code == 1
