"""One model call of a run: checked, reserved, made, settled, recorded."""

from __future__ import annotations

from typing import Any

from spanhouse.classification import classify
from spanhouse.errors import ErrorType, RunStopped
from spanhouse.model_calls import ModelCall, model_call
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.budget import Amounts
from spanhouse_runtime.model import Message, ModelRequest, ModelResponse
from spanhouse_runtime.money import nano_usd, usd
from spanhouse_runtime.session import Session
from spanhouse_runtime.state import RunState
from spanhouse_runtime.worker import call_with_deadline


def ask_model(session: Session) -> ModelResponse:
    """Return the model's next message, with its turn counted and its cost booked.

    Raises:
        RunStopped: an operator, a limit or the model itself ended the run.
    """
    setup = session.setup
    session.check()
    request = ModelRequest(_conversation(session), setup.toolbox.definitions, setup.limits.max_output_tokens)
    reservation = session.reserve(_most(session, request))
    session.step += 1
    session.run.step(session.step, "model")
    session.machine.to(RunState.THINKING)
    try:
        response = _call(session, request)
    except RunStopped:
        # The provider may well charge for an answer nobody waited for.
        session.settle(reservation)
        raise
    except Exception as problem:  # every failure of a model ends the run with a typed reason
        kind = classify(problem)
        session.settle(reservation, {StopCode.MAX_STEPS: 1})
        reason = StopReason(StopCode.MODEL_ERROR, kind.value)
        raise RunStopped(reason, f"{type(problem).__name__}: {problem}") from problem
    session.settle(reservation, _taken(session, response, reservation.amounts))
    session.said = response.text or session.said
    session.messages.append(response.as_message())
    return response


def check_last_answer(response: ModelResponse) -> None:
    """Return if a message without tool calls is a whole answer.

    Raises:
        RunStopped: the answer was cut off at the output limit, or withheld by the provider's filter.
    """
    if response.finish_reason == "length":
        raise RunStopped(StopReason(StopCode.MAX_TOKENS, "output"), "the last answer was cut off at the output limit")
    if response.finish_reason == ErrorType.CONTENT_FILTER:
        reason = StopReason(StopCode.MODEL_ERROR, ErrorType.CONTENT_FILTER)
        raise RunStopped(reason, "the provider's content filter withheld the answer")


def _conversation(session: Session) -> tuple[Message, ...]:
    instructions = session.setup.instructions
    return (*((Message("system", instructions),) if instructions else ()), *session.messages)


def _most(session: Session, request: ModelRequest) -> Amounts:
    # A conversation only grows, so its last counted length is a floor under the guess from its text.
    input_tokens = max(request.estimated_input_tokens(), session.last_input_tokens)
    amounts = {StopCode.MAX_STEPS: 1, StopCode.MAX_TOKENS: input_tokens + request.max_output_tokens}
    price = session.setup.price
    if price is not None:
        amounts[StopCode.MAX_USD] = price.cost(input_tokens, request.max_output_tokens)
    elif session.ledger.has_limit(StopCode.MAX_USD):
        limit = session.setup.limits.max_usd
        session.run.event("budget.stop", budget="max_usd", scope="unknown_price", amount=0, limit=limit, used=0)
        detail = f"max_usd is {limit}, but the price of {session.setup.model.name} is not known: give the agent a price"
        raise RunStopped(StopReason(StopCode.MAX_USD, "unknown_price"), detail)
    return amounts


def _call(session: Session, request: ModelRequest) -> ModelResponse:
    setup = session.setup
    tools = [
        {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters}
        for t in request.tools
    ]
    with model_call(
        setup.model.name,
        provider=setup.model.provider,
        messages=[message.as_genai() for message in session.messages],
        system=setup.instructions or None,
        tools=tools,
        max_tokens=request.max_output_tokens,
    ) as call:
        # When the run's time is up, it is the check that says so: the model has no time limit of its own.
        response: Any = call_with_deadline(
            setup.model.complete, {"request": request}, timeout=session.remaining_seconds(), check=session.look
        )
        assert isinstance(response, ModelResponse)
        _record(session, call, response)
        return response


def _record(session: Session, call: ModelCall, response: ModelResponse) -> None:
    usage = response.usage
    cost = _cost(session, response)
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
    )


def _cost(session: Session, response: ModelResponse) -> int | None:
    if response.cost_usd is not None:
        return nano_usd(response.cost_usd)
    price, usage = session.setup.price, response.usage
    if price is None or usage is None:
        return None
    return price.cost(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)


def _taken(session: Session, response: ModelResponse, reserved: Amounts) -> Amounts:
    cost = _cost(session, response)
    taken = {StopCode.MAX_STEPS: 1}
    if cost is None:
        session.cost_known = False
    # What the provider does not say is booked at what was reserved: the most it can have been.
    taken[StopCode.MAX_USD] = reserved.get(StopCode.MAX_USD, 0) if cost is None else cost
    if response.usage is None:
        taken[StopCode.MAX_TOKENS] = reserved[StopCode.MAX_TOKENS]
    else:
        taken[StopCode.MAX_TOKENS] = response.usage.total
        session.usage += response.usage
        session.last_input_tokens = response.usage.input_tokens
    return taken
