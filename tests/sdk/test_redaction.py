"""Secrets are cut out, everything else stays, and no input makes it slow."""

from __future__ import annotations

import json
import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.detectors import DETECTORS, KINDS
from spanhouse.redaction import redact

LONG = "aB3" * 12
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----"
SECRETS = {
    "private_key": PEM,
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{LONG}",
    "anthropic_key": f"sk-ant-api03-{LONG}",
    "openai_key": f"sk-proj-{LONG}",
    "aws_key": "AKIAIOSFODNN7EXAMPLE",
    "google_key": "AIza" + "b" * 35,
    "github_token": f"ghp_{LONG}",
    "slack_token": "xoxb-1234567890-abcdef",
    "stripe_key": "sk_live_" + "a1" * 10,
    "huggingface_token": f"hf_{LONG}",
    "spanhouse_key": f"shk_{LONG}",
    "card": "4111 1111 1111 1111",
}
STRUCTURED = [
    ("postgres://app:hunter22@db:5432/shop", "postgres://app:[REDACTED:url_password]@db:5432/shop"),
    ("https://:tok3n@host/x", "https://:[REDACTED:url_password]@host/x"),
    ("Authorization: Bearer abcdef0hijkl", "Authorization: Bearer [REDACTED:authorization]"),
    ("authorization: basic dXNlcjpwYXNz", "authorization: basic [REDACTED:authorization]"),
    ('{"Authorization": "Token xyz"}', '{"Authorization": "[REDACTED:secret_field]"}'),
    ('{"db_password":"it\'s \\\\ here","n":1}', '{"db_password":"[REDACTED:secret_field]","n":1}'),
    ('{"apiKey": 12345}', '{"apiKey": "[REDACTED:secret_field]"}'),
    ("{'client_secret': 'abc'}", "{'client_secret': '[REDACTED:secret_field]'}"),
    ('{"user": {"dbPassword": "a\\"b"}, "n": 1}', '{"user": {"dbPassword": "[REDACTED:secret_field]"}, "n": 1}'),
    ('{"x-api-key": ["abc", "def"]}', '{"x-api-key": "[REDACTED:secret_field]"}'),
    ('{"session_token": "a1b2c3d4e5"}', '{"session_token": "[REDACTED:secret_field]"}'),
    ("export DB_PASSWORD='hunter22' X=1", "export DB_PASSWORD='[REDACTED:assignment]' X=1"),
    ("GET /v1?api_key=abc123def&page=2", "GET /v1?api_key=[REDACTED:assignment]&page=2"),
    ('{"card": 4111111111111111}', '{"card": "[REDACTED:card]"}'),
    ("[5500005555555559, 1]", '["[REDACTED:card]", 1]'),
    ('{"inner": "{\\"password\\": \\"x y\\"}"}', '{"inner": "{\\"password\\": \\"[REDACTED:secret_field]\\"}"}'),
]
HARMLESS = [
    "Please reset my password, the secret is patience.",
    '{"input_tokens": 12, "max_tokens": 500, "tokenizer": "cl100k", "key": "value", "keyboard": "qwerty"}',
    "https://example.com:8080/path?q=a@b",
    "risk-averse asks sk-1 and task-force-of-many-words",
    "The bearer of this letter is basic training material.",
    "eyJ is how base64 of an object starts",
    '{"password": null, "secret": false, "api_key": ""}',
    '{"token": "Hello", "logprob": -0.1, "bypass": "on", "password_hint": "pet"}',
    '{"properties": {"password": {"type": "string"}}, "required": ["password"]}',
    "password = getpass(); api_key=os.environ['KEY1']; max_tokens=4096000",
    "0.4111111111111111 4111111111111112 1780000000000000000 4111-1111-1111-1111-1",
]


@pytest.mark.parametrize("kind", SECRETS)
def test_planted_secrets_are_cut_out(kind: str) -> None:
    """Each kind is found inside running text, and nothing around it is touched."""
    assert redact(f"before {SECRETS[kind]} after") == (f"before [REDACTED:{kind}] after", 1)


@pytest.mark.parametrize(("text", "expected"), STRUCTURED)
def test_values_are_cut_out_and_their_places_kept(text: str, expected: str) -> None:
    """A reader still sees that there was a password, in which URL or field."""
    assert redact(text) == (expected, 1)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays(text: str) -> None:
    """Words about secrets are none."""
    assert redact(text) == (text, 0)


def test_a_key_cut_off_by_a_size_limit_is_still_cut_out() -> None:
    """A PEM block without its end is a key all the same, and a JSON string around it stays closed."""
    begun = PEM.split("-----END", maxsplit=1)[0]
    assert redact(begun) == ("[REDACTED:private_key]", 1)
    document = json.dumps({"file": begun, "next": 1})
    assert json.loads(redact(document)[0]) == {"file": "[REDACTED:private_key]", "next": 1}


@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.text(max_size=20),
            st.text(alphabet="ab1\"'\\\\\n:,{}[]", max_size=20),
            st.sampled_from(list(SECRETS.values())),
        ),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["password", "api_key", "note", "a"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_json_stays_json_and_holds_no_secret(value: Any) -> None:
    """Whatever is in a document, also inside its strings, it can be read afterwards; there is nothing more to find."""
    once, _ = redact(json.dumps({"said": json.dumps(value), "value": value}, ensure_ascii=False))
    json.loads(json.loads(once)["said"])
    assert not any(secret.splitlines()[0] in once for secret in SECRETS.values())
    assert redact(once) == (once, 0)


@given(st.text(alphabet=string.ascii_lowercase + " .,", max_size=300))
def test_plain_words_are_never_touched(text: str) -> None:
    """Lower-case prose has no secret in it."""
    assert redact(text) == (text, 0)


@pytest.mark.parametrize(
    "hostile",
    [
        "-----BEGIN PRIVATE KEY-----" * 300,
        "eyJ" + "a" * 20_000 + "." * 20_000,
        "://" + "a" * 20_000,
        "a://b:" * 3_000,
        '"password": "' * 2_000,
        '\\"' * 20_000 + "password",
        "a_" * 20_000 + "password",
        "bearer " + "=" * 50_000,
        "eyJ-" * 50_000,
        "eyJaaaaaaaaa." * 20_000,
        "-----BEGIN PRIVATE KEY-----" + "a" * 200_000,
        "4111 1111 " * 30_000,
        "password=" * 30_000,
        '"password":"' + "a" * 200_000,
        "'a'" * 50_000,
    ],
)
def test_no_input_takes_forever(hostile: str) -> None:
    """Bounded patterns end; the suite's own time limit is the judge."""
    redact(hostile)


def examples(kind: str) -> list[str]:
    """Return texts that hold a secret of this kind."""
    return [f"x {SECRETS[kind]} y"] if kind in SECRETS else [text for text, cut in STRUCTURED if f":{kind}]" in cut]


@pytest.mark.parametrize("kind", KINDS)
def test_hints_and_sieve_hide_nothing_that_the_detector_finds(kind: str) -> None:
    """The cheap looks beforehand hold for every text the detector finds something in."""
    (detector,) = [each for each in DETECTORS if each.kind == kind]
    assert examples(kind)
    for text in examples(kind):
        assert detector.cut(text, lambda _kind, _secret: "")[1]
        assert any(hint in text.lower() for hint in detector.hints)
        assert re.search(detector.sieve, text)


def test_captured_content_is_redacted_before_it_leaves(telemetry: OtlpSink) -> None:
    """Arguments, results, messages, inputs and error messages: no request holds the secret, and spans count it."""
    secret = SECRETS["openai_key"]
    with sh.run("refund", input=f"my key is {secret}"):
        with sh.tool_call("look", {"key": secret}) as call:
            call.result({"password": "hunter22", "echo": secret})
        with pytest.raises(ValueError, match="sk-proj"), sh.model_call("m", messages=secret):
            raise ValueError(secret)
    assert sh.flush()
    assert all(secret.encode() not in request.body for request in telemetry.requests)
    assert telemetry.span("execute_tool look").attributes["spanhouse.redacted"] == 3
    assert telemetry.span("chat m").status_message == "[REDACTED:openai_key]"
    assert telemetry.span("invoke_agent refund").attributes["spanhouse.redacted"] == 1
