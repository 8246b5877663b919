"""Where webhooks and callbacks may not be sent to: what is not public, unless WEBHOOK_ALLOWED_HOSTS lists the host.

Addresses are judged by `missions.addresses`, and what was judged is sent to by `missions.pinning`; what stands here is
the rule of these letters.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx2 as httpx
from django.conf import settings

from missions import addresses
from missions.addresses import Resolve, resolve
from missions.pinning import Refused, judged, parse, port_of

__all__ = ["Refused", "Resolve", "Target", "check", "is_listed", "parse", "resolve"]

PORTS = frozenset({80, 443, 8080, 8443})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address that may be sent to: the URL as it was given, and where to connect, in this order."""

    url: httpx.URL
    addresses: tuple[str, ...]


def check(url: str, resolver: Resolve = resolve) -> Target:
    """Judge a URL, with its host resolved once: whoever sends connects to what was judged.

    Raises Refused, whose message says why to whoever gave the URL; OSError where the host can not be resolved.
    """
    parsed = parse(url)
    port = port_of(parsed)
    allowed = is_listed(parsed.host, port)
    if not allowed and port not in PORTS:
        raise Refused(f"Only the ports {', '.join(map(str, sorted(PORTS)))} may be sent to.")
    return Target(url=parsed, addresses=judged(parsed, resolver, inside=allowed))


def is_listed(host: str, port: int) -> bool:
    """Whether WEBHOOK_ALLOWED_HOSTS names the host, alone or with this port."""
    return addresses.is_listed(settings.WEBHOOK_ALLOWED_HOSTS, host, port)
