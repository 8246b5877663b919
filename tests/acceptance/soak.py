"""What a soak pays: which missions, over which time, by which tool, and what two ledgers hold in the end.

One payment server ignores keys, so that a second call would be a second payment, and its tool is verifiable; of every
five missions one pays at another server, which counts a key once, with a keyed tool. Every payment is another pair of
order and amount, so that one that is missing or repeated shows.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance import paying_missions
from tests.acceptance.people import Person
from tests.acceptance.processes import ROOT
from tests.acceptance.system import MODULE, System
from tests.payment_server import PaymentServer

ORDERS, CENTS = 200, 500  # demo orders; each covers the sum of 1 to so many cents
KEYED_EVERY = 5
TOOLS = {"verifiable": "payments.refund", "keyed": "keyed.payments.refund"}
TIMEOUT_SECONDS = 8.0  # of a payment: one that misses its deadline on a busy machine would be refused
Paid = tuple[str, str]  # order and amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many missions of how many payments each, and for how many seconds the storm lasts."""

    missions: int
    effects: int
    seconds: float
    slow_seconds: float  # of each answer, so that many deaths come in the middle of a call
    crash_seconds: tuple[float, float]
    settle_seconds: float

    def __post_init__(self) -> None:
        most = ORDERS * (CENTS // self.effects)
        if not 0 < self.missions <= most:
            raise ValueError(f"the demo orders cover {most} missions of {self.effects} payments")

    def plan(self, number: int) -> paying_missions.Pay:
        """What mission `number`, from 0 on, pays."""
        tool = TOOLS["keyed" if number % KEYED_EVERY == KEYED_EVERY - 1 else "verifiable"]
        return paying_missions.Pay(
            tool=tool, order_id=f"ORD-{1001 + number % ORDERS}", first=1 + number // ORDERS * self.effects,
            count=self.effects,
        )

    def due(self, safety: str) -> Counter[Paid]:
        """What the ledger of this server has to hold."""
        plans = [plan for plan in map(self.plan, range(self.missions)) if plan.tool == TOOLS[safety]]
        return Counter(
            (plan.order_id, paying_missions.amount(cents))
            for plan in plans for cents in range(plan.first, plan.first + plan.count)
        )


def full() -> Size:
    """The soak itself, as the environment wants it."""
    return Size(
        missions=int(os.environ.get("STANDFAST_SOAK_MISSIONS", "1000")), effects=20,
        seconds=float(os.environ.get("STANDFAST_SOAK_SECONDS", "600")), slow_seconds=0.8, crash_seconds=(20.0, 40.0),
        settle_seconds=600.0,
    )


SHORT = Size(
    missions=30, effects=20, seconds=12.0, slow_seconds=0.05, crash_seconds=(4.0, 8.0), settle_seconds=90.0
)


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The two payment servers, by the retry safety of their tools."""

    servers: dict[str, PaymentServer]

    @classmethod
    def open(cls, system: System, slow_seconds: float) -> Ledgers:
        """Start them, and describe them to the workers that start after this."""
        folder = Path(tempfile.mkdtemp(prefix="payments-", dir=system.folder))
        slow = ("--slow", str(slow_seconds))
        servers = {"verifiable": PaymentServer(folder / "verifiable", "--no-dedup", *slow),
                   "keyed": PaymentServer(folder / "keyed", *slow)}
        described = [_described(safety, server) for safety, server in servers.items()]
        (folder / "mcp-servers.yaml").write_text(yaml.safe_dump(described))
        system.environment["MISSIONS_MCP_SERVERS"] = str(folder / "mcp-servers.yaml")
        system.environment["MISSIONS_MODULES"] = f"{MODULE},{paying_missions.MODULE}"
        return cls(servers)

    def paid(self, safety: str) -> Counter[Paid]:
        """What one of them has posted."""
        return Counter(self.servers[safety].rows("select order_id, amount from payments"))

    def requests(self, safety: str) -> list[tuple[str, int]]:
        """How often each key was asked for, before deduplication."""
        query = "select key, count(*) from requests where tool = 'payments.refund' group by key"
        return self.servers[safety].rows(query)

    def close(self) -> None:
        """Stop both."""
        for server in self.servers.values():
            server.stop()


def _described(safety: str, server: PaymentServer) -> dict[str, Any]:
    kind = "" if safety == "keyed" else f"-{safety}"
    (entry,) = yaml.safe_load((ROOT / "deploy" / f"mcp-servers{kind}.yaml").read_text())
    refund = entry["tools"]["payments.refund"]
    assert refund["retry_safety"] == safety
    refund["timeout"] = TIMEOUT_SECONDS
    return {**entry, "name": safety, "url": server.url, "prefix": TOOLS[safety].removesuffix("payments.refund")}


class Starting:
    """Starts the missions evenly over the storm, from a thread of its own. `with` it; an error comes out at the end."""

    def __init__(self, person: Person, size: Size) -> None:
        self._person, self._size = person, size
        self.uids: list[str] = []
        self._thread = threading.Thread(target=self._start, name="starting")
        self._error: BaseException | None = None

    def __enter__(self) -> Starting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(self._size.seconds + 120)
        if self._error is not None:
            raise self._error
        assert len(self.uids) == self._size.missions

    def _start(self) -> None:
        began, size = time.monotonic(), self._size
        try:
            for number in range(size.missions):
                # The last ones come while it still blows.
                time.sleep(max(0.0, began + 0.9 * size.seconds * number / size.missions - time.monotonic()))
                self.uids.append(self._person.start("test.payer", size.plan(number).model_dump()))
        except BaseException as error:  # told where the test waits for the thread
            self._error = error
