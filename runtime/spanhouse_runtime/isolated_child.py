"""The far end of an isolated call: a script that runs one function in a process of its own.

Started by path and not as a module, so that it imports nothing but what the function needs. Reads the call from
standard input, whose end means that the caller is gone; answers on what was standard output, which from then on is
standard error: what the tool prints cannot spoil the answer.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import pickle
import struct
import sys
import threading
from typing import Any, BinaryIO


def main() -> None:
    """Answer one call."""
    source = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    (size,) = struct.unpack(">Q", source.read(8))
    path, module, name, values = pickle.loads(source.read(size))  # noqa: S301 - from the process that started this one
    threading.Thread(target=_end_with, args=(source,), daemon=True).start()
    sys.path[:] = path
    try:
        answer = ("ok", _call(module, name, values))
    except BaseException as problem:  # noqa: BLE001 - whatever it is, the caller is told
        answer = ("error", _chain(problem))
    try:
        text = pickle.dumps(answer)
    except Exception:  # noqa: BLE001 - what cannot be carried over is shown
        text = pickle.dumps(("ok", repr(answer[1])))
    answers.write(text)
    answers.flush()
    # Threads the tool has left behind do not keep its process.
    os._exit(0)


def _call(module: str, name: str, values: bytes) -> Any:  # noqa: ANN401 - whatever the function returns
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    # The name may stand for the tool made of the function, or for its traced form.
    function = inspect.unwrap(getattr(found, "function", found))
    result = function(**pickle.loads(values))  # noqa: S301 - as above
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> Any:  # noqa: ANN401 - as above
    return await result


def _chain(problem: BaseException) -> list[BaseException | tuple[str, str]]:
    """Return the exception and what caused it; one that cannot be carried over by its name and message."""
    links: list[BaseException | tuple[str, str]] = []
    link: BaseException | None = problem
    while link is not None and len(links) < 10:  # noqa: PLR2004 - enough to tell its type
        try:
            pickle.loads(pickle.dumps(link))  # noqa: S301 - our own
            links.append(link)
        except Exception:  # noqa: BLE001 - exceptions are the tool's own
            links.append((type(link).__name__, str(link)))
        link = link.__cause__
    return links


def _end_with(source: BinaryIO) -> None:
    source.read()
    os._exit(1)


if __name__ == "__main__":
    main()
