"""Before a call: does the tool's circuit let it through, and is there room under its limits?

Asked before the intent of an effect, so that no deadline runs while it waits, and before each further try. Where
nothing is limited and the tool answers, it costs a look into memory. A call that must wait parks its mission until a
signal `permit:ID`; people are told once of an open circuit, and of a wait that outlasts the limit's patience.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from missions.effects import dispatch, preparing
from missions.engine import circuits, permits, stops
from missions.engine.branches import Wait
from missions.engine.permits import Ask, Ticket
from missions.engine.run import Run
from missions.models import Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

ANSWERS = dispatch.Done | dispatch.Failed  # the server lives


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A turn under limits, to be given back."""

    limits: tuple[int, ...]
    tool: str


async def admitted(op: ToolRun) -> None:
    """Return once the call may be made. Raises ToolChanged, ToolFailed."""
    run = op.run
    await unless_stopped(run, op.path, tool=op.spec.name, agent=op.intent.agent)
    await preparing.settled(op)
    while (limits := _asked(op)) is not None:
        ask = Ask(
            mission_id=run.claimed.id, attempt=run.head.attempt, path=op.path, tool=op.spec.name, limits=limits,
        )
        ticket: Ticket = await run.owner.in_database(permits.acquire, ask)
        run.check()
        op.permit = limits
        if ticket.granted:
            while run.leaving:  # nothing fresh starts here; the next attempt has the same permit
                await run.put_back(op.path)
            return
        await _told(op, ticket)
        if run.inbox.take(ticket.signal) is None:
            await run.wait(op.path, _wait(op, ticket))
            run.inbox.take(ticket.signal)


def stop_over(op: ToolRun) -> int | None:
    """The stop that holds this call up, as this worker knows of it; a look into memory."""
    return _stop_over(op.run, op.spec.name, op.intent.agent)


def _stop_over(run: Run, tool: str, agent: str) -> int | None:
    stops_now = run.owner.rules().stops
    return stops_now.of_call(run.claimed.type, tool, agent) if stops_now else None


async def unless_stopped(run: Run, path: str, *, tool: str = "", agent: str) -> None:
    """Return once no stop holds up a call of this tool, or what an agent does otherwise."""
    while (stop := _stop_over(run, tool, agent)) is not None:
        if (what := await run.owner.in_database(stops.hold, stop, run.claimed.id)) is None:
            await run.owner.learn_rules()
            continue
        name = stops.signal_of(stop)
        if run.inbox.take(name) is None:
            await run.wait(path, Wait(label=f"stop:{what}", signals=(name,)))
            run.inbox.take(name)


async def seated(run: Run, path: str, *, tool: str, agent: str) -> Seat:
    """Return once there is room under the limits for what counts like a call of a tool, such as asking an LLM."""
    rules = run.owner.rules()
    limits = rules.of_call(tool, agent) if rules.limits else ()
    ask = Ask(mission_id=run.claimed.id, attempt=run.head.attempt, path=path, tool=tool, limits=limits)
    while limits:
        ticket: Ticket = await run.owner.in_database(permits.acquire, ask)
        run.check()
        if ticket.granted:
            while run.leaving:
                await run.put_back(path)
            break
        if run.inbox.take(ticket.signal) is None:
            await run.wait(path, Wait(label=f"limit:{ticket.limit}", signals=(ticket.signal,)))
            run.inbox.take(ticket.signal)
    return Seat(limits=limits, tool=tool)


async def leave(run: Run, path: str, seat: Seat) -> None:
    """It is over and recorded: the next in the queue has its turn."""
    if seat.limits:
        await run.owner.in_database(permits.give_back, run.claimed.id, path, seat.limits, seat.tool)


def _asked(op: ToolRun) -> tuple[int, ...] | None:
    """The limits that a permit is needed under, maybe none but the open circuit's; None where it needs none."""
    if op.outer is not None and op.outer.permit is not None:  # a part of that call: waiting for a turn of its own might
        return None  # wait for that call's
    rules = op.run.owner.rules()
    if not rules.limits and not rules.circuits:
        return None
    limits = rules.of_call(op.spec.name, op.intent.agent)
    return limits if limits or rules.is_open(op.spec.name) else None


def _wait(op: ToolRun, ticket: Ticket) -> Wait:
    label = f"limit:{ticket.limit}" if ticket.limit else f"tool:{op.spec.name}"
    wake_at = None if op.progress.told_of_limit else ticket.escalate_at
    return Wait(label=label, signals=(ticket.signal,), wake_at=wake_at)


async def _told(op: ToolRun, ticket: Ticket) -> None:
    """Record what people should know of this wait, once each."""
    if not ticket.limit and not op.progress.told_of_circuit:
        at = ticket.probe_at.isoformat() if ticket.probe_at else None
        why = "The circuit is open: too many calls got no answer."
        await op.record(
            Kind.BACKOFF, key=op.progress.key, why=why, circuit=True, resume_at=at, count=op.progress.tries,
        )
    late = ticket.escalate_at is not None and op.run.is_past(ticket.escalate_at)
    if ticket.limit and late and not op.progress.told_of_limit:
        text = f"“{op.spec.title}” has waited long for its turn: the limit on {_named(ticket.limit)} is reached."
        await op.record(Kind.OBSERVED, text=text, level="warning", limit=ticket.limit)


def _named(limit: str) -> str:
    scope, _, name = limit.partition(":")
    return f"all {scope}s" if name == "*" else f"{scope} {name}"


async def answered(op: ToolRun, answer: dispatch.Answered) -> None:
    """The call is over and recorded: judge the tool by it, and give the permit back."""
    run, tool = op.run, op.spec.name
    if not isinstance(answer, ANSWERS):
        if await run.owner.in_database(circuits.failed, tool, run.claimed.id, op.path, answer.why):
            await run.owner.learn_rules()  # this very mission may be about to try again
    elif tool in run.owner.rules().circuits:
        await run.owner.in_database(circuits.answered, tool)
    await put_back(op)


async def put_back(op: ToolRun) -> None:
    """Give the permit back, where it has one."""
    if op.permit is not None:
        limits, op.permit = op.permit, None
        await op.run.owner.in_database(permits.give_back, op.run.claimed.id, op.path, limits, op.spec.name)
