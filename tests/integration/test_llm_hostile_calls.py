"""An LLM that calls tools with whatever it likes: it is told what is wrong, and the mission goes on."""

from __future__ import annotations

import json

import pytest

from missions.engine import starting
from tests import thinkers
from tests.live_worker import ended, worker
from tests.llm_servers import Asked, Raw

pytestmark = pytest.mark.django_db(transaction=True)

ARGUMENTS = {
    '{"order_id": "ORD-1"}': '"price":"12.00"',
    '{"order_id": NaN}': "not a finite number",
    '{"order_id": -1e999}': "not a finite number",
    '{"order_id": 10000000000000000000000000}': "more than 64 bits",
    f'{{"order_id": {"9" * 4000}}}': "more than 64 bits",
    '{"order_id": "a\\u0000b"}': "NUL",
    '{"order_id": "half \\ud83d"}': "json_invalid",
    f'{{"order_id": {"[" * 3000}{"]" * 3000}}}': "json_invalid",
    f'{{"order_id": {"[" * 150}{"]" * 150}}}': "nested deeper",
    '{"order_id": "ORD-1", "more": {"__class__": 1}}': "not permitted",
    "[1]": "do not fit",
    "order ORD-1, please": "json_invalid",
    "": "Field required",
}


def call(number: int, arguments: str, tool: str = "till-price") -> dict[str, object]:
    return {"id": "the same", "type": "function", "function": {"name": tool, "arguments": arguments}}


def test_calls_that_can_not_be_made_are_answered_one_by_one() -> None:
    calls = [call(number, arguments) for number, arguments in enumerate(ARGUMENTS)]
    calls += [call(0, "{}", "rm\x00 -rf /"), call(0, "{}", "n" * 50_000)]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]}

    def script(asked: Asked) -> Raw | str:
        return "12.00" if asked.turn else Raw(json.dumps(answer).encode())

    thinkers.version("scout", tools=thinkers.TOOLS)
    with thinkers.thinking(script) as llm, worker():
        mission = ended(starting.start("agent", {"agent": "scout", "goal": "What did ORD-1 cost?"})[0])
    assert mission.outcome.summary == "12.00", mission.outcome.error
    assert len(llm.requests) == 2
    told = [text for _, text in llm.requests[1].results]
    assert len(told) == len(calls)
    for (arguments, expected), text in zip(ARGUMENTS.items(), told, strict=False):
        assert expected in text, f"{arguments[:60]} → {text[:200]}"
    assert all("Unknown tool name" in text for text in told[len(ARGUMENTS):])
