"""A real, small LLM answers without a network: text, a stream, JSON by a grammar. What it says is toy talk."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.settings import ModelSettings

from missions.llm import accounts, chain
from tests import small_llm
from tests.llm_asking import configure

pytestmark = pytest.mark.skipif(not small_llm.INSTALLED, reason="no small LLM here: requirements-llm.lock")
SHORT = ModelSettings(max_tokens=16, temperature=0.0, seed=1)


class Colour(BaseModel):
    """What is asked of it as JSON."""

    name: Literal["red", "green", "blue"]
    warm: bool


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with small_llm.running() as found:
        yield found


@pytest.fixture
async def agent(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Agent[None, str]]:
    _loopback_only(monkeypatch)
    prices = "{'small/*': {input: 1, output: 1}}"
    configure(settings, f"small=openai+{url}?seconds=60", default="small/smollm2", prices=prices)
    yield Agent(chain.model_for([]), model_settings=SHORT)
    await chain.close()


async def test_it_answers_in_words_and_counts_its_tokens(agent: Agent[None, str]) -> None:
    result = await agent.run("Say hello.")
    found = accounts.reckon(result.response)
    assert result.output.strip()
    assert found.member == "small/smollm2" and found.input_tokens > 0 and 0 < found.output_tokens <= 16
    assert found.cost > 0 and not found.estimated


async def test_it_streams(agent: Agent[None, str]) -> None:
    async with agent.run_stream("Count to five.") as streamed:
        parts = [part async for part in streamed.stream_text(delta=True, debounce_by=None)]
    assert len(parts) > 2 and "".join(parts).strip()
    assert accounts.reckon(streamed.response).output_tokens > 0


async def test_it_writes_json_by_a_grammar(agent: Agent[None, str]) -> None:
    roomy = ModelSettings(max_tokens=64)
    result = await agent.run("Describe fire.", output_type=NativeOutput(Colour), model_settings=roomy)
    assert isinstance(result.output, Colour)


def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1"), f"reached for {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
