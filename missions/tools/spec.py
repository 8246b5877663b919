"""What a tool is: its name, its promises, and what a call of it carries.

Pure data. What a tool function may raise: `TryLater` (certainly not done, call again), `ToolFailed` (a declared error,
certainly changed nothing), `OutcomeUnknown` (may have happened). Anything else counts as unknown where the tool writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from missions.engine.sentences import filled
from missions.engine.tool_forms import Sighting
from missions.governance import EffectClass, Json, RetrySafety
from missions.tools.arguments import Arguments
from missions.tools.calls import Opener, no_artifacts, no_heartbeat, no_workspace

SENTENCE_CHARACTERS = 500


@dataclass(slots=True, kw_only=True)
class ToolCall:
    """One call of a tool; the first argument of a tool function."""

    idempotency_key: str = ""  # empty for reads
    deadline: dt.datetime  # aware, on the database clock; the other side must not act after it
    mission_id: str = ""  # the mission's uid
    attempt: int = 0
    agent: str = ""  # the agent that calls it; empty where the mission's own code does
    egress: tuple[str, ...] = ()  # the places ("host:port") that what runs in isolation may reach for this agent
    heartbeat: Callable[..., None] = no_heartbeat  # heartbeat(progress, cursor); from any thread
    resume_cursor: Any = None  # the last cursor that an earlier, cut-off call reported
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    open_artifact: Opener = field(default=no_artifacts, repr=False)  # open_artifact(ref) -> a binary stream
    find_workspace: Callable[[], Path] = field(default=no_workspace, repr=False)

    @property
    def workspace(self) -> Path:
        """The mission's own folder, for tools that are declared with `workspace=True`."""
        return self.find_workspace()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What the other side says of a call: did it happen?"""

    found: bool | None  # None: the probe can not tell
    result: Any = None  # what the call would have answered
    reference: str = ""  # the other side's name for it
    detail: str = ""
    final: bool = False  # with None: no later probe can tell either


ToolFunction = Callable[..., Any]  # (call, **args) -> result, or an awaitable of it where `is_async`
Secrets = Mapping[str, str] | Callable[[Json], Mapping[str, str]]
ProbeFunction = Callable[..., Awaitable[ProbeResult]]  # (call, **args)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A registered tool. `function` and `probe` take the plain JSON that `check_args` returns."""

    name: str
    function: ToolFunction
    arguments: Arguments
    is_async: bool = True  # else the effects layer runs it in a thread
    effect: EffectClass = EffectClass.READ
    retry_safety: RetrySafety = RetrySafety.MANUAL
    probe: ProbeFunction | None = None
    compensate: str = ""  # the name of the tool that undoes it
    title: str = ""  # business words: "Issue refund"
    description: str = ""  # for whoever chooses among tools; never a server's word that nobody vouches for
    sentence: str = ""  # a template over the arguments: "Refund {amount} for order {order_id}"
    data_class: str = ""  # `missions.data_classes`
    for_agents: bool = True  # whether agents are offered it; else only a mission's own code, or people, call it
    untrusted: bool = False  # whether what it answers was written by somebody outside our trust
    cost: str = ""  # the argument that holds what it moves or costs; empty: the usual ones, where it writes
    timeout_seconds: float = 30.0
    heartbeat_timeout_seconds: float | None = None  # the longest silence of a call; None: it need not report
    workspace: bool = False  # whether its calls get the mission's folder
    secrets: Secrets = field(default_factory=dict)  # name → reference, or a function of the arguments that says so
    key_ttl_seconds: float | None = None  # how long the other side remembers a key; None: for good
    returns: Any = None  # the type to decode a result into; None leaves it plain
    origin: str = ""  # where it was defined
    is_gone: bool = False  # whether its server was taken away: only what is on record knows it any more
    sight: Callable[[], Awaitable[Sighting]] | None = None  # how the tool's server offers it now
    adopt: Callable[[Sighting], None] | None = None  # takes the schema, where it was accepted

    @property
    def args_schema(self) -> Json:
        """JSON Schema (draft 2020-12) of the arguments; `{"type": "object"}` while the server was not asked yet."""
        return self.arguments.schema

    def check_args(self, args: Mapping[str, Any]) -> Json:
        """The arguments as plain JSON, defaults left out. Raises InvalidInput with errors by field."""
        return self.arguments.check(args)

    def secrets_of(self, args: Json) -> Mapping[str, str]:
        """The secrets that a call with these arguments needs: name → reference."""
        return self.secrets(args) if callable(self.secrets) else self.secrets

    async def ready(self) -> None:
        """Know the arguments' schema, asking the server where it must. Raises TryLater, ToolFailed."""
        if self.sight is not None and self.adopt is not None and not self.arguments.known:
            self.adopt(await self.sight())

    def describe(self, args: Mapping[str, Any]) -> str:
        """The sentence for these arguments. Never fails: what is missing reads "…"."""
        return filled(self.sentence or self.title, args, otherwise=self.title)[:SENTENCE_CHARACTERS]

    def undo_args(self, args: Mapping[str, Any], result: Any) -> Json:
        """The arguments of this tool as the compensation of an effect called with `args` that answered `result`.

        Each argument this tool takes is looked up by name, in the result first; what is in neither is left out.
        """
        pool = {**args, **(result if isinstance(result, Mapping) else {})}
        takes = self.args_schema.get("properties")
        return pool if takes is None else {name: pool[name] for name in takes if name in pool}
