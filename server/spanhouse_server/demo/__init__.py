"""``spanhouse demo``: a sample week, live agents and an alert that fires, on a server of one's own."""

from spanhouse_server.demo.show import Demo

__all__ = ["Demo"]
