"""LLM_PROVIDERS: where LLMs are reached, and with which bounds. Pure, and quick to import: settings read it.

`name=scheme://host[:port]/path?option=value&…`, items with commas. Schemes: `openai+http`, `openai+https`,
`anthropic+http`, `anthropic+https`; `openai` or `anthropic` alone mean the provider's own address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

HOME = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
REFERENCE = re.compile(r"(env|file|db):.+")
FORM = "NAME=openai+https://HOST[:PORT]/PATH?key=env:VARIABLE"
MEMBER_FORM = "PROVIDER/MODEL"
LIMITS = {"seconds": (0.05, 86_400.0), "bytes": (1024, 2**30), "connections": (1, 10_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One place where LLMs are reached. `seconds` and `bytes` bound every answer, whatever the server does."""

    name: str
    api: str  # "openai" or "anthropic": the shape of requests
    base_url: str
    key: str = ""  # a reference to the secret, never the secret
    seconds: float = 600.0  # from sending to the last byte
    bytes: int = 4 * 1024 * 1024  # of a whole answer; four times that of a streamed one, which has more wrapping
    connections: int = 1000  # at once and per process
    proxy: str = ""  # http://host:port; proxies of the environment are not used
    ca: str = ""  # a file of certificates, for a server with a root of its own
    prices: str = ""  # the provider whose public prices hold here, where the address does not say


OPTIONS = tuple(field.name for field in fields(Provider)[3:])


def parse(text: str) -> dict[str, Provider]:
    """The providers by name. Raises ValueError that says what is wrong, without echoing a key."""
    found: dict[str, Provider] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, _, address = item.partition("=")
        if not NAME.fullmatch(name) or not address:
            raise ValueError(f"{FORM}; a name has small letters, digits, - and _")
        if name in found:
            raise ValueError(f"each name once; {name!r} stands twice")
        found[name] = _provider(name, address)
    return found


def check_chain(chain: Sequence[str], known: dict[str, Provider]) -> tuple[str, ...]:
    """The members as they are. Raises ValueError where one is no PROVIDER/MODEL of these providers."""
    for member in chain:
        provider, _, model = member.partition("/")
        if not model:
            raise ValueError(f"{MEMBER_FORM}, with commas; {member!r} is not one")
        if provider not in known:
            raise ValueError(f"providers that LLM_PROVIDERS names; {provider!r} is none of {sorted(known)}")
    return tuple(chain)


def _provider(name: str, address: str) -> Provider:
    parts = urlsplit(address if "://" in address else f"{address.partition('?')[0]}://?{address.partition('?')[2]}")
    api, _, scheme = parts.scheme.partition("+")
    if api not in HOME or scheme not in ("", "http", "https") or bool(scheme) != bool(parts.hostname):
        raise ValueError(f"{FORM} for {name!r}, with openai or anthropic and http or https")
    if parts.username or parts.password or parts.fragment:
        raise ValueError(f"no user or password in the address of {name!r}; name the secret by key=env:VARIABLE")
    base = f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}" if scheme else HOME[api]
    return Provider(name=name, api=api, base_url=base, **_options(name, parts))


def _options(name: str, parts: SplitResult) -> dict[str, Any]:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise ValueError(f"options of {name!r} out of {', '.join(OPTIONS)}; {unknown[0]!r} is none")
    if "key" in given and not REFERENCE.fullmatch(given["key"]):
        raise ValueError(f"a reference as the key of {name!r}: env:VARIABLE, file:/path or db:NAME, never the key")
    return {option: _limit(name, option, value) if option in LIMITS else value for option, value in given.items()}


def _limit(name: str, option: str, value: str) -> float | int:
    low, high = LIMITS[option]
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(f"{option} of {name!r} as a number from {low:g} to {high:g}")
    return number if option == "seconds" else int(number)
