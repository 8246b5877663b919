"""A stand-in for the other side: it notes each request before it looks at keys, and then what it did.

    bank = Ledger("bank")

    @bank.tool("bank.pay", retry_safety="keyed")
    def pay(call: ToolCall, amount: int) -> dict[str, Any]:
        return {"reference": f"R-{amount}"}          # what it answers

`requests` are what came, `postings` what was done. A mission's body or a plain step that posts here is refused like
any other effect outside a tool. Crash tests count what every ledger of the process holds.
"""

from __future__ import annotations

import functools
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from missions.authoring import tool
from missions.engine import guard
from missions.errors import OutcomeUnknown, ToolFailed, TryLater
from missions.governance import EffectClass, Json, RetrySafety
from missions.tools.spec import ProbeResult, ToolCall

Answering = Callable[..., Any]  # (call, **args) -> what the other side answers
_all: weakref.WeakSet[Ledger] = weakref.WeakSet()


class Fault(StrEnum):
    """What befalls a request."""

    LATER = "later"  # refused for now: certainly not done
    REFUSED = "refused"  # refused for good: certainly not done
    LOST_REQUEST = "lost_request"  # never arrived, and the caller can not know
    LOST_ANSWER = "lost_answer"  # done, and the answer is lost


@dataclass(frozen=True, slots=True)
class Posting:
    """Something that was asked for, or done."""

    tool: str
    key: str
    args: Json
    answer: Any = None


class Ledger:
    """One other side. Thread-safe as far as lists are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[Posting] = []
        self.postings: list[Posting] = []
        self._faults: deque[Fault] = deque()
        _all.add(self)

    def fail(self, *faults: Fault | str) -> None:
        """Let these befall the next requests, one each."""
        self._faults.extend(map(Fault, faults))

    def clear(self) -> None:
        """Forget everything."""
        self.requests.clear()
        self.postings.clear()
        self._faults.clear()

    def repeated(self) -> list[Posting]:
        """The postings beyond the first under their key."""
        first = {one.key: one for one in reversed(self.postings)}
        return [one for one in self.postings if one.key and first[one.key] is not one]

    def post(self, key: str, *, tool: str = "", deduplicate: bool = True, answer: Any = None, **args: Any) -> Any:
        """Do something under a key, once; what was answered. For functions that are tools already."""
        return self._take(Posting(tool or self.name, key, args), lambda: answer, deduplicate=deduplicate)

    def _take(self, request: Posting, answering: Callable[[], Any], *, deduplicate: bool) -> Any:
        guard.refuse(guard.EFFECT, f"post to the ledger {self.name!r}")
        self.requests.append(request)
        fault = self._faults.popleft() if self._faults else None
        if fault is Fault.LATER:
            raise TryLater(retry_after_seconds=0)
        if fault is Fault.REFUSED:
            raise ToolFailed(f"{self.name} refuses.", code="refused")
        if fault is Fault.LOST_REQUEST:
            raise OutcomeUnknown("The request was lost.")
        known = self._posting(request.key) if deduplicate else None
        if known is None:
            known = Posting(request.tool, request.key, request.args, answering())
            self.postings.append(known)
        if fault is Fault.LOST_ANSWER:
            raise OutcomeUnknown("The answer was lost.")
        return known.answer

    def _posting(self, key: str) -> Posting | None:
        return next((one for one in self.postings if key and one.key == key), None)

    async def probe(self, call: ToolCall, **args: Any) -> ProbeResult:
        """Whether something was posted under the call's key."""
        known = self._posting(call.idempotency_key)
        return ProbeResult(found=known is not None, result=known.answer if known else None)

    def tool(
        self, name: str, *, retry_safety: RetrySafety | str, effect: EffectClass | str = EffectClass.WRITE,
        ignores_keys: bool = False, **more: Any,
    ) -> Callable[[Answering], Answering]:
        """Register a function as a tool that posts here and answers what the function returns.

        A keyed one counts a key once, unless it `ignores_keys`, which no honest keyed tool does. A verifiable one is
        probed here. `more` is what `missions.authoring.tool` takes.
        """
        keyed = RetrySafety(retry_safety) is RetrySafety.KEYED and not ignores_keys
        if RetrySafety(retry_safety) is RetrySafety.VERIFIABLE:
            more.setdefault("probe", self.probe)

        def decorate(function: Answering) -> Answering:
            @functools.wraps(function)
            async def call_ledger(call: ToolCall, **args: Any) -> Any:
                request = Posting(name, call.idempotency_key, args)
                return self._take(request, lambda: function(call, **args), deduplicate=keyed)

            tool(name=name, effect=effect, retry_safety=retry_safety, **more)(call_ledger)
            return function

        return decorate


def ledgers() -> list[Ledger]:
    """Every ledger of this process, by name."""
    return sorted(_all, key=lambda ledger: ledger.name)
