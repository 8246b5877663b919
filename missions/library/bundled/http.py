"""`http.get`, `http.request`, `http.keyed`: HTTP to the places that the installation lists, and to no others.

A read, a write of which only people can tell whether it happened, and a write to places that count a request with the
same `Idempotency-Key` once. Credentials are added here, from the list; neither missions nor agents name them. What a
server answers was written by somebody outside our trust.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import httpx2 as httpx
from django.conf import settings
from pydantic import Field

from missions import egress
from missions.authoring import ToolCall, ToolFailed, tool
from missions.library.bundled import wire
from missions.pinning import Refused, parse, port_of
from missions.secrets import references

DAY = 86_400.0  # for which a keyed place remembers a key at least; the common promise
Headers = dict[str, str]
Method = Literal["POST", "PUT", "PATCH", "DELETE"]
Body = Annotated[str, Field(max_length=wire.SEND_BYTES)]
Address = Annotated[str, Field(min_length=1, max_length=2000)]


def secrets_for(args: dict[str, Any]) -> dict[str, str]:
    """The references in the headers that go to this URL's place; none where it may not be reached."""
    try:
        url = parse(str(args.get("url", "")))
    except Refused:
        return {}
    place = egress.place_of(settings.HTTP_TOOL_HOSTS, url.host, port_of(url))
    named = [name for _, text in place.headers for name in references.listed(text)] if place else []
    return {name: name for name in named}


@tool(
    name="http.get", effect="read", untrusted=True, secrets=secrets_for, timeout=45, title="Read from the web",
    sentence="Read {url}",
)
async def http_get(
    call: ToolCall, url: Address, headers: Headers | None = None, method: Literal["GET", "HEAD"] = "GET"
) -> dict[str, Any]:
    """Read a page or an API by HTTP."""
    return await _exchange(call, method, url, headers, None, None)


@tool(
    name="http.request", effect="write", retry_safety="manual", untrusted=True, secrets=secrets_for, timeout=45,
    title="Send to the web", sentence="{method} to {url}",
)
async def http_request(
    call: ToolCall, method: Method, url: Address, headers: Headers | None = None, body: Body | None = None,
    json: Any = None,
) -> dict[str, Any]:
    """Send a request that changes something; where it gets no answer, a person says whether it happened."""
    return await _exchange(call, method, url, headers, body, json)


@tool(
    name="http.keyed", effect="write", retry_safety="keyed", key_ttl=DAY, untrusted=True, secrets=secrets_for,
    timeout=45, title="Send to the web, once", sentence="{method} to {url}",
)
async def http_keyed(
    call: ToolCall, method: Method, url: Address, headers: Headers | None = None, body: Body | None = None,
    json: Any = None,
) -> dict[str, Any]:
    """Send a request that changes something to a place that counts the same `Idempotency-Key` once."""
    return await _exchange(call, method, url, headers, body, json, keyed=True)


async def _exchange(
    call: ToolCall, method: str, url: str, headers: Headers | None, body: str | None, json: Any, *, keyed: bool = False
) -> dict[str, Any]:
    try:
        parsed = parse(url)
    except Refused as error:
        raise ToolFailed(str(error), code="not_allowed") from error
    place = _place(call, parsed, keyed=keyed)
    given = wire.checked(headers or {})
    if keyed:
        given["idempotency-key"] = call.idempotency_key
    content = wire.content_of(body, json, given)
    for name, text in place.headers:
        given[name.lower()] = references.INSIDE.sub(lambda found: call.secrets[found[1]], text)
    request = wire.Sending(method=method, url=parsed, headers=given, content=content, inside=place.private)
    return await wire.WIRE.exchange(request, writes=method not in ("GET", "HEAD"))


def _place(call: ToolCall, url: httpx.URL, *, keyed: bool) -> egress.Place:
    """The listed place of this URL. Raises ToolFailed where it may not be reached."""
    host, port = url.host.lower().rstrip("."), port_of(url)
    place = egress.place_of(settings.HTTP_TOOL_HOSTS, host, port)
    where = f"{host}:{port}"
    if place is None:
        raise ToolFailed(f"{where} is not listed in HTTP_TOOL_HOSTS.", code="not_allowed")
    if call.agent and where not in call.egress:
        raise ToolFailed(f"The agent {call.agent} may not reach {where}.", code="not_allowed")
    if url.scheme == "http" and not place.private:
        raise ToolFailed(f"{where} lies outside, and is reached by https only.", code="not_allowed")
    if keyed and not place.keyed:
        raise ToolFailed(f"{where} is not listed as keyed; use http.request.", code="not_allowed")
    return place
