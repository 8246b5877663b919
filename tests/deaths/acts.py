"""What a forked child does: serve as a worker, mostly. Imported in the process that forks, after names were put in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth.models import User

from approvals import votes
from missions.agents import running
from missions.context import Context
from missions.effects import doubt
from missions.engine import circuits, claims, crashpoints, guard, guarded_events, record, witness
from missions.engine.process import Worker
from missions.engine.registry import all_types
from missions.governance import gate
from missions.keeping import archive as archives
from missions.tools import mcp_client, resource_reads
from missions.tools.registry import all_tools
from tests.deaths import faults, props, scenes

DEATHS = 3  # of workers in one call, until a person is asked: a scene brings about so many
CIRCUIT_SECONDS = 0.8  # the longest that a circuit stays open: here many first calls get no answer
PORTION = 6  # entries at once: short records are read in portions too
WITNESS_SECONDS = 0.1  # between two looks: workers live for a moment only


def warm() -> None:
    """Have everything imported that a worker needs, with no thread and no connection left behind."""
    all_types()
    all_tools()
    gate()
    running.warm()
    claims.PORTION = record.PORTION = PORTION
    circuits.LONGEST_SECONDS, doubt.DEATHS = CIRCUIT_SECONDS, DEATHS
    witness.EVERY_SECONDS = WITNESS_SECONDS
    resource_reads.spec = props.resource_spec


def perform(order: dict[str, Any]) -> int:
    """Carry out an order in a child; its exit status."""
    try:
        crashpoints.arm(order["crash_at"])
        faults.waiting.extend(
            faults.Fault(one["name"], faults.Harm(one["harm"]), one["arrival"]) for one in order["faults"]
        )
        if order["trace"]:
            faults.trace = os.open(order["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        if order["types"]:
            scenes.register(order["types"])
        return int(ACTS[order["act"]](order, **order["given"]) or 0)
    except BaseException:
        traceback.print_exc()
        return 1


def work(order: dict[str, Any]) -> int:
    """A worker, until SIGTERM drains it."""
    logging.getLogger().setLevel(logging.INFO)
    return asyncio.run(_serve(lambda: Worker(Context, order["concurrency"])))


def isolate(order: dict[str, Any]) -> int:
    """A quarantine process, until it is idle."""
    return asyncio.run(_serve(lambda: Worker(Context, 1, quarantined=True)))


async def _serve(make: Callable[[], Worker]) -> int:
    guarded_events.install()
    worker = make()
    faults.sessions, faults.unguarded = lambda: _sockets(worker), _unguarded
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, worker.stop)
    try:
        await worker.run()
    finally:
        await mcp_client.close()
    return int(worker.overdue)


@contextlib.contextmanager
def _unguarded() -> Iterator[None]:
    token = guard.free()
    try:
        yield
    finally:
        guard.restore(token)


def _sockets(worker: Worker) -> list[int]:
    current = worker.incarnation
    if current is None:
        return []
    lane = getattr(current, "lane", None)
    found = [getattr(lane, "session", None), *(getattr(current.liveness, name, None) for name in ("aux", "ring"))]
    return [session._fd for session in found if session is not None and not session.lost]


def vote(order: dict[str, Any], *, decision: str, voter: str, digest: str, **more: str) -> None:
    """Cast a vote."""
    person = User.objects.get(username=voter)
    votes.cast(decision, person, "approve", digest, channel="api", **more)  # type: ignore[arg-type]


def archive(order: dict[str, Any], *, mission: int) -> None:
    """Archive a mission."""
    archives.archive(mission)


ACTS = {"work": work, "isolate": isolate, "vote": vote, "archive": archive}
