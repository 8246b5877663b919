"""A ten-turn agent whose tools are an MCP server's, over HTTP and stdio, killed all along: paid once, same answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from missions.engine import history, starting
from missions.models import ENDED, Mission
from missions.sandbox import driver
from missions.testing import gates
from missions.testing.crashes import CrashingWorker, Cut
from missions.testing.workers import wait_until, worker
from missions.tools import catalogue, registry
from missions.tools.servers import RemoteTool, Server
from tests import thinkers, till_mcp
from tests.llm_servers import Call, Say, turns
from tests.sandboxed import needs_bubblewrap

pytestmark = pytest.mark.django_db(transaction=True)
PYTHON, READABLE = driver.interpreter()
TURNS = 10
SAFETIES = ("keyed", "verifiable", "manual")


class Till:
    """The server, by either transport and under either promise."""

    def __init__(self, transport: str, safety: str, folder: Path) -> None:
        self.name, self.ledger = f"{transport}-{safety}", folder / "ledger"
        more = [] if safety == "keyed" else ["--no-dedup"]
        listening = [sys.executable, "-S", "-E", till_mcp.__file__, str(self.ledger), "0", *more]
        self.process = subprocess.Popen(listening, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.place = f"127.0.0.1:{int(self.process.stdout.readline())}"
        entries = {"price": RemoteTool(effect="read"), "found": RemoteTool(effect="read"), "pay": _paying(safety)}
        if transport == "http":
            self.server = Server(name=self.name, url=f"http://{self.place}/mcp", tools=entries)
            return
        words = (PYTHON, "-S", "-E", till_mcp.__file__, "--to", self.place)
        readable = (*READABLE, str(Path(till_mcp.__file__).parent))
        self.server = Server(name=self.name, command=words, readable=readable, egress=[self.place], tools=entries)

    def lines(self, what: str) -> list[dict[str, Any]]:
        """What it wrote down."""
        return [line for line in till_mcp.lines(str(self.ledger)) if line["what"] == what]

    def stop(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def _paying(safety: str) -> RemoteTool:
    probe = {"probe": "found"} if safety == "verifiable" else {}
    return RemoteTool.model_validate({"retry_safety": safety, "key_argument": "key", "timeout": 10, **probe})


@pytest.fixture(params=[(transport, safety) for transport in ("http", "stdio") for safety in SAFETIES], ids="-".join)
def till(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Iterator[Till]:
    made = Till(*request.param, tmp_path)
    settings.SANDBOX_PRIVATE_PLACES = (made.place,)
    specs = [registry.register(catalogue.spec(made.server, tool)) for tool in made.server.tools]
    yield made
    made.stop()
    for spec in specs:
        del registry._tools[spec.name]


def script(till: Till, order: str) -> Any:
    """Ten turns with three payments."""
    def pay(amount: int) -> Call:
        return Call(f"{till.name}-pay", {"order": order, "amount": amount})

    price = Call(f"{till.name}-price", {"order": order})
    return turns(
        Say(calls=(price,)), Say(calls=(pay(1),)), Say(calls=(price, price)), Say(calls=(pay(2), price)),
        Say(calls=(Call("no-such"),)), Say(calls=(price,)), Say(calls=(Call(f"{till.name}-pay", {"order": order}),)),
        Say(calls=(pay(3),)), Say(calls=(price,)), "All is paid.",
    )


def played(till: Till, current: CrashingWorker, order: str, cut: Cut | None) -> tuple[Mission, int]:
    """One agent from its goal to its answer, its worker killed at most once; it, and the requests that its LLM got."""
    with thinkers.thinking(script(till, order), nonces=True) as llm:
        current.cut = cut
        mission, _ = starting.start("agent", {"agent": till.name, "goal": f"Pay {order}."})
        wait_until(mission, lambda now: now.state in ENDED)
        return mission, len(llm.requests)


EVERY = pytest.param(10**6, id="every position", marks=[pytest.mark.soak, pytest.mark.timeout(1800)])


@needs_bubblewrap
@pytest.mark.timeout(240)
@pytest.mark.parametrize("positions", [pytest.param(7, id="some positions"), EVERY])
def test_agent_killed_all_along_pays_once_and_answers_the_same(till: Till, positions: int) -> None:
    thinkers.version(till.name, tools=[f"{till.name}.*"])

    def happened(key: str) -> bool:
        return any(line["key"] == key for line in till.lines("paid"))

    with gates.allowing(happened), worker(make=CrashingWorker) as current:
        assert isinstance(current, CrashingWorker)
        whole, _ = played(till, current, "whole", None)
        assert whole.outcome.data["turns"] == TURNS, whole.outcome.error
        entries = len(list(history.entries(whole.pk)))
        every = [Cut(seq, recorded) for seq in range(2, entries) for recorded in (False, True)]
        for number in range(min(positions, len(every))):
            cut = every[number * len(every) // min(positions, len(every))]
            mission, requests = played(till, current, f"o{number}", cut)
            assert mission.outcome.summary.startswith("All is paid."), f"{cut}: {mission.outcome.error}"
            paid = sorted(line["amount"] for line in till.lines("paid") if line["order"] == f"o{number}")
            assert paid == [1, 2, 3], f"{cut}: {paid}"
            assert requests <= TURNS + 1, str(cut)
