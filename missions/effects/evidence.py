"""Evidence that policy demands: what the mission has read, how old it is, and whether it is still so.

When it is ruled on, a source that is too old is read again; one that was never read, or can not be had, denies. Just
before the effect, a source that is to be revalidated is read again and compared with what the approval rests on: where
it differs, nothing is called and the approval counts no more. Which reads are made again is an entry; what they give
are entries of their own below its path, so that replay comes to the same. Acts of `missions.effects.call.ToolRun`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

from missions.effects import admission, differing, doubt, reads
from missions.effects.progress import ENDS, Progress
from missions.engine.readings import Reading
from missions.errors import StandfastError, UnknownTool
from missions.governance import Answer, Json, Ruling, RulingOutcome, gate
from missions.models import EffectState, Kind
from missions.tools.registry import get_tool

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

FRESH = dt.timedelta(seconds=30)  # from reading again to the intent: what lay longer, say over a takeover, is read anew


# -- When it is ruled on -----------------------------------------------------------------------------------------------


async def rests_on(op: ToolRun, ruling: Ruling) -> Json:
    """The part of a ruling's entry that names the reads behind it; empty where none are demanded."""
    if not ruling.evidence or ruling.outcome is RulingOutcome.DENY:
        return {}
    found = [await _latest(op, demand["source"]) for demand in ruling.evidence]
    return {"rests_on": [reading.as_json() for reading in found if reading is not None]}


async def at_hand(op: ToolRun) -> list[Json] | None:
    """The reads that are demanded, all of them young enough; None where something was recorded instead."""
    ruling = op.progress.ruling
    demands = ruling.evidence if ruling is not None else ()
    found, old = [], []
    if op.progress.missing:
        await _deny(op, op.progress.missing)
        return None
    for demand in demands:
        reading = await _latest(op, demand["source"])
        if reading is None:
            await _deny(op, f"Evidence is missing: “{title(demand['source'])}” was not read for this.")
            return None
        found.append(reading)
        if _is_old(op, demand, reading):
            old.append(reading)
    if old:
        await _read_anew(op, old)
        return None
    return [reading.as_json() for reading in found]


def _is_old(op: ToolRun, demand: Json, reading: Reading) -> bool:
    age = demand.get("max_age_seconds")
    return age is not None and op.run.is_past(reading.at + dt.timedelta(seconds=age))


async def _latest(op: ToolRun, source: str) -> Reading | None:
    """The newest read of this source for this action; in a control or a later chapter the journal is asked as well."""
    readings, claimed = op.run.readings, op.run.claimed
    found = readings.latest(source, op.args)
    if found is None and not readings.whole and (op.run.of_control or claimed.chapter > 1):
        for reading in await op.run.owner.in_database(differing.readings_of, claimed.id):
            readings.add(reading)
        readings.whole = True
        found = readings.latest(source, op.args)
    return found


def title(source: str) -> str:
    """What a source is called for people."""
    try:
        return get_tool(source).title
    except UnknownTool:
        return source


# -- Reading again -----------------------------------------------------------------------------------------------------


async def _read_anew(op: ToolRun, readings: list[Reading]) -> None:
    """Record which reads are made again: from here on they come next, also in replay."""
    names = ", ".join(dict.fromkeys(title(reading.source) for reading in readings))
    wanted = [{"source": reading.source, "args": reading.args} for reading in readings]
    await op.record(Kind.OBSERVED, text=f"Reads its evidence again: {names}.", level="info", reads=wanted)


async def read_again(op: ToolRun) -> None:
    """Make them, one after the other; an answer that a tool gives for good instead of a result is noted as missing."""
    progress, checked, missing = op.progress, [], ""
    for number, wanted in enumerate(progress.reads, start=progress.rereads + 1):
        read = op.within(f"{op.path}/evidence#{number}", get_tool(wanted["source"]), wanted["args"])
        try:
            await read.perform()
        except StandfastError as error:
            if read.progress.phase not in ENDS:
                raise  # nothing of it is on record
            missing = f"Evidence is missing: “{read.spec.title}” could not be read again: {error}"
            break
        checked.append(reads.reading_of(read).as_json())
    progress.read_again(checked, missing)


# -- Just before the effect --------------------------------------------------------------------------------------------


async def holds(op: ToolRun) -> bool:
    """Whether what is to be revalidated was just read again, and is as it was; else what follows is recorded."""
    progress = op.progress
    sources = [demand["source"] for demand in _demands(progress) if demand["revalidate"]]
    if not sources:
        return True
    rested = {item["source"]: item for item in progress.basis}
    if not all(source in rested for source in sources):
        progress.missing = "Evidence is missing: it was not read before this was ruled on."
    if not progress.missing and not _are_fresh(op, sources):
        await _read_anew(op, [Reading.from_json(rested[source]) for source in sources])
        return False
    changed = [] if progress.missing else await _changes(op, rested)
    if progress.missing or changed:
        await admission.put_back(op)
        await _turn_back(op, changed)
        return False
    return True


def _demands(progress: Progress) -> tuple[Json, ...]:
    return progress.ruling.evidence if progress.ruling is not None else ()


def _are_fresh(op: ToolRun, sources: list[str]) -> bool:
    checked = {item["source"]: item for item in op.progress.checked}
    ages = [dt.datetime.fromisoformat(checked[source]["at"]) for source in sources if source in checked]
    return len(ages) == len(sources) and not any(op.run.is_past(at + FRESH) for at in ages)


async def _changes(op: ToolRun, rested: dict[str, Json]) -> list[Json]:
    pairs = [(rested[item["source"]], item) for item in op.progress.checked if item["source"] in rested]
    differing_ones = [(old, new) for old, new in pairs if old["version"] != new["version"]]
    if not differing_ones:
        return []
    found: list[Json] = await op.run.owner.in_database(differing.changes, op.run.claimed.id, differing_ones)
    return [{**one, "title": title(one["source"])} for one in found]


async def _turn_back(op: ToolRun, changed: list[Json]) -> None:
    """Nothing is called: an approval is taken back and it is ruled on again; what nobody approved is denied."""
    progress = op.progress
    why = progress.missing or differing.told(changed)
    decision = str((progress.approved or {}).get("decision", ""))
    if progress.unsettled and progress.uncertain:  # what has changed may be its own doing
        await doubt.look_up(op, f"It may have happened, and is not called again: {why}")
        return
    if changed and decision:
        await op.run.owner.in_database(gate().supersede, uuid.UUID(decision), why, changed)
    if progress.unsettled:
        again: Json = {"again": "rule", "changed": changed, "decision": decision} if changed and decision else {}
        await op.record(
            Kind.OUTCOME, settle=EffectState.NOT_DONE, state="not_done", key=progress.key, sentence=op.sentence,
            effect_class=op.spec.effect, error={"type": "evidence", "message": why}, **again,
        )
    elif changed and decision:
        digest, at = (progress.approved or {})["digest"], op.run.clock.now().isoformat()
        answer = Answer(verdict="superseded", digest=digest, comment=why, at=at)
        await op.record(Kind.ANSWERED, decision=decision, answer=answer.as_json(), seq=None, changed=changed)
    else:
        await _deny(op, why)


async def _deny(op: ToolRun, why: str) -> None:
    await op.record(Kind.RULING, phase="evidence", **Ruling(outcome=RulingOutcome.DENY, reason=why).as_json())


def added(op: ToolRun, confirmed: Ruling) -> str:
    """What policy demands by now and did not when it ruled, in words; empty where that is nothing."""
    known = {demand["source"]: demand for demand in _demands(op.progress)}
    for demand in confirmed.evidence:
        before = known.get(demand["source"])
        if before is None or _is_stricter(demand, before):
            return f"Policy demands “{title(demand['source'])}” as evidence by now."
    return ""


def _is_stricter(demand: Json, before: Json) -> bool:
    age, known = demand["max_age_seconds"], before["max_age_seconds"]
    shorter = age is not None and (known is None or age < known)
    return shorter or (demand["revalidate"] and not before["revalidate"])
