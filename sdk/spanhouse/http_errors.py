"""What went wrong between a client and the server, said in one sentence a person can act on."""

from __future__ import annotations

from typing import Any

import requests

from spanhouse.errors import ServerError


def unreachable(url: str, error: requests.RequestException) -> ServerError:
    """Return the error for a server that gave no answer; names the URL and how to start one."""
    if isinstance(error, requests.Timeout):
        return ServerError(f"the Spanhouse server at {url} did not answer in time; is it overloaded?")
    return ServerError(
        f"no Spanhouse server can be reached at {url}: start one with `spanhouse up`, "
        "or name another with --url or SPANHOUSE_URL"
    )


def refused(response: requests.Response) -> ServerError:
    """Return the error for an answer that is a failure, with the problem's title and detail where it has them."""
    problem = _problem(response)
    title = problem.get("title") or response.reason or "failed"
    detail = problem.get("detail") or ("" if problem else response.text[:200])
    path = response.request.path_url if response.request is not None else response.url
    # A detail of several lines shows a place in a text: nothing may stand beside its last line.
    apart = "\n" if "\n" in detail else " "
    message = f"{response.status_code} {title}" + (f": {detail}" if detail else "") + f"{apart}({path})"
    return ServerError(message, status=response.status_code, problem=problem)


def decoded(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        ServerError: it is none.
    """
    try:
        document = answer.json()
    except ValueError as error:
        msg = f"{answer.url} answered {answer.status_code} without JSON: is a Spanhouse server behind this URL?"
        raise ServerError(msg, status=answer.status_code) from error
    if not isinstance(document, dict):
        msg = f"{answer.url} answered a JSON {type(document).__name__} where an object belongs"
        raise ServerError(msg, status=answer.status_code)
    return document


def _problem(response: requests.Response) -> dict[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        document = response.json()
    except ValueError:
        # A failure's body may be cut short; its status still says what there is to say.
        return {}
    return document if isinstance(document, dict) else {}
