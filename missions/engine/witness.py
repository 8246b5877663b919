"""The witness: a file outside the database that remembers how far the database had come.

A backup that is restored knows nothing of the effects since, and would repeat them. So each worker notes the database's
progress beside it, and compares before it claims anything. A database that has fallen behind is frozen
(`missions.engine.freezing`): nothing is claimed until a person has looked.

Promises: a figure is noted only once it is durable, so that a crash of the server is no finding. Must not be written by
anything that could be restored together with the database.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from django.conf import settings
from psycopg.pq.abc import PGresult

from missions.engine.arrays import int8, read_int
from missions.engine.hosts import identity
from missions.engine.session import Refused, Session

logger = logging.getLogger(__name__)
STATEMENTS = ("witness", "freeze")
EVERY_SECONDS = 10.0
_writing = threading.Lock()  # a process has one draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How far a database had come at a moment of its own real clock, in microseconds since 2000."""

    system: int  # the cluster's identifier
    timeline: int  # rises when a standby is promoted, or a backup is recovered to a point in time
    lsn: int  # flushed log, in bytes
    xid: int  # all transactions below had ended
    tide: int  # our own count
    at: int


def loss(seen: Sighting, now: Sighting, *, trust_failover: bool = False) -> str:
    """Why a database that shows `now` can not be all that `seen` was; empty where it can."""
    if now.system != seen.system:
        return "This is another cluster than before: a dump was restored, or the database has moved."
    # Each sighting counts the tide up, so even the same count again is one too few.
    behind = {"position of its log": now.lsn < seen.lsn, "transactions": now.xid < seen.xid,
              "count of sightings": now.tide <= seen.tide}  # fmt: skip
    if any(behind.values()):
        what = ", ".join(name for name, is_behind in behind.items() if is_behind)
        return f"The database has fallen behind what was seen before ({what}): a backup was restored."
    if now.timeline != seen.timeline and not trust_failover:
        return "The database is on another timeline: a standby was promoted, or a backup recovered to a point in time."
    return ""


class Witness:
    """One worker's hand on the witness file. Statements go over the session that also beats the heart."""

    def __init__(self, session: Session) -> None:
        self._session, self._file = session, Path(settings.MISSIONS_WITNESS)
        self._settled_xid = 0  # of the sighting before: by now its transactions are flushed

    async def attest(self) -> None:
        """Compare with what was seen before, freeze where something is lost, and note what is seen now.

        Raises Refused, OSError.
        """
        seen = await asyncio.to_thread(read, self._file)  # first: what peers note meanwhile may be ahead of our look
        now, found_at = await self._look()
        why = loss(seen, now, trust_failover=settings.MISSIONS_TRUST_FAILOVER) if seen is not None else ""
        if why:
            self._settled_xid = 0
            # What was noted before the last finding, on whatever host, speaks of that same loss.
            if seen is not None and (found_at is None or seen.at > found_at):
                await self._freeze(why, seen, now)
                now, _ = await self._look()  # beyond the freeze: who restores the same backup again is found again
        noted = replace(now, xid=self._settled_xid)
        self._settled_xid = now.xid
        await asyncio.to_thread(write, self._file, noted)

    async def keep(self) -> None:
        """Attest every few seconds, for as long as the worker lives."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.attest()

    async def farewell(self) -> None:
        """Attest a last time. What keeps it from that is only logged: the worker goes all the same."""
        try:
            await self.attest()
        except (Refused, OSError) as error:
            facts = {"action": "witness_unwritten", "file": str(self._file), "why": str(error).strip()[:200]}
            logger.warning("The last sighting could not be noted", extra=facts)

    async def _look(self) -> tuple[Sighting, int | None]:
        return _sighting((await self._session.call((b"witness", ())))[0])

    async def _freeze(self, why: str, seen: Sighting, now: Sighting) -> None:
        facts = json.dumps({"seen": asdict(seen), "now": asdict(now)})
        host = identity().host
        answer = await self._session.call((b"freeze", (why.encode(), host.encode(), facts.encode(), int8(now.at))))
        if not answer[0].ntuples:  # frozen already, or without missions
            return
        told = {"action": "frozen", "why": why, "witness": str(self._file)}
        logger.critical("The installation is frozen: thaw it once you know what was lost", extra=told)


def _sighting(result: PGresult) -> tuple[Sighting, int | None]:
    cells = [result.get_value(0, column) for column in range(7)]
    system, timeline, lsn, xid, tide, at = (read_int(cell or b"") for cell in cells[:6])
    sighting = Sighting(system=system, timeline=timeline, lsn=lsn, xid=xid, tide=tide, at=at)
    return sighting, read_int(cells[6]) if cells[6] else None


def read(file: Path) -> Sighting | None:
    """What was noted; None where nothing was, or where the file does not tell, which is logged. Raises OSError."""
    try:
        return Sighting(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        facts = {"action": "witness_unreadable", "file": str(file), "why": str(error)[:200]}
        logger.error("The witness file does not tell anything; it is written anew", extra=facts)
        return None


def write(file: Path, sighting: Sighting) -> None:
    """Note it: whole or not at all, also over a power cut. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with _writing:
        with open(draft, "w") as output:
            json.dump(asdict(sighting), output)
            output.flush()
            os.fsync(output.fileno())
        draft.replace(file)

