"""What people say of runs becomes scores of these runs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.served import Served, problem
from tests.support.served_runs import ids

import spanhouse as sh
from spanhouse import Client, ServerError

PATH = "/api/v1/scores"


def scores(served: Served, name: str) -> list[dict[str, Any]]:
    """Return the scores of this name of the run that refunded."""
    served.drain()
    found: list[dict[str, Any]] = served.get(PATH, run_id=ids("refund")[0], name=name)["scores"]
    return found


def test_a_thumb_by_the_id_a_customer_quotes_is_a_score_of_the_run(served: Served) -> None:
    """The application that serves people needs no more than a key to send with."""
    with Client(served.url, token="") as client:
        given = sh.feedback("down", request_id="req-refund", comment="wrong amount", by="bob", client=client)
    assert (given["run_id"], given["value"]) == (ids("refund")[0], 0.0)
    (score,) = scores(served, "user_feedback")
    assert (score["value"], score["label"]) == (0.0, "down")
    assert score["explanation"] == "wrong amount (by bob)"
    assert score["trace_id"]


def test_corrections_and_scores_of_ones_own(served: Served) -> None:
    """A correction keeps what it should have been; a score its name, value and label."""
    run_id = ids("refund")[0]
    with Client(served.url, token="") as client:
        sh.feedback(run_id=run_id, correction="Refund 40 EUR", client=client)
        sh.feedback(run_id=run_id, name="helpful", value=0.75, label="mostly", client=client)
    (correction,) = scores(served, "correction")
    assert (correction["label"], correction["explanation"]) == ("corrected", "Refund 40 EUR")
    (helpful,) = scores(served, "helpful")
    assert (helpful["value"], helpful["label"]) == (0.75, "mostly")


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"thumbs": "up"}, "run_id"),
        ({"run_id": "r", "request_id": "q", "thumbs": "up"}, "one of"),
        ({"run_id": "r"}, "one thing"),
        ({"run_id": "r", "thumbs": "up", "correction": "no"}, "one thing"),
        ({"run_id": "r", "thumbs": "sideways"}, "thumbs"),
        ({"run_id": "r", "value": 1}, "name"),
        ({"run_id": "r", "thumbs": "up", "span_id": "xyz"}, "span_id"),
        ({"trace_id": "xyz", "thumbs": "up"}, "trace_id"),
        ({"run_id": "r", "thumbs": "up", "stars": 5}, "stars"),
    ],
)
def test_feedback_that_says_too_little_or_too_much_is_refused(served: Served, said: dict[str, Any], word: str) -> None:
    """400 names what is missing."""
    assert word in problem(served.http.post(PATH, json=said), 400)["detail"]


def test_nan_is_no_score(served: Served) -> None:
    """A mean must not be lost to one answer."""
    body = b'{"run_id": "r", "name": "helpful", "value": NaN}'
    problem(served.http.post(PATH, content=body, headers={"content-type": "application/json"}), 400)


def test_a_request_nobody_knows_is_not_guessed_at(served: Served) -> None:
    """A run id is kept as it is, for the run may not have come yet; a request id leads nowhere then."""
    with Client(served.url, token="") as client:
        with pytest.raises(ServerError) as refused:
            client.give_feedback(request_id="req-nobody", thumbs="up")
        assert refused.value.status == 404
        assert client.give_feedback(run_id="0" * 32, thumbs="up", tenant="acme")["tenant"] == "acme"
