"""Which addresses notices may be sent to: a rules file must not become a way into the private network."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence

from spanhouse_alerts.notify.errors import DeliveryError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def from_environment(text: str) -> str:
    """Return the text itself, or for ``env:NAME`` the value of that environment variable.

    Raises:
        DeliveryError: the variable is not set or empty.
    """
    if not text.startswith("env:"):
        return text
    name = text.removeprefix("env:")
    value = os.environ.get(name, "")
    if not value:
        msg = f"environment variable {name} is not set: set it where the server runs"
        raise DeliveryError(msg)
    return value


def permitted(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Return the addresses of a host that may be connected to, in the resolver's order.

    The caller connects to one of these, not to the name, so that a second answer of the name server changes nothing.
    Public addresses may be used always, loopback where it is written out in the URL, private ones with
    ``allow_private``, link-local ones (cloud metadata lives there), multicast and unspecified ones never.

    Raises:
        DeliveryError: the name does not resolve, or any address of it is refused.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"host {host!r} cannot be resolved: {error}"
        raise DeliveryError(msg) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    refuse(host, addresses, allow_private=allow_private)
    return addresses


def refuse(host: str, addresses: Sequence[str], *, allow_private: bool) -> None:
    """Raise `DeliveryError` if any of a host's addresses must not be connected to; see `permitted`."""
    loopback_is_written = _is_loopback_name(host)
    for text in addresses:
        address = _unmapped(ipaddress.ip_address(text.partition("%")[0]))
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            msg = f"{host} is {address}, an address notices are never sent to"
            raise DeliveryError(msg, permanent=True)
        if address.is_global or allow_private or (address.is_loopback and loopback_is_written):
            continue
        msg = f"{host} is the private address {address}: set allow_private: true on the receiver if that is meant"
        raise DeliveryError(msg, permanent=True)


def _is_loopback_name(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unmapped(address: Address) -> Address:
    # ::ffff:10.0.0.1, 2002:0a00:0001:: and 64:ff9b::10.0.0.1 all lead to 10.0.0.1.
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
