"""What a tool is: its name, its promises, and what a call of it carries.

Pure data. What a tool function may raise: `TryLater` (certainly not done, call again), `ToolFailed` (a declared error,
certainly changed nothing), `OutcomeUnknown` (may have happened). Anything else counts as unknown where the tool writes.
"""

from __future__ import annotations

import datetime as dt
import string
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from missions.governance import EffectClass, Json, RetrySafety
from missions.tools.arguments import Arguments
from missions.tools.calls import Opener, no_artifacts, no_heartbeat, no_workspace

SENTENCE_CHARACTERS = 500
VALUE_CHARACTERS = 80
MISSING = "…"


@dataclass(slots=True, kw_only=True)
class ToolCall:
    """One call of a tool; the first argument of a tool function."""

    idempotency_key: str = ""  # empty for reads
    deadline: dt.datetime  # aware, on the database clock; the other side must not act after it
    mission_id: str = ""  # the mission's uid
    attempt: int = 0
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


ToolFunction = Callable[..., Any]  # (call, **args) -> result, or an awaitable of it where `is_async`
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
    sentence: str = ""  # a template over the arguments: "Refund {amount} for order {order_id}"
    data_class: str = ""  # `missions.data_classes`
    cost: str = ""  # the argument that holds what it moves or costs; empty: the usual ones, where it writes
    timeout_seconds: float = 30.0
    heartbeat_timeout_seconds: float | None = None  # the longest silence of a call; None: it need not report
    workspace: bool = False  # whether its calls get the mission's folder
    key_ttl_seconds: float | None = None  # how long the other side remembers a key; None: for good
    returns: Any = None  # the type to decode a result into; None leaves it plain
    origin: str = ""  # where it was defined
    learn: Callable[[], Awaitable[None]] | None = None  # fetches the schema from the tool's server

    @property
    def args_schema(self) -> Json:
        """JSON Schema (draft 2020-12) of the arguments; `{"type": "object"}` while the server was not asked yet."""
        return self.arguments.schema

    def check_args(self, args: Mapping[str, Any]) -> Json:
        """The arguments as plain JSON, defaults left out. Raises InvalidInput with errors by field."""
        return self.arguments.check(args)

    async def ready(self) -> None:
        """Know the arguments' schema, asking the server where it must. Raises TryLater, ToolFailed."""
        if self.learn is not None and not self.arguments.known:
            await self.learn()

    def describe(self, args: Mapping[str, Any]) -> str:
        """The sentence for these arguments. Never fails: what is missing reads "…"."""
        try:
            text = _LENIENT.vformat(self.sentence or self.title, (), args)
        except ValueError:
            text = self.title
        return text[:SENTENCE_CHARACTERS]

    def undo_args(self, args: Mapping[str, Any], result: Any) -> Json:
        """The arguments of this tool as the compensation of an effect called with `args` that answered `result`.

        Each argument this tool takes is looked up by name, in the result first; what is in neither is left out.
        """
        pool = {**args, **(result if isinstance(result, Mapping) else {})}
        takes = self.args_schema.get("properties")
        return pool if takes is None else {name: pool[name] for name in takes if name in pool}


class _Lenient(string.Formatter):
    """Formats plain `{name}` fields; what is missing or can not be formatted never raises."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        return kwargs.get(field_name, MISSING), field_name  # no attribute or item access

    def format_field(self, value: Any, format_spec: str) -> str:
        try:
            text = str(super().format_field(value, format_spec))
        except (TypeError, ValueError):
            text = str(value)
        text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + MISSING


_LENIENT = _Lenient()
