"""The way of one HTTP request out of the house.

Promises: the connection goes to an address that `guard` judged a moment before, with TLS and Host for the name in the
URL; redirects are not followed, proxies of the environment and cookies are not used, the body of the answer is not
read, and all of it together ends within `TOTAL_SECONDS`. HTTP itself is the library's.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass

import httpx2 as httpx

from approvals.outbound import guard
from missions import pinning

TOTAL_SECONDS = 10.0
GONE = 410
AGENT = "Standfast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A body on its way to a URL."""

    url: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it: accepted where `error` is empty."""

    error: str = ""
    status: int | None = None
    milliseconds: int = 0
    final: bool = False  # trying again is of no use


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How requests leave: who resolves names, what TLS trusts, and how long all may take."""

    resolve: guard.Resolve = guard.resolve
    trust: ssl.SSLContext | bool = True
    total_seconds: float = TOTAL_SECONDS

    def post_all(self, letters: Iterable[Letter]) -> list[Answer]:
        """Send all of them at once; the answers in the same order. Never raises for what the other side does."""
        return asyncio.run(self._all(list(letters)))

    async def _all(self, letters: list[Letter]) -> list[Answer]:
        return list(await asyncio.gather(*(self._timed(letter) for letter in letters)))

    async def _timed(self, letter: Letter) -> Answer:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.total_seconds):
                status, error, final = await self._post(letter)
        except TimeoutError:
            status, error, final = None, f"No answer within {self.total_seconds:g} s.", False
        return Answer(
            status=status, error=error, final=final, milliseconds=int((time.monotonic() - began) * 1000)
        )

    async def _post(self, letter: Letter) -> tuple[int | None, str, bool]:
        """Status, what is wrong with it (empty: nothing), and whether that is final."""
        try:
            target = await asyncio.to_thread(guard.check, letter.url, self.resolve)
            status = await self._exchange(target, letter)
        except guard.Refused as refused:
            return None, str(refused), True
        except (httpx.HTTPError, OSError) as error:
            return None, f"{type(error).__name__}: {error}"[:300], False
        if 200 <= status < 300:
            return status, "", False
        told = "Redirects are not followed." if 300 <= status < 400 else "It did not accept."
        return status, f"Answered {status}. {told}", status == GONE

    async def _exchange(self, target: guard.Target, letter: Letter) -> int:
        """The status of the answer from the first of the addresses that can be connected to."""
        *others, last = target.addresses
        transport = httpx.AsyncHTTPTransport(verify=self.trust, trust_env=False, retries=0)
        timeout = httpx.Timeout(self.total_seconds)
        async with httpx.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=timeout
        ) as client:
            for address in others:
                try:
                    return await _send(client, target.url, address, letter)
                except httpx.ConnectError:  # the next one may be reachable; the last one's error counts
                    continue
            return await _send(client, target.url, last, letter)


async def _send(client: httpx.AsyncClient, url: httpx.URL, address: str, letter: Letter) -> int:
    """POST to this address in the name of the URL's host."""
    request = pinning.request_to(
        client, "POST", url, address, content=letter.body, headers={"user-agent": AGENT, **letter.headers}
    )
    answer = await client.send(request, stream=True)
    await answer.aclose()  # the body is none of our business, however long it is
    return answer.status_code
