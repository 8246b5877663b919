"""Waiting for a resource on an MCP server to change."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

from missions.context.waiting import Waiting
from missions.effects.acting import mission_after
from missions.effects.call import ToolRun
from missions.engine import codec, resources
from missions.engine.branches import durable
from missions.errors import UnknownTool
from missions.governance import Json
from missions.tools import resource_reads
from missions.tools.spec import ToolSpec


class Resources(Waiting):
    """The call that waits for what happens elsewhere."""

    @durable
    async def wait_for_mcp(
        self, server: str, resource: str, *, known: str | None = None,
        timeout: float | dt.timedelta | None = None,  # noqa: ASYNC109  (a durable one)
    ) -> Json | None:
        """Wait until a resource of an MCP server is another than is known; what it is then, or None after `timeout`.

        `known` is the `digest` of an earlier answer: it answers at once where the resource has changed since. Without
        one, what it is at the beginning of the wait is known. The answer is `{server, resource, digest, size,
        contents}`; of more than 256 KiB, or what can not be read any more, `contents` is None. Reading is ruled on as
        the tool `SERVER.resources.read`. Raises what a reading tool may: Denied, ToolFailed, InvalidInput.
        """
        path = self._here.path(f"read:{server}")
        spec = await self._reading(server)
        args, actor = {"resource": resource, "known": known or ""}, mission_after(self._run.untrusted)
        found: Json = await ToolRun(self._run, path, spec, args, actor=actor).perform()
        if found["changed"]:
            return found["told"]  # type: ignore[no-any-return]
        return await self._changed(server, resource, str(found["digest"]), timeout)

    async def _reading(self, server: str) -> ToolSpec:
        """The tool that reads there; a server that this worker has not heard of may have come a moment ago."""
        with suppress(UnknownTool):
            known = resource_reads.spec(server)
            if not known.is_gone:
                return known
        found: ToolSpec = await self._run.owner.in_database(resource_reads.current_spec, server)
        self._run.check()
        return found

    async def _changed(
        self, server: str, resource: str, known: str, timeout: float | dt.timedelta | None  # noqa: ASYNC109
    ) -> Json | None:
        path, claimed = self._here.path(f"mcp:{server}"), self._run.claimed
        name = resources.name_of(claimed.uid, claimed.timeline, claimed.chapter, path, known)
        place = resources.Place(mission_id=claimed.id, attempt=claimed.attempt, path=path)

        async def note(name: str) -> None:
            await self._run.owner.in_database(resources.note, place, name, server, resource, known)

        told = {"name": name, "server": server, "resource": resource, "known": known}
        input_hash = codec.input_hash([server, resource, known])
        return await self._signalled(path, input_hash, told, timeout, f"mcp:{server} {resource}", note)
