"""One model call of a run: checked, reserved, made, settled, recorded."""

from __future__ import annotations

from typing import Any

from spanhouse.classification import classify
from spanhouse.errors import ErrorType, RunStopped
from spanhouse.failures import message_of
from spanhouse.model_calls import ModelCall, model_call
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.easing import ease
from spanhouse_runtime.guard import ModelAsk, ModelPermit
from spanhouse_runtime.model import Message, ModelRequest, ModelResponse
from spanhouse_runtime.model_answer import MalformedAnswer, checked
from spanhouse_runtime.money import usd
from spanhouse_runtime.session import Session
from spanhouse_runtime.worker import call_with_deadline


def ask_model(session: Session) -> ModelResponse:
    """Return the model's next message, with its turn counted and its cost booked.

    Raises:
        RunStopped: an operator, a limit or the model itself ended the run.
    """
    ease(session)
    setup, model = session.setup, session.model
    request = ModelRequest(_conversation(session), setup.toolbox.definitions, session.guarded.limits.max_output_tokens)
    # A conversation only grows, so its last counted length is a floor under the guess from its text.
    input_tokens = max(request.estimated_input_tokens(), session.last_input_tokens)
    permit = session.guarded.admit_model(ModelAsk(model.name, model.provider, input_tokens, request.max_output_tokens))
    session.step += 1
    session.run.step(session.step, "model")
    try:
        response = _call(session, request, permit)
    except RunStopped:
        permit.dropped()
        raise
    except MalformedAnswer as problem:
        # It was answered, and what that cost nobody knows.
        permit.dropped()
        reason = StopReason(StopCode.MODEL_ERROR, ErrorType.MALFORMED.value)
        raise session.guarded.stop(reason, str(problem)) from problem
    except Exception as problem:  # every failure of a model ends the run with a typed reason
        kind = classify(problem)
        permit.failed()
        reason = StopReason(StopCode.MODEL_ERROR, kind.value)
        raise session.guarded.stop(reason, f"{type(problem).__name__}: {message_of(problem)}") from problem
    except BaseException:
        permit.dropped()
        raise
    session.said = response.text or session.said
    session.messages.append(response.as_message())
    session.guarded.said(response.text)
    return response


def check_last_answer(response: ModelResponse) -> None:
    """Return if a message without tool calls is a whole answer.

    Raises:
        RunStopped: the answer was cut off at the output limit, withheld by the provider's filter, or is empty.
    """
    if response.finish_reason == "length":
        raise RunStopped(StopReason(StopCode.MAX_TOKENS, "output"), "the last answer was cut off at the output limit")
    if response.finish_reason == ErrorType.CONTENT_FILTER:
        reason = StopReason(StopCode.MODEL_ERROR, ErrorType.CONTENT_FILTER)
        raise RunStopped(reason, "the provider's content filter withheld the answer")
    if not response.text.strip():
        reason = StopReason(StopCode.MODEL_ERROR, ErrorType.MALFORMED)
        raise RunStopped(reason, "the model answered neither a text nor a tool call")


def _conversation(session: Session) -> tuple[Message, ...]:
    instructions = session.instructions
    return (*((Message("system", instructions),) if instructions else ()), *session.messages)


def _call(session: Session, request: ModelRequest, permit: ModelPermit) -> ModelResponse:
    model, guarded = session.model, session.guarded
    tools = [
        {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters}
        for t in request.tools
    ]
    with model_call(
        model.name,
        provider=model.provider,
        messages=[message.as_genai() for message in session.messages],
        system=session.instructions or None,
        tools=tools,
        max_tokens=request.max_output_tokens,
    ) as call:
        # When the run's time is up, it is the check that says so: the model has no time limit of its own.
        response = checked(
            call_with_deadline(
                model.complete,
                {"request": request},
                timeout=guarded.remaining_seconds(),
                check=guarded.look,
            )
        )
        cost = permit.answered(response.usage, response.cost_usd)
        listed = cost is not None and response.cost_usd is None
        _record(call, response, cost, guarded.guard.price_version_of(model.name) if listed else "")
        _book(session, response, cost)
        return response


def _record(call: ModelCall, response: ModelResponse, cost: int | None, price_version: str) -> None:
    usage = response.usage
    output: dict[str, Any] = {**response.as_message().as_genai(), "finish_reason": response.finish_reason}
    call.response(
        output=output,
        model=response.model or None,
        id=response.id or None,
        finish_reasons=[response.finish_reason],
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        cache_read_tokens=usage.cache_read_tokens if usage else None,
        cache_write_tokens=usage.cache_write_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
        cost_usd=None if cost is None else usd(cost),
        price_version=price_version or None,
    )


def _book(session: Session, response: ModelResponse, cost: int | None) -> None:
    session.cost_known = session.cost_known and cost is not None
    if response.usage is not None:
        session.usage += response.usage
        session.last_input_tokens = response.usage.input_tokens
