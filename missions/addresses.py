"""Which addresses may be sent to: the guard against requests forged through us (SSRF), for all that leaves the house.

Pure but for the resolver, and light: the sandbox's supervisor imports it. Whatever is not plainly public is refused,
unless the caller says that the place may lie inside. Rules: OWASP Server-Side Request Forgery Prevention Cheat Sheet;
RFC 6890 (addresses for special purposes), RFC 6052 and 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]  # host and port to addresses, in the order in which to try them
UNICAST = ipaddress.IPv6Network("2000::/3")  # all IPv6 that is routed; site-local and the like lie outside
# What some versions of Python take for public: protocol assignments, the 6to4 relay; and IPv6 that stands for an IPv4
# address (6to4, Teredo; NAT64, mapped and compatible ones lie outside the unicast range), and the documentation's.
SPECIAL = tuple(
    ipaddress.ip_network(net) for net in ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "2001::/23", "3fff::/20")
)
# Public by their range, and answered by the machine that asks: Azure's wire server.
METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
# Private by their range, and the same; the link-local ones need no list.
CLOUD_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))


def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def is_listed(entries: Iterable[str], host: str, port: int) -> bool:
    """Whether a list of `HOST` and `HOST:PORT` names this host, alone or with this port."""
    name = f"[{host}]" if ":" in host else host.lower().rstrip(".")
    listed = {entry.lower() for entry in entries}
    return name in listed or f"{name}:{port}" in listed


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet, and to nobody's inside."""
    return not why_not(address)


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


def why_not_inside(address: str) -> str:
    """The same for a place that may lie in a private network: what answers for the machine itself is still refused."""
    given = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(given, "ipv4_mapped", None) or given
    if mapped in METADATA or mapped.is_link_local or mapped in CLOUD_METADATA:
        return f"the metadata address {address}"
    return f"{_kind(given)} address {address}" if given.is_multicast or given.is_unspecified else ""


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
