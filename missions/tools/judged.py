"""Connections to servers that people registered: each address is judged after it is resolved, and then connected to.

Heavy: imports the HTTP client. What lies in a private network passes where MCP_SERVER_HOSTS lists the host; what
answers for the machine itself never does.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpcore2  # noqa: F401  httpx2 would import it inside the first call, on the event loop
import httpx2
from django.conf import settings

from missions import addresses, pinning
from missions.errors import ToolFailed

_resolvers = ThreadPoolExecutor(8, "mcp-resolver")  # of their own: a name server that hangs holds up nobody else


class JudgedTransport(httpx2.AsyncHTTPTransport):
    """Sends a request to an address that was judged, in the name of its host. Raises ToolFailed: nothing was sent."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer of the first address that can be connected to."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(_resolvers, judged, request.url)
        except pinning.Refused as error:
            raise ToolFailed(str(error), code="not_allowed") from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f"{request.url.host} can not be resolved") from error
        for place, address in enumerate(found, start=1):
            try:
                return await super().handle_async_request(_aimed(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if place == len(found):
                    raise
        raise httpx2.ConnectError(f"{request.url.host} has no address")


def judged(url: httpx2.URL) -> tuple[str, ...]:
    """The addresses of a URL's host. Raises pinning.Refused, whose message says why; OSError, UnicodeError."""
    inside = addresses.is_listed(settings.MCP_SERVER_HOSTS, url.host, pinning.port_of(url))
    return pinning.judged(url, addresses.resolve, inside=inside)


def _aimed(request: httpx2.Request, address: str) -> httpx2.Request:
    """The same request to this address: Host, which it has, and TLS are for the name."""
    named = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
    plain = pinning.is_address(request.url.host)
    return httpx2.Request(
        request.method, pinning.pinned(request.url, address), headers=request.headers, stream=request.stream,
        extensions=request.extensions if plain else named,
    )
