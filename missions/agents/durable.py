"""The library's durable execution over a mission's journal: one kind of operation, a request to an LLM.

Public names of `pydantic_ai.durable_exec` only, at the version that pyproject.toml pins; docs/agents.md says how to
move to another. Tools are no operations here: the deferred-tool handler has them called by the engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    CallableOperationBackend,
    DurabilityCodec,
    DurabilityEngineSpec,
    DurableOperationBackend,
    DurableOperationId,
    JournalOperationNamer,
    ModelRequestId,
    RoleBasedOperationConfig,
    conversation_id_from_run_id,
    replay_scope,
)
from pydantic_ai.tools import RunContext

from missions.errors import AgentFailed

if TYPE_CHECKING:
    from missions.agents.loop import Loop

Config = dict[str, Any]
NO_CONFIG: Config = {}


class RecordCodec(DurabilityCodec):
    """JSON; a record that can not be read is the record's fault, not an answer that the LLM should mend."""

    def dump(self, tp: Any, value: Any) -> Any:
        """The value as plain JSON."""
        return JSON_CODEC.dump(tp, value)

    def load(self, tp: Any, payload: Any) -> Any:
        """The value again. Raises AgentFailed."""
        try:
            return JSON_CODEC.load(tp, payload)
        except ValidationError as error:
            raise AgentFailed(f"A recorded message can not be read by this version of the library: {error}") from error


class JournalBackend(CallableOperationBackend[Config]):
    """Has each operation done by the branch of the mission, through the loop's bridge."""

    def __init__(self, name: str, loop: Loop) -> None:
        config = RoleBasedOperationConfig(model=NO_CONFIG, event=NO_CONFIG, capability=NO_CONFIG, tool=NO_CONFIG)
        super().__init__(namer=JournalOperationNamer(name), config=config)
        self._loop = loop

    async def execute(
        self, *, operation_id: DurableOperationId, name: str, body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...], config: Config,
    ) -> object:
        """One request to an LLM, from the record or made now. Raises AgentFailed for any other operation."""
        if not isinstance(operation_id, ModelRequestId) or operation_id.streaming:
            raise AgentFailed(f"The library asks for an operation that missions do not record: {name}.")
        return await self._loop.think(name, cache_key, body)


class JournalDurability(BaseDurabilityCapability[Any]):
    """What makes an agent of the library durable in a mission."""

    engine_spec = DurabilityEngineSpec(
        engine_name="Standfast", durable_unit_noun="entry", durable_unit_plural="entries",
        durable_container_noun="mission", codec=RecordCodec(),
    )

    def __init__(self, name: str, loop: Loop) -> None:
        self._backend, self._loop = JournalBackend(name, loop), loop
        super().__init__()

    def get_durable_operation_backend(self) -> DurableOperationBackend[Any]:
        """The journal."""
        return self._backend

    @property
    def in_durable_context(self) -> bool:
        """Always: agents run in missions only."""
        return True

    def get_default_run_id(self) -> str | None:
        """The same on every replay."""
        return self._loop.run_id

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """The same on every replay."""
        return conversation_id_from_run_id(run_id)

    async def wrap_run(self, ctx: RunContext[Any], *, handler: Callable[[], Awaitable[Any]]) -> Any:
        """Run; what replay only repeats is told to nobody."""
        with replay_scope():
            return await super().wrap_run(ctx, handler=handler)
