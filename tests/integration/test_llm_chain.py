"""Questions over real HTTP: both shapes, tools, streams, keys, many loops, and what travels in an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessagesTypeAdapter, ToolCallPart

from missions.errors import LlmRefused, LlmWait
from missions.llm import accounts, chain, transport
from missions.secrets import redacting, vault
from tests import llm_servers
from tests.llm_asking import ask, configure, listen
from tests.llm_servers import Call, Held, Raw, Say, turns

APIS = ("openai", "anthropic")
LOOK = Say("Let me see.", calls=(Call("orders_get", {"order_id": "ORD-1"}), Call("orders_get", {"order_id": "ORD-2"})))
PRICES = "{'*/*': {input: 10, output: 100, currency: EUR}}"


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    await chain.close()
    redacting.forget()


@pytest.mark.parametrize("api", APIS)
async def test_an_agents_loop_calls_tools_and_answers(api: str, settings: Any) -> None:
    with llm_servers.serve(turns(LOOK, "Both paid."), nonces=True) as server:
        configure(settings, server.provider("a", api), default="a/x")
        agent = Agent(chain.model_for([]))
        agent.tool_plain(lambda order_id: f"{order_id} is paid", name="orders_get")
        result = await agent.run("Are they paid?")
        first, last = server.requests
        assert result.output == f"Both paid. [{server.given[1]}]"
        assert first.tools == ["orders_get"] and (first.turn, last.turn) == (0, 1)
        assert [text for _, text in last.results] == ["ORD-1 is paid", "ORD-2 is paid"]
        assert server.given[0] in last.text, "the answer goes back as it came"


@pytest.mark.parametrize("api", APIS)
async def test_a_streamed_answer_is_the_same_answer(api: str, settings: Any) -> None:
    with llm_servers.serve(Say("Let me see.", calls=LOOK.calls, usage=(40, 9))) as server:
        configure(settings, server.provider("a", api), prices=PRICES)
        whole = await ask("a/x", tools=True)
        streamed, events = await listen("a/x", tools=True)
        assert events > 5
        assert streamed.text == whole.text == "Let me see."
        calls = [[p.args_as_dict() for p in r.parts if isinstance(p, ToolCallPart)] for r in (whole, streamed)]
        assert calls[0] == calls[1] == [{"order_id": "ORD-1"}, {"order_id": "ORD-2"}]
        assert accounts.reckon(streamed) == accounts.reckon(whole)
        assert accounts.reckon(whole).cost == Decimal("0.0013")


async def test_a_reckoning_survives_the_journal_and_later_prices(settings: Any) -> None:
    said = Say("Paid.", usage=(1000, 10))
    with llm_servers.serve(llm_servers.rate_limited()) as busy, llm_servers.serve(said) as free:
        configure(settings, busy.provider("a"), free.provider("b", "anthropic"), prices=PRICES)
        response = await ask("a/x", "b/y")
    written = ModelMessagesTypeAdapter.dump_json([response])
    configure(settings)
    found = accounts.reckon(ModelMessagesTypeAdapter.validate_json(written)[0])  # type: ignore[arg-type]
    assert found == accounts.reckon(response) == accounts.Reckoning(
        provider="b", model="y", member="b/y", input_tokens=1000, output_tokens=10, cost=Decimal("0.011"),
        currency="EUR", priced=True, passed_over=({"member": "a/x", "why": "429 Too many requests"},),
    )  # fmt: skip


async def test_a_chain_goes_on_in_mid_conversation_with_another_shape(settings: Any) -> None:
    """The first provider dies after its turn; the second gets the whole history and goes on."""
    with llm_servers.serve(turns("Done.", "Done."), nonces=True) as second:
        with llm_servers.serve(turns(LOOK, "never reached")) as first:
            configure(settings, first.provider("a"), second.provider("b", "anthropic"))
            agent = Agent(chain.model_for(["a/x", "b/y"]))

            @agent.tool_plain
            def orders_get(order_id: str) -> str:
                first.script = lambda asked: llm_servers.overloaded()
                return "paid"

            result = await agent.run("Are they paid?")
        assert result.output.startswith("Done.")
        assert len(first.requests) == 2 and len(second.requests) == 1, "no turn was repeated"
        assert [text for _, text in second.requests[0].results] == ["paid", "paid"]
        members = [accounts.reckon(message).member for message in result.all_messages() if message.kind == "response"]
        assert members == ["a/x", "b/y"]


async def test_only_those_behind_a_member_are_asked(settings: Any) -> None:
    with llm_servers.serve("Paid.") as server:
        configure(settings, server.provider("a"), server.provider("b"), server.provider("c"))
        assert accounts.reckon(await ask("a/x", "b/x", "c/x", after="a/x")).member == "b/x"
        assert accounts.reckon(await ask("a/x", "b/x", after="gone/x")).member == "a/x"
        with pytest.raises(LlmRefused):
            chain.model_for(["a/x", "b/x"], after="b/x")


async def test_a_server_that_counts_no_tokens_has_them_estimated(settings: Any) -> None:
    with llm_servers.serve(Say("Paid, " * 100, usage=(0, 0))) as server:
        configure(settings, server.provider("a"), prices=PRICES)
        found = accounts.reckon(await ask("a/x", text="How much? " * 100))
        assert found.estimated and found.input_tokens > 200 and found.output_tokens > 100 and found.cost > 0


async def test_what_an_llm_says_can_be_stored(settings: Any) -> None:
    said = (
        b'{"id": "1", "object": "chat.completion", "created": 1, "model": "x", "choices": [{"index": 0,'
        b' "finish_reason": "stop", "message": {"role": "assistant", "content": "a\\u0000b \\ud83d c"}}]}'
    )
    with llm_servers.serve(Raw(said)) as server:
        configure(settings, server.provider("a"))
        assert (await ask("a/x")).text == "a\ufffdb \ufffd c"


async def _once() -> str:
    """A question in a loop of its own."""
    try:
        return (await ask("a/x")).text or ""
    finally:
        await chain.close()


class TestKeys:
    """A key is a reference until the last moment, and goes only where its provider is."""

    @pytest.mark.parametrize("api", APIS)
    async def test_only_the_providers_own_key_is_sent(
        self, api: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
            monkeypatch.setenv(name, "sk-of-somebody-else")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{llm_servers.nobody()}")
        (tmp_path / "key").write_text("sk-mine-123456\n")
        with llm_servers.serve("Paid.") as server:
            configure(settings, server.provider("a", api, key=f"file:{tmp_path / 'key'}"), server.provider("b", api))
            await ask("a/x")
            await ask("b/x")
            keyed, keyless = (asked.headers for asked in server.requests)
        assert (keyed.get("authorization") or keyed.get("x-api-key")) in ("Bearer sk-mine-123456", "sk-mine-123456")
        assert "authorization" not in keyless and "x-api-key" not in keyless
        assert "somebody-else" not in str(keyed) + str(keyless)

    async def test_a_key_that_was_refused_is_looked_up_again(self, settings: Any, tmp_path: Path) -> None:
        key = tmp_path / "key"
        key.write_text("sk-old-123456")

        def script(asked: llm_servers.Asked) -> llm_servers.Answer:
            return "Paid." if "new" in asked.headers["authorization"] else llm_servers.unauthorised()

        with llm_servers.serve(script) as server:
            configure(settings, server.provider("a", key=f"file:{key}"))
            with pytest.raises(LlmRefused, match="401"):
                await ask("a/x")
            key.write_text("sk-new-123456")
            assert (await ask("a/x")).text == "Paid."

    async def test_a_missing_key_is_named_and_nothing_is_sent(self, settings: Any) -> None:
        with llm_servers.serve("Paid.") as server:
            configure(settings, server.provider("a", key="env:NOT_SET_ANYWHERE"))
            with pytest.raises(LlmRefused, match="env:NOT_SET_ANYWHERE"):
                await ask("a/x")
            assert server.requests == []

    @pytest.mark.django_db(transaction=True)
    def test_a_key_may_lie_in_the_database(self, settings: Any) -> None:
        vault.put("llm", "sk-in-the-database", by="olivia")
        with llm_servers.serve("Paid.") as server:
            configure(settings, server.provider("a", key="db:llm"))
            asyncio.run(_once())
            assert server.requests[0].headers["authorization"] == "Bearer sk-in-the-database"


class TestConnections:
    """Hundreds of questions share what one would use."""

    async def test_many_wait_at_once_over_one_client(self, settings: Any) -> None:
        with llm_servers.serve(Held("Paid.")) as server:
            configure(settings, server.provider("a"))
            asking = [asyncio.create_task(ask("a/x", text=f"Question {n}?")) for n in range(60)]
            await asyncio.to_thread(server.wait_for, 60)
            server.release()
            assert {response.text for response in await asyncio.gather(*asking)} == {"Paid."}
            assert len(server.requests) == 60

    def test_loops_do_not_share_connections(self, settings: Any) -> None:
        with llm_servers.serve("Paid.") as server:
            configure(settings, server.provider("a"))
            assert [asyncio.run(_once()) for _ in range(3)] == ["Paid."] * 3

    async def test_a_proxy_is_used_where_it_is_named(self, settings: Any) -> None:
        with llm_servers.serve("Paid.") as proxy:
            gone = f"openai+http://127.0.0.1:{llm_servers.nobody()}/v1"
            configure(settings, f"far={gone}?proxy=http://127.0.0.1:{proxy.port}", f"near={gone}")
            assert (await ask("far/x")).text == "Paid."
            with pytest.raises(LlmWait):
                await ask("near/x")

    async def test_questions_that_come_together_take_turns(self) -> None:
        """Each pass of the loop deals with one, so that others get their pass in between."""
        passes = 0

        async def others() -> None:
            nonlocal passes
            while True:
                passes += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(others())
        await asyncio.gather(*(transport.turn() for _ in range(50)))
        counting.cancel()
        assert passes >= 50

    def test_certificates_are_read_once_and_only_for_tls(self) -> None:
        assert transport.tls(None) is transport.tls(None) and transport.tls(None).get_ca_certs() == []
        assert transport.tls("") is transport.tls("") and transport.tls("").get_ca_certs()


class Order(BaseModel):
    """What an agent is to return."""

    order_id: str
    paid: bool


@pytest.mark.parametrize("api", APIS)
async def test_an_agent_may_return_a_shape(api: str, settings: Any) -> None:
    def script(asked: llm_servers.Asked) -> llm_servers.Answer:
        return Say(calls=(Call(asked.tools[0], {"order_id": "ORD-1", "paid": True}),))

    with llm_servers.serve(script) as server:
        configure(settings, server.provider("a", api))
        result = await Agent(chain.model_for(["a/x"]), output_type=Order).run("Is it paid?")
        assert result.output == Order(order_id="ORD-1", paid=True)
