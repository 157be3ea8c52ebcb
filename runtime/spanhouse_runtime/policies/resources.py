"""Paths and URLs as policies compare them: one spelling for each thing, and nothing for what could be two."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_NUMERIC_HOST: Final = re.compile(r"[0-9a-fx.]*\.?(0x[0-9a-f]*|[0-9]+)")
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_ANY_SEGMENTS: Final = "**"


class Ambiguous(ValueError):  # noqa: N818 - says what the text is
    """A text could mean different resources to different readers, so no rule can be sure of it."""


def normalised(text: str) -> str:
    """Return the one spelling of a path or URL, without query and fragment.

    ``/a/./b//c/../d`` is ``/a/b/d``, ``HTTPS://Acme.Example.:443/%61`` is ``https://acme.example/a``, and
    ``file:///etc/passwd`` is ``/etc/passwd``. Letters of a path keep their case.

    Raises:
        Ambiguous: it holds what readers disagree about: control characters, backslashes, percent signs that hide a
            separator or another percent sign, ``..`` above its root, a name and password before the host, characters
            that become separators or dots when they are made plain.
    """
    _refuse_odd(text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        if "%" in text and unquote(text) != text:
            msg = "a path with percent escapes"
            raise Ambiguous(msg)
        return _path(text)
    if not text[scheme.end() :].startswith("//"):
        msg = f"{scheme[0]} without //"
        raise Ambiguous(msg)
    try:
        url = urlsplit(text)
        host, port = _host(url), url.port
        path = _path(_decoded(url.path) or "/")
    except ValueError as problem:
        raise Ambiguous(str(problem)) from problem
    if url.scheme == "file":
        if host not in {"", "localhost"}:
            msg = "a file of another machine"
            raise Ambiguous(msg)
        return path
    shown = "" if port is None or port == _PORTS.get(url.scheme) else f":{port}"
    return f"{url.scheme}://{host}{shown}{path}"


def matches(resource: str, pattern: str, *, any_case: bool = False) -> bool:
    """Return whether a normalised resource matches a glob.

    ``*``, ``?`` and ``[abc]`` stay within a segment, ``**`` is any number of segments: ``/data/**`` is ``/data`` and
    all below it, ``https://*.acme.example/**`` everything on the subdomains.

    Args:
        resource: as ``normalised`` gives it.
        pattern: the glob.
        any_case: letters of paths are compared without their case, for file systems that do so.
    """
    if any_case:
        resource, pattern = _folded(resource), _folded(pattern)
    return _match(resource.split("/"), _plain_pattern(pattern).split("/"))


def check_pattern(pattern: str) -> str:
    """Return a pattern that can be used.

    Raises:
        ValueError: ``**`` is a part of a segment, where it would mean no more than ``*``; or it holds ``..``.
    """
    segments = pattern.split("/")
    if any(_ANY_SEGMENTS in segment and segment != _ANY_SEGMENTS for segment in segments):
        msg = f"{pattern!r}: ** stands alone between slashes; within a segment write *"
        raise ValueError(msg)
    if any(segment in {"..", "."} for segment in segments):
        msg = f"{pattern!r} holds . or .. and would never match: resources are compared without them"
        raise ValueError(msg)
    return pattern


def _match(resource: list[str], pattern: list[str]) -> bool:
    # Each place of the resource that the pattern so far may have come to; no backtracking, so nothing can stall it.
    places = {0}
    for glob in pattern:
        if glob == _ANY_SEGMENTS:
            places = set(range(min(places), len(resource) + 1))
        else:
            places = {at + 1 for at in places if at < len(resource) and fnmatchcase(resource[at], glob)}
        if not places:
            return False
    return len(resource) in places


def _refuse_odd(text: str) -> None:
    if not text or text != text.strip():
        msg = "empty, or blanks around it"
        raise Ambiguous(msg)
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in text):
        msg = "control characters"
        raise Ambiguous(msg)
    if "\\" in text:
        msg = "backslashes"
        raise Ambiguous(msg)
    if text.startswith(("//", "~")):
        msg = f"it begins with {text[:2] if text.startswith('//') else '~'}"
        raise Ambiguous(msg)
    plain = unicodedata.normalize("NFKC", text)
    if any(plain.count(letter) != text.count(letter) for letter in "/\\.%:@?#"):
        msg = "characters that stand for separators"
        raise Ambiguous(msg)


def _decoded(path: str) -> str:
    once = unquote(path, errors="strict")
    if "%" in once and unquote(once) != once:
        msg = "percent escapes within percent escapes"
        raise ValueError(msg)
    if once.count("/") != path.count("/"):
        msg = "a slash written as a percent escape"
        raise ValueError(msg)
    if once != path:
        _refuse_odd(f"/{once.lstrip('/')}")
    return once


def _path(path: str) -> str:
    rooted = path.startswith("/")
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if not kept:
                msg = ".. leaves its root"
                raise Ambiguous(msg)
            kept.pop()
        elif segment not in {"", "."}:
            kept.append(segment)
    return ("/" if rooted else "") + unicodedata.normalize("NFC", "/".join(kept)) or "."


def _host(url: SplitResult) -> str:
    if url.username is not None or url.password is not None:
        msg = "a name or password before the host"
        raise ValueError(msg)
    host = (url.hostname or "").removesuffix(".")
    if "%" in host or (not host and url.scheme != "file"):
        msg = "no plain host"
        raise ValueError(msg)
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host).compressed}]"
    if _NUMERIC_HOST.fullmatch(host):
        # 2130706433, 0x7f.1 and 127.1 all reach 127.0.0.1.
        try:
            return socket.inet_ntoa(socket.inet_aton(host))
        except OSError as problem:
            msg = f"{host!r} is no address"
            raise ValueError(msg) from problem
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _plain_pattern(pattern: str) -> str:
    scheme = _SCHEME.match(pattern)
    if scheme is None:
        return pattern
    head, _, rest = pattern[scheme.end() + 2 :].partition("/")
    return f"{pattern[: scheme.end()].lower()}//{head.lower()}/{rest}"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
