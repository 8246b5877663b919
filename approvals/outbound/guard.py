"""Where nothing may be sent to: the guard against requests forged through us (SSRF).

Pure but for the resolver. Promises: an address is judged after it is resolved and in the form in which it is connected
to, and whatever is not plainly public is refused, unless WEBHOOK_ALLOWED_HOSTS lists the host. Rules: OWASP
Server-Side Request Forgery Prevention Cheat Sheet; RFC 6890 (special-purpose addresses), RFC 6052 and 8215 (NAT64).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

import httpx2 as httpx
from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]  # host and port to addresses, in the order in which to try them
SCHEMES = {"http": 80, "https": 443}
PORTS = frozenset({80, 443, 8080, 8443})
URL_LENGTH = 2000
UNICAST = ipaddress.IPv6Network("2000::/3")  # all IPv6 that is routed; site-local and the like lie outside
# What some versions of Python take for public: protocol assignments, the 6to4 relay; and IPv6 that stands for an IPv4
# address (6to4, Teredo; NAT64, mapped and compatible ones lie outside the unicast range), and the documentation's.
SPECIAL = tuple(
    ipaddress.ip_network(net) for net in ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "2001::/23", "3fff::/20")
)
# Public by their range, and answered by the machine that asks: Azure's wire server.
METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})


class Refused(Exception):
    """Nothing may be sent to this address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address that may be sent to: the URL as it was given, and where to connect, in this order."""

    url: httpx.URL
    addresses: tuple[str, ...]


def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def check(url: str, resolver: Resolve = resolve) -> Target:
    """Judge a URL, with its host resolved once: whoever sends connects to what was judged.

    Raises Refused, whose message says why to whoever gave the URL; OSError where the host can not be resolved.
    """
    parsed = parse(url)
    host, port = parsed.host, SCHEMES[parsed.scheme] if parsed.port is None else parsed.port
    allowed = is_listed(host, port)
    if not allowed and port not in PORTS:
        raise Refused(f"Only the ports {', '.join(map(str, sorted(PORTS)))} may be sent to.")
    addresses = resolver(host, port)
    if not addresses:
        raise OSError(f"{host} has no address")
    for address in () if allowed else addresses:
        if why := why_not(address):
            raise Refused(f"{host} leads to {why}, which may not be sent to.")
    return Target(url=parsed, addresses=tuple(addresses))


def parse(url: str) -> httpx.URL:
    """The URL as the HTTP client reads it, so that both mean the same host. Raises Refused."""
    if len(url) > URL_LENGTH or not url.isprintable() or any(sign in url for sign in " \\"):
        raise Refused(f"A URL has at most {URL_LENGTH:,} characters, and no blanks, backslashes or control characters.")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Refused("This is no URL.") from error
    if parsed.scheme not in SCHEMES:
        raise Refused("Only http and https are spoken.")
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:  # also an empty one
        raise Refused("A URL may not hold a user name or a password.")
    if not parsed.host.strip("."):
        raise Refused("The URL names no host.")
    return parsed


def is_listed(host: str, port: int) -> bool:
    """Whether WEBHOOK_ALLOWED_HOSTS names the host, alone or with this port."""
    name = f"[{host}]" if ":" in host else host.lower().rstrip(".")
    listed = {entry.lower() for entry in settings.WEBHOOK_ALLOWED_HOSTS}
    return name in listed or f"{name}:{port}" in listed


def why_not(address: str) -> str:
    """What is wrong with an address, for people; empty where it is public."""
    given = ipaddress.ip_address(address.partition("%")[0])
    if given in METADATA:
        return f"the metadata address {address}"
    if given.is_multicast or given.is_reserved or not given.is_global:
        return f"{_kind(given)} address {address}"
    outside = isinstance(given, ipaddress.IPv6Address) and given not in UNICAST
    special = outside or any(given in net for net in SPECIAL if net.version == given.version)
    return f"a special-purpose address {address}" if special else ""


def _kind(address: Address) -> str:
    if address.is_unspecified:
        return "the unspecified"
    if address.is_loopback:
        return "a loopback"
    if address.is_link_local:
        return "a link-local"
    if address.is_multicast:
        return "a multicast"
    return "a private" if address.is_private else "a special-purpose"
