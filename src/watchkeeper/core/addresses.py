"""Where a URL leads, and what kind of address that is: pure rules against forged requests.

The ranges are IANA's registries of special-purpose addresses (RFC 6890, 8190), written out: what
a Python release takes for `is_global` has changed between releases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Literal
from urllib.parse import urlsplit

from watchkeeper.core.errors import Invalid

Address = IPv4Address | IPv6Address
Reach = Literal["public", "private", "never"]
"""`private`: only where a document allows it. `never`: no document can allow it."""

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_BAD_CHARACTER = re.compile(r"[^\x21-\x7e]|\\")


def _networks(*texts: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


_PRIVATE_4 = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # RFC 1918
    "100.64.0.0/10",  # carriers' translation (RFC 6598)
    "127.0.0.0/8",
    "198.18.0.0/15",  # benchmarks; some resolvers hand it out for names (RFC 2544)
)  # fmt: skip
_NEVER_4 = _networks(
    "0.0.0.0/8",
    "169.254.0.0/16",  # link-local, where clouds keep their metadata service
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/3",  # multicast, reserved, broadcast
    "100.100.100.200/32", "168.63.129.16/32",  # metadata of clouds, outside link-local
)  # fmt: skip
_PRIVATE_6 = _networks("fc00::/7", "::1/128")
_NEVER_6 = _networks("fd00:ec2::/32")  # metadata
_PUBLIC_6 = IPv6Network("2000::/3")
_SPECIAL_6 = _networks("2001::/23", "2001:db8::/32", "3fff::/20")
_MAPPED_6 = IPv6Network("::ffff:0:0/96")
_COMPATIBLE_6 = IPv6Network("::/96")
_TRANSLATED_6 = IPv6Network("64:ff9b::/96")  # NAT64 (RFC 6052)
_LOCAL_TRANSLATED_6 = IPv6Network("64:ff9b:1::/48")  # RFC 8215: embeds at a place of its own
_6TO4 = IPv6Network("2002::/16")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads."""

    origin: str
    """`scheme://host:port`, lower-case."""
    scheme: Literal["http", "https"]
    host: str
    port: int
    address: Address | None
    """The address, where the URL has one in place of a name."""
    declared_local: bool
    """Whether the URL itself says an inside address, or `localhost`: whoever wrote it knew."""


def is_localhost(host: str) -> bool:
    """Return whether a name is this machine by definition (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=1024)
def place_of(url: str) -> Place:
    """Return where a URL leads.

    Raises `Invalid` for a URL that two programs could read differently: with a name or password
    in it, a number in place of an address, other characters than ASCII; and for an address that
    nothing may be called at.
    """
    if _BAD_CHARACTER.search(url):
        raise _bad("spaces, backslashes and other characters than ASCII are not taken")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad("it is no URL") from None
    if parts.scheme not in _PORTS:
        raise _bad("only http and https are spoken")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    if "@" in parts.netloc:
        raise _bad("it has a name or password in it", "use a credential")
    host = parts.hostname or ""
    address = _literal(host, bracketed="[" in parts.netloc)
    if address is None and (not _HOST.fullmatch(host) or host.endswith(".") or ".." in host):
        raise _bad("its host is not a name or address")
    if address is not None and reach_of(address) == "never":
        raise _bad(f"nothing may be called at {address}", "see the guide `secrets`")
    if port == 0:
        raise _bad("port 0 is none")
    port = port or _PORTS[scheme]
    shown = f"[{address}]" if isinstance(address, IPv6Address) else host
    local = is_localhost(host) if address is None else reach_of(address) == "private"
    return Place(f"{scheme}://{shown}:{port}", scheme, host, port, address, local)


def _literal(host: str, *, bracketed: bool) -> Address | None:
    """Return the address that a host is; None for a name.

    A host that ends in a number is an address (WHATWG URL, 3.6), and then only in its one
    usual form: `127.1`, `0x7f000001`, `017700000001` and `2130706433` are refused.
    """
    if bracketed:
        try:
            return IPv6Address(host)  # a zone (`%eth0`) is kept by it, and refused below
        except ValueError:
            raise _bad("its IPv6 address is malformed") from None
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return IPv4Address(host)
    except ValueError:
        raise _bad(
            "its host is a number, not an address", "write an IPv4 address as 192.0.2.1"
        ) from None


def reach_of(address: Address) -> Reach:
    """Return who may be behind an address; what it embeds counts as itself."""
    if isinstance(address, IPv4Address):
        if any(address in network for network in _NEVER_4):
            return "never"
        return "private" if any(address in network for network in _PRIVATE_4) else "public"
    if address.scope_id is not None or any(address in network for network in _NEVER_6):
        return "never"
    if any(address in network for network in _PRIVATE_6):
        return "private"
    value = int(address)
    if address in _MAPPED_6 or address in _TRANSLATED_6:
        return reach_of(IPv4Address(value & 0xFFFF_FFFF))
    if address in _6TO4:
        # nobody serves by it any more: at best an inside address in disguise
        return _worse("private", reach_of(IPv4Address((value >> 80) & 0xFFFF_FFFF)))
    if address in _COMPATIBLE_6 or address in _LOCAL_TRANSLATED_6:
        return "never"
    if address in _PUBLIC_6 and not any(address in network for network in _SPECIAL_6):
        return "public"
    return "never"


def check_addresses(host: str, found: Iterable[str], *, allow_private: bool) -> None:
    """Raise `Invalid` unless every address that a host name has may be called.

    One that may not spoils them all: a name that has both is not to be trusted with either.
    """
    for text in found:
        try:
            address = ip_address(text)
        except ValueError:
            raise Invalid(f"{host} resolves to what is no address", rule="egress/address") from None
        reach = reach_of(address)
        loopback = address.is_loopback
        if reach == "never" or (is_localhost(host) and not loopback):
            raise Invalid(
                f"{host} resolves to {address}, which nothing may be called at",
                rule="egress/address",
            )
        if reach == "private" and not (allow_private or is_localhost(host)):
            raise Invalid(
                f"{host} resolves to {address}, which is inside a private network",
                rule="egress/address",
                remedy="if it belongs there, set `allow_private: true` on its document",
            )


def _worse(one: Reach, other: Reach) -> Reach:
    return "never" if "never" in (one, other) else "private"


def _bad(message: str, remedy: str | None = None) -> Invalid:
    return Invalid(f"this URL cannot be called: {message}", rule="egress/url", remedy=remedy)
