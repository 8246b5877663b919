"""Changing the code of missions that are under way: a marker in the journal says which code a mission runs."""

from __future__ import annotations

from missions.context.base import Calls
from missions.engine import codec
from missions.engine.branches import durable
from missions.errors import MisusedContext
from missions.models import Kind


class Patches(Calls):
    """The calls that tell old code from new.

    A patch is decided once a mission, by the first call of its name, and in the first branch: the same question in
    branches side by side would be answered in another order on replay.
    """

    @durable
    async def patched(self, name: str) -> bool:
        """Whether this mission runs the code with the patch: True for one that comes here fresh, and ever after.

        False where the record goes on without the marker, since the mission has passed here with the old code; in the
        same attempt it stays False. Ask in the first branch; what was answered there may be asked anywhere.
        """
        here, run = self._here, self._run
        if name in run.patches:
            return run.patches[name]
        if here is not self._root:
            raise MisusedContext(f"Ask for the patch {name!r} in the mission's first branch, before any other.")
        path, input_hash = here.path(f"patched:{name}"), codec.input_hash([name])
        following = run.following
        run.patches[name] = following is None or following.path == path
        if run.patches[name] and await run.recorded(path, input_hash) is None:
            await self._record(Kind.PATCHED, path, {"name": name, "on": True}, input_hash)
        return run.patches[name]

    @durable
    async def deprecate_patch(self, name: str) -> None:
        """Stand where `patched` stood once no mission runs the old code: keeps the journals with the marker valid."""
        here, run = self._here, self._run
        if here is not self._root:
            raise MisusedContext(f"Deprecate the patch {name!r} where it was asked for, in the mission's first branch.")
        path, following = here.path(f"patched:{name}"), run.following
        if following is not None and following.path == path:
            await run.recorded(path, codec.input_hash([name]))
