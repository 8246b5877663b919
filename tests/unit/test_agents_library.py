"""The library under the agents: the names of its operations are those that this version records, no more."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pydantic_ai
import pytest
from pydantic_ai.durable_exec import (
    DurableOperationId,
    EventStreamHandlerId,
    JournalOperationNamer,
    ModelRequestId,
    ToolsetCallToolId,
    ToolsetGetToolsId,
)
from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart

from missions.agents.durable import JournalDurability
from missions.agents.loop import digest_of

ROOT = Path(__file__).parents[2]
NAMES: list[tuple[DurableOperationId, str]] = [
    (ModelRequestId(model_name="chain"), "scout__model.request"),
    (ModelRequestId(model_name="chain", streaming=True), "scout__model.request_stream"),
    (EventStreamHandlerId(), "scout__event_stream_handler"),
    (ToolsetGetToolsId(toolset_kind="function", toolset_id="t"), "scout__function_toolset__t.get_tools"),
    (ToolsetCallToolId(toolset_kind="mcp", toolset_id="t"), "scout__mcp_server__t.call_tool"),
]


def test_library_is_the_one_that_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pin,) = [one for one in project["dependencies"] if one.startswith("pydantic-ai")]
    assert pin == f"pydantic-ai-slim[anthropic,openai]=={pydantic_ai.__version__}"


@pytest.mark.parametrize(("operation", "name"), NAMES, ids=[name for _, name in NAMES])
def test_operations_have_the_names_that_records_know(operation: DurableOperationId, name: str) -> None:
    assert JournalOperationNamer("scout").operation_name(operation) == name


def test_adapter_uses_public_names_only() -> None:
    for path in ("durable.py", "loop.py"):
        source = (ROOT / "missions" / "agents" / path).read_text()
        imported = [line for line in source.splitlines() if "pydantic_ai" in line and "import" in line]
        assert imported and not [line for line in imported if "._" in line or "import _" in line]
    assert JournalDurability.engine_spec.engine_name == "Standfast"


def test_digest_of_a_request_knows_its_words_and_not_its_time() -> None:
    def request(text: str) -> ModelRequest:
        return ModelRequest(parts=[UserPromptPart(text), ToolReturnPart("till", {"a": 1}, "t1c0")])

    assert digest_of(request("Go.")) == digest_of(request("Go."))
    assert digest_of(request("Go.")) != digest_of(request("Stop."))
    # What is recorded has to be come to again for as long as missions live: this value may not change.
    assert digest_of(ModelRequest(parts=[UserPromptPart("Go.")])) == (
        "ed7aaf248b4121890b3043d3f7288915b0e74dd7ff7b907c158cccb43980e32a"
    )
