"""HTTP to LLM providers: pooled, bounded in bytes and time whatever the server does, the key put in at the last moment.

Owns the connections: one pool per provider and event loop, made on first use, kept while the loop lives. Proxies, keys
and organisations in the SDKs' own environment variables are not used. Follows no redirect, takes no cookie, and reads
no compressed answer, which could be any size once unpacked.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import weakref
from collections.abc import AsyncIterator

import httpx2
from django.db import connections

from missions.llm.providers import Provider
from missions.secrets import references

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0
KEPT = 20  # idle connections of a provider
KEY_SECONDS = 60.0  # a key that was changed is used after so long; one that was refused is looked up at once
STREAMED = 4  # times the bound of a plain answer
OURS = ("authorization", "x-api-key", "openai-organization", "openai-project", "accept-encoding")


class Unusable(httpx2.TransportError):
    """The server answers what is not read: too much, compressed, a redirect. It would do so again."""


class Key:
    """A provider's key as one event loop knows it, from a reference."""

    def __init__(self, provider: Provider) -> None:
        self._provider, self._value, self._until = provider, "", 0.0
        self._asking = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        """What authorises a request. Raises SecretMissing."""
        if not self._provider.key:
            return {}
        async with self._asking:
            if asyncio.get_running_loop().time() >= self._until:
                self._value = await asyncio.to_thread(_resolved, self._provider.key)
                self._until = asyncio.get_running_loop().time() + KEY_SECONDS
        bearer = {"authorization": f"Bearer {self._value}"}
        return bearer if self._provider.api == "openai" else {"x-api-key": self._value}

    def refused(self) -> None:
        """Look it up anew at the next request."""
        self._until = 0.0


class Pool:
    """One provider as one event loop sees it."""

    def __init__(self, provider: Provider) -> None:
        limits = httpx2.Limits(
            max_connections=provider.connections, max_keepalive_connections=KEPT, keepalive_expiry=IDLE_SECONDS
        )
        self.key = Key(provider)
        self.transport = httpx2.AsyncHTTPTransport(
            verify=tls(provider.ca if provider.base_url.startswith("https:") else None),
            proxy=provider.proxy or None, limits=limits, trust_env=False,
        )  # fmt: skip


_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Provider, Pool]] = weakref.WeakKeyDictionary()


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()


class Bounded(httpx2.AsyncBaseTransport):
    """The way to one provider, from any event loop."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it. Raises httpx2.TransportError, also where the answer is too late, too large or compressed."""
        pool = _pool(self._provider)
        until = asyncio.get_running_loop().time() + self._provider.seconds
        try:
            async with asyncio.timeout_at(until):
                await self._prepare(request, pool.key)
                response = await pool.transport.handle_async_request(request)
        except TimeoutError as late:
            raise httpx2.ReadTimeout(f"no answer within {self._provider.seconds:g} s", request=request) from late
        if response.status_code in (401, 403):
            pool.key.refused()
        if wrong := _wrong(response):
            await response.aclose()
            raise Unusable(wrong, request=request)
        response.headers.pop("set-cookie", None)
        streamed = response.headers.get("content-type", "").startswith("text/event-stream")
        most = self._provider.bytes * (STREAMED if streamed else 1)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = BoundedStream(response.stream, request, most, until)
        return response

    async def _prepare(self, request: httpx2.Request, key: Key) -> None:
        for name in OURS:
            request.headers.pop(name, None)
        request.headers.update({"accept-encoding": "identity", **await key.headers()})
        seconds = self._provider.seconds
        request.extensions = {
            **request.extensions,
            "timeout": {"connect": min(CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": seconds},
        }


class BoundedStream(httpx2.AsyncByteStream):
    """A body that ends after so many bytes and at such a time, if not before."""

    def __init__(self, inner: httpx2.AsyncByteStream, request: httpx2.Request, most: int, until: float) -> None:
        self._inner, self._request, self._most, self._until = inner, request, most, until

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The parts; the end in turn with other answers' ends. Raises Unusable, httpx2.ReadTimeout."""
        parts, left = aiter(self._inner), self._most
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    part = await anext(parts, None)
            except TimeoutError as late:
                raise httpx2.ReadTimeout("the answer did not end in time", request=self._request) from late
            if part is None:
                await turn()
                return
            left -= len(part)
            if left < 0:
                raise Unusable(f"the answer is over {self._most:,} bytes", request=self._request)
            yield part

    async def aclose(self) -> None:
        """Give the connection back, or up."""
        await self._inner.aclose()


async def turn() -> None:
    """Wait for one's turn: one a pass of the event loop.

    Writing a question and reading an answer take milliseconds each. Hundreds that come at once would otherwise all be
    dealt with in one pass, and heartbeats and other missions wait for seconds.
    """
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)


@functools.lru_cache(maxsize=64)
def client(provider: Provider) -> httpx2.AsyncClient:
    """The client of a provider, the same for all event loops of this process."""
    return httpx2.AsyncClient(transport=Bounded(provider), trust_env=False, follow_redirects=False, timeout=None)


@functools.lru_cache(maxsize=16)
def tls(ca: str | None) -> ssl.SSLContext:
    """One context for all connections with these roots, megabytes that are not made twice; None: for plain HTTP."""
    if ca is None:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context(cafile=ca) if ca else httpx2.create_ssl_context(trust_env=False)


async def close() -> None:
    """Close what this event loop holds; for an orderly end, and between tests."""
    for pool in _pools.pop(asyncio.get_running_loop(), {}).values():
        await pool.transport.aclose()


def _pool(provider: Provider) -> Pool:
    pools = _pools.setdefault(asyncio.get_running_loop(), {})
    if provider not in pools:
        pools[provider] = Pool(provider)
    return pools[provider]


def _wrong(response: httpx2.Response) -> str:
    if 300 <= response.status_code < 400:
        return f"the address answers with a redirect ({response.status_code}), which is not followed"
    packed = response.headers.get("content-encoding", "identity").lower() not in ("", "identity")
    return "the answer is compressed, which was not asked for" if packed else ""


def _resolved(reference: str) -> str:
    """In a thread of its own: a reference may lie in the database."""
    try:
        return references.resolve(reference)
    finally:
        connections.close_all()
