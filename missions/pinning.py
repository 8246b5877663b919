"""Sending to exactly what was judged: a URL, its addresses, and a request that goes to one of them.

Promises: an address is judged after it is resolved and in the form in which it is connected to, so that no second
answer of a name server counts; Host and TLS are for the name. Which addresses pass, `missions.addresses` says.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterable, Mapping

import httpx2 as httpx

from missions.addresses import Resolve, why_not, why_not_inside

SCHEMES = {"http": 80, "https": 443}
URL_LENGTH = 2000


class Refused(Exception):
    """Nothing may be sent to this address."""


def port_of(url: httpx.URL) -> int:
    """The port that the URL names, or its scheme's."""
    return SCHEMES[url.scheme] if url.port is None else url.port


def judged(url: httpx.URL, resolver: Resolve, *, inside: bool = False) -> tuple[str, ...]:
    """The addresses of the URL's host, resolved once. Those within private networks pass only where `inside` says so.

    Raises Refused, whose message says why; OSError where the host can not be resolved.
    """
    addresses = resolver(url.host, port_of(url))
    if not addresses:
        raise OSError(f"{url.host} has no address")
    for address in addresses:
        if why := why_not_inside(address) if inside else why_not(address):
            raise Refused(f"{url.host} leads to {why}, which may not be sent to.")
    return tuple(addresses)


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


def request_to(
    client: httpx.AsyncClient, method: str, url: httpx.URL, address: str, *, headers: Mapping[str, str],
    content: bytes | AsyncIterable[bytes] | None = None,
) -> httpx.Request:
    """A request to this address in the name of the URL's host: Host and TLS are for the name."""
    named = {**headers, "host": url.netloc.decode("ascii")}
    request = client.build_request(method, pinned(url, address), content=content, headers=named)
    if not is_address(url.host):
        request.extensions["sni_hostname"] = url.raw_host.decode("ascii")
    return request


def pinned(url: httpx.URL, address: str) -> httpx.URL:
    """The same URL with the address in place of the name."""
    return url.copy_with(host=address.partition("%")[0])


def is_address(host: str) -> bool:
    """Whether a host is given as an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
