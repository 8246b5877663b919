"""Steps and tools."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from missions.context.base import Calls
from missions.effects.acting import mission_after
from missions.effects.call import ToolRun
from missions.effects.steps import UNLIMITED, Span, StepRun, limits_of
from missions.engine import codec
from missions.engine.branches import durable
from missions.engine.verdict import RetryPolicy
from missions.errors import UnknownTool
from missions.governance import Json
from missions.tools.learning import current_tool
from missions.tools.registry import get_tool
from missions.tools.spec import ToolSpec

ONCE = RetryPolicy()


class Work(Calls):
    """The calls that do something."""

    @durable
    async def step(
        self, name: str, function: Callable[..., Any], *args: Any, retry: RetryPolicy = ONCE,
        timeout: Span | None = None, heartbeat_timeout: Span | None = None, **kwargs: Any,  # noqa: ASYNC109
    ) -> Any:
        """Run a function once and return its recorded result, in the type that it declares.

        A step that a crash cut off before its record runs again, so it must not change the world: tools do that.
        Synchronous functions run in a thread. A try that takes longer than `timeout`, or whose heartbeats are further
        apart than `heartbeat_timeout` (seconds or timedelta), counts as failed. Raises StepFailed once the tries are
        used up.
        """
        spans = timeout, heartbeat_timeout
        limits = UNLIMITED if spans == (None, None) else limits_of(*spans)
        path = self._here.path(name)
        return await StepRun(self._run, path, name, function, args, kwargs, retry, limits).perform()

    @durable
    async def tool(self, name: str, /, **args: Any) -> Any:
        """Call a tool through the gate; its result, in the type that the tool declares.

        May park the mission for a decision, a rate limit or an effect in doubt. Raises Denied, Rejected, Expired,
        ChangesRequested, ToolFailed, EffectNotDone, ResultUnusable, InvalidInput, UnknownTool.
        """
        plain: Json = codec.load(codec.dump(args))
        actor = mission_after(self._run.untrusted)
        path = self._here.path(name)
        return await ToolRun(self._run, path, await self._spec(name), plain, actor=actor).perform()

    async def _spec(self, name: str) -> ToolSpec:
        """The tool; one that this worker has not heard of, or only that it went, may have come a moment ago."""
        with suppress(UnknownTool):
            known = get_tool(name)
            if not known.is_gone:
                return known
        found: ToolSpec = await self._run.owner.in_database(current_tool, name)
        self._run.check()
        return found
