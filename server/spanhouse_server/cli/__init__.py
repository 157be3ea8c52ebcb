"""The command line: every command is a client of the API, but ``up`` and ``demo``, which start the server."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; where the server parts are not installed, say which and how to get them."""
    try:
        from spanhouse_server.cli.commands import cli  # noqa: PLC0415 - a missing extra must be answered, not raised

        cli()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("spanhouse"):
            raise
        message = f"spanhouse needs the server parts ({error.name} is missing): pip install 'spanhouse[server]'\n"
        sys.stderr.write(message)
        sys.exit(2)
