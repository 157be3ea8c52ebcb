"""Functions that tests run in a process of their own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

from spanhouse_runtime.credentials import Secret
from spanhouse_runtime.tools import ToolFailure, tool


def double(number: int) -> int:
    """Double a number."""
    return number * 2


async def doubled_later(number: int) -> int:
    """Double a number."""
    return number * 2


def process_id() -> int:
    """Say which process this is."""
    return os.getpid()


def hang_in_c(pid_file: str) -> None:
    """Hang where no signal handler and no other thread of Python gets a turn."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(f"{os.getpid()} {child.pid}")
    ctypes.PyDLL(None).sleep(600)


def noisy() -> str:
    """Print, and answer."""
    sys.stdout.write("something on standard output")
    sys.stdout.flush()
    return "answer"


def crash() -> None:
    """End the process at once."""
    os.abort()


def quit_process() -> None:
    """End as a script ends."""
    sys.exit(3)


def declined() -> None:
    """Say that nothing was done, and why."""
    message = "no line"
    raise ToolFailure(message, retry_after=3, hint="wait a little") from ConnectionResetError("peer reset")


class Odd(Exception):  # noqa: N818 - what it is
    """An exception that cannot be carried between processes."""

    def __init__(self, one: object, other: object) -> None:
        super().__init__(f"{one} and {other}")


def odd() -> None:
    """Raise what cannot be pickled."""
    raise Odd(lambda: 1, "two")


def unpicklable() -> object:
    """Return what cannot be pickled."""
    return {"lock": lambda: 1}


def keyed(token: Annotated[str, Secret("crm_token")]) -> str:
    """Use a credential."""
    return f"used {token} with {len(token)} characters"


@tool(isolate=True)
def decorated(number: int) -> int:
    """Double a number."""
    time.sleep(0)
    return number * 2
