"""The gRPC address: one that was chosen must be free; the standard one gives way to whoever has it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from spanhouse.errors import ConfigurationError
from spanhouse_server.process import with_free_grpc
from spanhouse_server.settings import Settings


@pytest.fixture
def holder() -> Iterator[socket.socket]:
    """A listener on the standard port, or on any other where the standard one is taken already."""
    with socket.socket() as listener:
        with suppress(OSError):
            listener.bind(("127.0.0.1", 4317))
        listener.listen()
        yield listener


def test_the_standard_port_gives_way(holder: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    """Another collector on 4317 is no reason not to start; that gRPC is off is said, with the flag."""
    assert with_free_grpc(Settings()).grpc == ""
    assert "--grpc" in caplog.text


def test_a_chosen_port_that_is_taken_is_an_error() -> None:
    """The sentence names the flag."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        chosen = Settings(grpc=f"127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(ConfigurationError, match="--grpc"):
            with_free_grpc(chosen)
    assert with_free_grpc(Settings(grpc="")).grpc == ""
