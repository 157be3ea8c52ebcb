"""An agent you wrote yourself, watched by Spanhouse: two tools, one model call, one stop reason.

spanhouse up                        # in another terminal
python examples/watched_agent.py    # then look at the printed request id:  spanhouse triage REQUEST_ID
"""

from __future__ import annotations

import uuid

import spanhouse as sh


@sh.tool
def lookup_order(order_id: str) -> dict[str, str]:
    """Return an order as the shop's API would."""
    return {"order_id": order_id, "status": "delivered", "carrier": "DHL"}


@sh.tool(name="mail.send")
def send_mail(to: str, text: str) -> str:
    """Send a mail; here it fails, as things do."""
    raise ConnectionError(f"no route to the mail server for {to}: {len(text)} characters not sent")  # noqa: EM102, TRY003


def answer(question: str) -> str:
    """Return a model's answer; any client's call goes into the block."""
    with sh.model_call("gpt-4o-mini", provider="openai", messages=[{"role": "user", "content": question}]) as call:
        text = "Your order A-1001 was delivered by DHL."
        call.response(
            output=[{"role": "assistant", "content": text}],
            finish_reasons=["stop"],
            input_tokens=412,
            output_tokens=18,
        )
    return text


def main() -> None:
    """Serve one request."""
    sh.init(service="watched-agent")
    request_id = f"req-{uuid.uuid4().hex[:8]}"
    question = "Where is my order A-1001?"
    with sh.run("where-is-my-order", request_id=request_id, tenant="acme", user_id="u-17", input=question) as run:
        lookup_order("A-1001")
        text = answer(question)
        try:
            send_mail("someone@example.com", text)
        except ConnectionError as error:
            run.event("fallback", reason=str(error))
        run.output(text)
        run.outcome("success")
    sh.shutdown()
    print(f"spanhouse triage {request_id}")


if __name__ == "__main__":
    main()
