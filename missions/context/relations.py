"""Children: missions that a mission starts and waits for."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from missions.context.strands import Strands
from missions.engine import children, codec, crashpoints
from missions.engine.branches import Wait, durable
from missions.engine.children import Spawn
from missions.engine.endings import child_signal
from missions.engine.registry import get_type
from missions.engine.verdict import Verdict
from missions.errors import ChildFailed, KeyReused, MisusedContext, SpawnRefused, StandfastError, Suspended
from missions.governance import Json
from missions.models import Kind, OnFailure, OnParentEnd, State


@dataclass(frozen=True, slots=True)
class ChildHandle:
    """A child, as `spawn` returns it. Plain data: it may be kept in results and in the state of a chapter."""

    uid: str
    type: str
    title: str
    key: str | None = None


class Relations(Strands):
    """The calls that start other missions and wait for their ends."""

    @durable
    async def spawn(
        self, type: str, input: Any, *, title: str = "", key: str | None = None,
        after: Sequence[ChildHandle | uuid.UUID | str] = (), on_failure: str = "fail", priority: int = 0,
        on_parent_end: str = "keep",
    ) -> ChildHandle:
        """Start a mission that goes on by itself; once, also where a crash comes between. `join` waits for its end.

        `after` names missions that have to end first, `on_failure` what to do where one of them fails (fail, start,
        hold). `on_parent_end="cancel"` cancels the child when this mission ends first. The same `key` on one timeline
        names one child. Raises UnknownType, InvalidInput; SpawnRefused where the start itself was refused.
        """
        path = self._here.path("spawn")
        checked = get_type(type).check_input(codec.load(codec.dump(input)))
        if on_parent_end not in OnParentEnd.values or on_failure not in OnFailure.values:
            raise MisusedContext("on_parent_end is keep or cancel; on_failure is fail, start or hold.")
        awaited = [_uid_of(one) for one in after]
        input_hash = codec.input_hash([type, checked, title, key, awaited])
        told: Json = {"type": type, "title": title or get_type(type).title, "key": key, "input": checked}
        entry = await self._run.recorded(path, input_hash, lambda: told)
        if entry is not None:
            return self._spawned(entry.kind, entry.payload) or self._run.unexpected(entry, path)
        claimed = self._run.claimed
        wanted = Spawn(
            parent_id=claimed.id, parent_uid=claimed.uid, started_by_id=claimed.started_by_id,
            timeline=claimed.timeline, chapter=claimed.chapter, path=path, type=type, input=checked, title=title,
            key=key, after=awaited, on_failure=on_failure, priority=priority, on_parent_end=on_parent_end,
            effects_off=claimed.effects_off, clearance=self._run.clearance,
            untrusted=tuple(sorted(self._run.untrusted)),
        )
        kind, payload = await self._start(wanted)
        await self._record(kind, path, payload, input_hash)
        handle = self._spawned(kind, payload)
        if handle is None:
            raise TypeError("a spawn records SPAWNED or STEP_FAILED")
        return handle

    async def _start(self, wanted: Spawn) -> tuple[Kind, Json]:
        title = wanted.title or get_type(wanted.type).title
        try:
            uid = await self._run.owner.in_database(children.start_child, wanted)
        except KeyReused as error:
            if wanted.key is not None:
                return Kind.STEP_FAILED, _refused(title, error)
            self._run.pause("divergence", f"{wanted.path!r} started a child before, with another type or input")
            raise Suspended from error
        except StandfastError as error:
            return Kind.STEP_FAILED, _refused(title, error)
        crashpoints.reach("child_started")
        handle = ChildHandle(str(uid), wanted.type, title, wanted.key)
        return Kind.SPAWNED, {
            "child": handle.uid, "type": handle.type, "title": handle.title, "key": handle.key,
            "on_parent_end": wanted.on_parent_end,
        }

    def _spawned(self, kind: str, payload: Json) -> ChildHandle | None:
        """The handle out of an entry; None where the entry is of another kind. Raises SpawnRefused."""
        if kind == Kind.STEP_FAILED:
            raise SpawnRefused(payload["error"]["message"])
        if kind != Kind.SPAWNED:
            return None
        return ChildHandle(payload["child"], payload["type"], payload["title"], payload["key"])

    @durable
    async def join(self, child: ChildHandle | uuid.UUID | str) -> Verdict:
        """Wait for a child's end, parked; its verdict. Joining it again gives the same.

        Raises ChildFailed where it failed, was cancelled or went on elsewhere, SpawnRefused where it is no child.
        """
        uid, title = _uid_of(child), child.title if isinstance(child, ChildHandle) else ""
        path, name = self._here.path("join"), child_signal(uid)
        input_hash, waiting = codec.input_hash([uid]), False
        while True:
            entry = await self._run.recorded(path, input_hash)
            if entry is not None and entry.kind in (Kind.SIGNAL, Kind.STEP_FAILED):
                return self._joined(entry.kind, entry.payload)
            if entry is not None:
                waiting = True
            elif not waiting:
                told = {"name": name, "child": uid, "title": title, "timeout_at": None}
                await self._record(Kind.AWAIT, path, told, input_hash)
                waiting = True
            elif (ended := await self._ended(uid, name, title)) is not None:
                await self._record(*_entry(ended, path), input_hash)
                return self._joined(*ended)
            else:
                await self._run.wait(path, Wait(label=name, signals=(name,)))

    def _joined(self, kind: str, payload: Json) -> Verdict:
        self._run.untrusted |= set((payload.get("payload") or {}).get("untrusted", ()))
        return _verdict(kind, payload)

    async def join_all(self, handles: Sequence[ChildHandle | uuid.UUID | str]) -> list[Verdict]:
        """Wait for the ends of several children; their verdicts in order.

        All of them end before this returns; if some failed, the first of these in order is raised.
        """
        return await self.gather(*(self.join(handle) for handle in handles))

    async def _ended(self, uid: str, name: str, title: str) -> tuple[Kind, Json] | None:
        """The entry for a child that has ended. The signal only wakes: what counts is how the child stands now."""
        while True:
            mail = self._run.inbox.take(name)
            try:
                end = await self._run.owner.in_database(children.end_of, self._run.claimed.id, uid)
            except SpawnRefused as error:
                return Kind.STEP_FAILED, _refused(title, error)
            if end is not None:
                seq = mail.seq if mail is not None else None
                told = {"name": name, "seq": seq, "child": uid, "title": title, "sender": "", "timed_out": False}
                return Kind.SIGNAL, {**told, "payload": asdict(end)}
            if not self._run.inbox.has(name):
                return None


def _entry(ended: tuple[Kind, Json], path: str) -> tuple[Kind, str, Json]:
    return ended[0], path, ended[1]


def _uid_of(child: ChildHandle | uuid.UUID | str) -> str:
    try:
        return str(uuid.UUID(child.uid if isinstance(child, ChildHandle) else str(child)))
    except ValueError:
        raise MisusedContext(f"{child!r} names no mission.") from None


def _refused(title: str, error: StandfastError) -> Json:
    fields = "; ".join(f"{one['field']}: {one['message']}" for one in getattr(error, "errors", ()))
    message = f"{codec.words(error)} {fields}".strip()
    return {"name": "spawn", "title": title, "error": {"type": error.code, "message": message}}


def _verdict(kind: str, payload: Json) -> Verdict:
    """What a join returns. Raises ChildFailed, SpawnRefused."""
    if kind == Kind.STEP_FAILED:
        raise SpawnRefused(payload["error"]["message"])
    end = payload["payload"]
    if end["state"] != State.COMPLETED:
        why = end["error"] or end["summary"] or "no reason was given"
        raise ChildFailed(f"The child {end['state']}: {why}", state=end["state"], error=end["error"])
    return Verdict(end["verdict"], summary=end["summary"], data=end["data"])
