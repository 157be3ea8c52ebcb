"""A model that follows a script: runs without a key, a network or chance, for tests and demonstrations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from spanhouse.errors import SpanhouseError
from spanhouse_runtime.model import ModelRequest, ModelResponse

Turn = ModelResponse | Exception
Script = Callable[[ModelRequest, int], Turn]


class ScriptExhausted(SpanhouseError):  # noqa: N818 - what happened
    """A scripted model was asked for more turns than its script has."""


class ScriptedModel:
    """Answers turn by turn from a list, or from a function of the request and the turn's number (from 0).

    An exception in the script is raised instead of answered. A list that is used up is a failure, not a last answer, so
    that a run which asks more often than its script foresees is seen.

    Args:
        turns: the answers, or the function that makes them.
        name, provider: what spans call the model.
        delay: seconds each answer takes.
    """

    def __init__(
        self,
        turns: Sequence[Turn] | Script,
        *,
        name: str = "scripted-model",
        provider: str = "scripted",
        delay: float = 0.0,
    ) -> None:
        self.name = name
        self.provider = provider
        self.requests: list[ModelRequest] = []
        self._turns = turns
        self._delay = delay

    def complete(self, request: ModelRequest) -> ModelResponse:
        """Return the script's next answer, after the delay."""
        number = len(self.requests)
        self.requests.append(request)
        if self._delay:
            time.sleep(self._delay)
        if callable(self._turns):
            turn = self._turns(request, number)
        elif number < len(self._turns):
            turn = self._turns[number]
        else:
            msg = f"the script of {self.name} has {len(self._turns)} turns and was asked for turn {number + 1}"
            raise ScriptExhausted(msg)
        if isinstance(turn, Exception):
            raise turn
        return turn
