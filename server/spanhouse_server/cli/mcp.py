"""``spanhouse mcp``: the tools of a coding agent, over standard input and output or HTTP."""

from __future__ import annotations

import click

from spanhouse_server.cli import base
from spanhouse_server.settings import host_of, is_loopback, parse_address


@click.command()
@click.option("--http", "address", help="Serve streamable HTTP at /mcp of host:port, loopback only; without it stdio.")
@base.url_option
def mcp(url: str, address: str | None) -> None:
    """Serve runs, metrics and alerts to a coding agent (Model Context Protocol).

    \b
    For a coding agent:  claude mcp add spanhouse -- spanhouse mcp

    \b
    Example:  spanhouse mcp --url http://127.0.0.1:4318
    """
    try:
        from spanhouse_server.mcp.server import build  # noqa: PLC0415 - an extra, needed by this command alone
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("spanhouse"):
            raise
        base.fail(f"spanhouse mcp needs {error.name}: pip install 'spanhouse[server,mcp]'", code=2)
    server = build(base.call(lambda: base.client(url)))
    if address is None:
        server.run("stdio")
        return
    try:
        host, port = host_of(parse_address(address)), int(address.rpartition(":")[2])
    except ValueError as error:
        base.fail(str(error), code=2)
    if not is_loopback(host):
        base.fail(f"{host} can be reached from other machines and this asks nobody for a key: use 127.0.0.1", code=2)
    server.run("streamable-http", host=host, port=port, stateless_http=True, json_response=True)
