"""Whom the SDK shows its token."""

from __future__ import annotations

import pytest

from spanhouse.settings import endpoint

TOKEN = {"SPANHOUSE_TOKEN": "shk_k"}
ELSEWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://other.example"}


@pytest.mark.parametrize(
    ("url", "environ", "shown"),
    [
        (None, TOKEN, True),
        ("http://10.0.0.1:4318", TOKEN, True),
        (None, {**TOKEN, "SPANHOUSE_URL": "http://10.0.0.1:4318"}, True),
        ("http://10.0.0.1:4318", {**TOKEN, **ELSEWHERE}, True),
        (None, {**TOKEN, **ELSEWHERE}, False),
        (None, {**TOKEN, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other.example/v1/traces"}, False),
        (None, {}, False),
    ],
)
def test_the_token_goes_to_a_spanhouse_server_and_to_nobody_else(
    url: str | None, environ: dict[str, str], *, shown: bool
) -> None:
    headers = endpoint("traces", url, None, environ).headers
    assert headers.get("authorization") == ("Bearer shk_k" if shown else None)


def test_a_header_that_is_given_wins_over_the_token() -> None:
    sent = endpoint("logs", None, {"Authorization": "Bearer mine"}, TOKEN).headers
    assert sent == {"authorization": "Bearer mine"}
