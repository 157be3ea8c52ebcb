"""``python -m spanhouse_server``: the command line without the installed script."""

from spanhouse_server.cli import main

main()
