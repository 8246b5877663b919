"""The demo payment server over the real wire: what it posts, what it refuses, and how it misbehaves when told to."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import signal
import sqlite3
import sys
import urllib.error
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from missions.errors import OutcomeUnknown, ToolFailed, TryLater
from missions.library.payments.__main__ import main
from missions.tools import catalogue, mcp_client
from missions.tools.registry import ToolCall, ToolSpec
from missions.tools.server_file import read
from tests.payment_server import ROOT, PaymentServer

orders = itertools.count(1001)
keys = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaymentServer]:
    server = PaymentServer(tmp_path_factory.mktemp("ledger"))
    yield server
    assert server.stop() == 0, "SIGTERM is a clean end"


@pytest.fixture
def server(shared: PaymentServer) -> Iterator[PaymentServer]:
    yield shared
    shared.set(dedup=True, slow=0, fail=0, fail_with=503, timeout_after_posting=0, die_after_posting=0, flaky=0)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaymentServer]:
    """A server for tests that kill it; each of them leaves it running."""
    server = PaymentServer(tmp_path_factory.mktemp("mortal"))
    yield server
    if server.process.poll() is None:
        server.stop(signal.SIGKILL)


@pytest.fixture(autouse=True)
async def closed_links() -> AsyncIterator[None]:
    yield
    await mcp_client.close()


def an_order() -> str:
    return f"ORD-{next(orders)}"


def a_key() -> str:
    return f"key-{next(keys)}"


def a_call(key: str = "", seconds: float = 30) -> ToolCall:
    return ToolCall(idempotency_key=key, deadline=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds))


def a_tool(server: PaymentServer, name: str, **promises: Any) -> ToolSpec:
    described = server.server()
    return catalogue.spec(described, name, entry=described.entry(name).model_copy(update=promises))


async def refund(
    server: PaymentServer, key: str, order: str, amount: str = "9.00", *, seconds: float = 10
) -> dict[str, Any]:
    spec = a_tool(server, "payments.refund", timeout=seconds)
    receipt: dict[str, Any] = await spec.function(a_call(key), order_id=order, amount=amount)
    return receipt


async def ask(server: PaymentServer, name: str, **args: Any) -> Any:
    return await a_tool(server, name).function(a_call(), **args)


async def test_refund_is_posted_and_shows_in_order_and_history(server: PaymentServer) -> None:
    order = an_order()
    receipt = await refund(server, a_key(), order, "900")
    assert (receipt["amount"], receipt["currency"], receipt["kind"]) == ("900.00", "GBP", "refund")
    found = await ask(server, "orders.get", order_id=order)
    assert (found["paid"], found["refunded"], found["refundable"]) == ("1500.00", "900.00", "600.00")
    history = await ask(server, "payments.history", order_id=order)
    assert [item["kind"] for item in history["payments"]] == ["payment", "refund"]
    assert history["payments"][1] == receipt


async def test_same_key_gets_the_first_answer_and_posts_nothing(server: PaymentServer) -> None:
    order, key = an_order(), a_key()
    first = await refund(server, key, order)
    assert await refund(server, key, order) == first
    assert server.refunds(order) == ["9.00"]
    assert server.requests(key) == 2


async def test_same_key_with_other_arguments_is_refused(server: PaymentServer) -> None:
    order, key = an_order(), a_key()
    await refund(server, key, order)
    with pytest.raises(ToolFailed) as caught:
        await refund(server, key, order, "9.01")
    assert caught.value.facts["code"] == "key_reused"
    assert server.refunds(order) == ["9.00"]


async def test_without_deduplication_each_call_posts(server: PaymentServer) -> None:
    server.set(dedup=False)
    order, key = an_order(), a_key()
    await refund(server, key, order)
    await refund(server, key, order)
    assert server.refunds(order) == ["9.00", "9.00"]


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("1500.01", "not_covered"),
        ("0", "invalid_amount"),
        ("0.00", "invalid_amount"),
        ("-1", "invalid_amount"),
        ("NaN", "invalid_amount"),
        ("Infinity", "invalid_amount"),
        ("1.005", "invalid_amount"),
        ("1e2", "invalid_amount"),
        ("١", "invalid_amount"),
        (9, "invalid_amount"),
    ],
)
async def test_what_is_not_covered_or_no_amount_is_refused(server: PaymentServer, amount: Any, code: str) -> None:
    order, key = an_order(), a_key()
    with pytest.raises(ToolFailed) as caught:
        await refund(server, key, order, amount)
    assert caught.value.facts["code"] == code
    assert server.refunds(order) == []
    assert server.requests(key) == 1


async def test_a_second_refund_finds_only_what_is_left(server: PaymentServer) -> None:
    order = an_order()
    await refund(server, a_key(), order, "1000")
    with pytest.raises(ToolFailed, match=r"up to 500\.00 GBP"):
        await refund(server, a_key(), order, "500.01")
    await refund(server, a_key(), order, "500")


async def test_unknown_order_is_refused(server: PaymentServer) -> None:
    with pytest.raises(ToolFailed) as caught:
        await ask(server, "orders.get", order_id="ORD-9999")
    assert caught.value.facts["code"] == "unknown_order"


async def test_reversal_gives_back_what_was_refunded_once(server: PaymentServer) -> None:
    order, key = an_order(), a_key()
    receipt = await refund(server, a_key(), order, "900")
    undo = a_tool(server, "payments.reverse")
    args = undo.check_args(undo.undo_args({"order_id": order, "amount": "900"}, receipt))
    reversal = await undo.function(a_call(key), **args)
    assert (reversal["kind"], reversal["amount"]) == ("reversal", "900.00")
    assert await undo.function(a_call(key), **args) == reversal
    with pytest.raises(ToolFailed, match="reversed before"):
        await undo.function(a_call(a_key()), **args)
    assert (await ask(server, "orders.get", order_id=order))["refundable"] == "1500.00"


async def test_a_call_after_its_deadline_is_refused(server: PaymentServer) -> None:
    order, key = an_order(), a_key()
    spec = a_tool(server, "payments.refund")
    with pytest.raises(ToolFailed) as caught:
        await spec.function(a_call(key, seconds=-1), order_id=order, amount="9.00")
    assert caught.value.facts["code"] == "deadline_passed"
    assert server.refunds(order) == []


async def test_lookup_and_probe_tell_what_happened(server: PaymentServer) -> None:
    order, key = an_order(), a_key()
    probe = a_tool(server, "payments.refund").probe
    assert probe is not None
    args = {"order_id": order, "amount": "9.00"}
    assert (await probe(a_call(key), **args)).found is False
    receipt = await refund(server, key, order)
    found = await probe(a_call(key), **args)
    assert (found.found, found.result, found.reference) == (True, receipt, receipt["reference"])


async def test_probe_that_can_not_ask_says_so(server: PaymentServer) -> None:
    probe = a_tool(server, "payments.refund").probe
    assert probe is not None
    assert (await probe(a_call(""))).found is None
    server.set(fail=1, retry_after=0)
    with pytest.raises(TryLater):
        await probe(a_call("some"))


@pytest.mark.parametrize(("status", "wait"), [(503, 0.0), (429, 0.0), (429, 2.0)])
async def test_asked_to_wait_posts_nothing(server: PaymentServer, status: int, wait: float) -> None:
    server.set(fail=1, fail_with=status, retry_after=wait)
    order, key = an_order(), a_key()
    with pytest.raises(TryLater) as caught:
        await refund(server, key, order)
    assert caught.value.retry_after_seconds == wait
    assert server.requests(key) == 0
    await refund(server, key, order)
    assert server.refunds(order) == ["9.00"]


async def posted(server: PaymentServer, order: str, times: int) -> None:
    """Return once the server has posted so often what it was still busy with. Raises AssertionError if it does not."""
    async with asyncio.timeout(20):
        while len(server.refunds(order)) < times:
            await asyncio.sleep(0.02)
    assert server.refunds(order) == ["9.00"] * times


async def test_slow_answer_is_unknown_though_it_was_posted(server: PaymentServer) -> None:
    order, key = an_order(), a_key()
    await ask(server, "orders.get", order_id=order)  # it is connected
    server.set(slow=1.0)
    with pytest.raises(OutcomeUnknown):
        await refund(server, key, order, seconds=0.3)
    server.set(slow=0)
    await posted(server, order, 1)
    assert (await refund(server, key, order))["amount"] == "9.00"
    assert server.refunds(order) == ["9.00"]


async def test_timing_out_after_posting_hits_the_posting_that_was_named(server: PaymentServer) -> None:
    server.set(timeout_after_posting=2)
    order, key = an_order(), a_key()
    await refund(server, a_key(), order)
    with pytest.raises(OutcomeUnknown):
        await refund(server, key, order, seconds=0.3)
    await posted(server, order, 2)
    await refund(server, key, order)
    assert server.refunds(order) == ["9.00", "9.00"]


async def test_lost_answers_are_unknown_and_refusals_are_not(server: PaymentServer) -> None:
    server.set(flaky=1.0, retry_after=0)
    seen = set()
    for _ in range(40):
        order, key = an_order(), a_key()
        try:
            await refund(server, key, order)
            seen.add("answered")
        except TryLater:
            assert server.refunds(order) == []
            seen.add("refused")
        except OutcomeUnknown:
            assert server.refunds(order) == ["9.00"]
            seen.add("lost")
    assert {"refused", "lost"} <= seen


async def test_dying_after_posting_is_unknown_and_the_key_finds_it_after_the_restart(mortal: PaymentServer) -> None:
    mortal.set(die_after_posting=1)
    order, key = an_order(), a_key()
    with pytest.raises(OutcomeUnknown):
        await refund(mortal, key, order)
    assert mortal.process.wait(10) == -signal.SIGKILL
    with pytest.raises(TryLater):
        await refund(mortal, key, order)
    mortal.stop()
    mortal.start()
    assert (await refund(mortal, key, order))["reference"].startswith("RF-")
    assert mortal.refunds(order) == ["9.00"]
    assert mortal.requests(key) == 2


async def test_server_killed_with_calls_under_way_is_found_again(mortal: PaymentServer) -> None:
    mortal.set(slow=30)
    order, key = an_order(), a_key()
    calls = [asyncio.create_task(refund(mortal, key, order)) for _ in range(5)]
    async with asyncio.timeout(10):
        while mortal.requests(key) < 5:
            await asyncio.sleep(0.02)
    mortal.stop(signal.SIGKILL)
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(failure) for failure in failures] == [OutcomeUnknown] * 5
    mortal.start()
    await refund(mortal, key, order)
    assert mortal.refunds(order) == ["9.00"]


async def test_a_hundred_calls_at_once_each_get_their_own_answer(server: PaymentServer) -> None:
    order = an_order()
    amounts = [f"{number / 100:.2f}" for number in range(1, 101)]
    receipts = await asyncio.gather(*(refund(server, a_key(), order, amount) for amount in amounts))
    assert [receipt["amount"] for receipt in receipts] == amounts
    assert sorted(server.refunds(order)) == sorted(amounts)


async def test_schema_is_learnt_from_the_server_and_the_key_stays_hidden(server: PaymentServer) -> None:
    spec = a_tool(server, "payments.refund", args_schema=None)
    assert spec.args_schema == {"type": "object"}
    await spec.ready()
    assert set(spec.args_schema["properties"]) == {"order_id", "amount", "reason"}
    assert set(spec.args_schema["required"]) == {"order_id", "amount"}


@pytest.mark.parametrize("believed", ["the file trusts it", "a person accepted it", ""])
async def test_unlisted_tools_follow_annotations_that_somebody_vouches_for(
    server: PaymentServer, believed: str
) -> None:
    trusted = believed == "the file trusts it"
    described = server.server().model_copy(update={"tools": {}, "trusted": trusted})
    offered = await catalogue.sightings(described)
    by_people = {one.tool: believed == "a person accepted it" for one in offered}
    found = {spec.name: spec for spec in catalogue.discovered(described, offered, by_people)}
    read = found["orders.get"]
    assert (read.effect, read.title) == (("read", "Fetch order") if believed else ("write", "Orders get"))
    assert read.untrusted is not trusted
    refund = found["payments.refund"]
    assert (refund.effect, refund.retry_safety) == ("irreversible", "manual"), "a hint may always make it stricter"


async def test_schema_given_in_the_file_agrees_with_the_server(server: PaymentServer) -> None:
    """An argument that one of the two does not know would be refused only when a mission calls."""
    for described in read(ROOT / "deploy" / "mcp-servers.yaml"):
        offered = {tool.name: tool.input_schema for tool in await mcp_client.list_tools(server.server())}
        assert set(described.tools) == set(offered)
        for name, entry in described.tools.items():
            assert entry.args_schema is not None
            known = set(offered[name]["properties"]) - {entry.key_argument}
            assert set(entry.args_schema["properties"]) == known
            assert set(entry.args_schema["required"]) == set(offered[name]["required"])


def test_faults_are_checked(server: PaymentServer) -> None:
    for wrong in ({"flaky": 2}, {"colour": "red"}, {"slow": -1}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            server.set(**wrong)
        assert caught.value.code == 422
        caught.value.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--port", "PORT"], "port PORT can not be used"),
        (["--port", "70000"], "port 70000 can not be used"),
        (["--flaky", "3"], "--flaky"),
        (["--fail", "many"], "--fail"),
    ],
)
def test_wrong_options_end_with_a_plain_message(
    shared: PaymentServer, tmp_path: Path, options: list[str], says: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    options = [option.replace("PORT", str(shared.port)) for option in options]
    monkeypatch.setattr(sys, "argv", ["payments", "--data", str(tmp_path / "unused"), *options])
    with pytest.raises(SystemExit) as caught:
        main()
    assert says.replace("PORT", str(shared.port)) in f"{caught.value.code} {capsys.readouterr().err}"
    assert not (tmp_path / "unused").exists()


async def test_ledger_only_grows(server: PaymentServer) -> None:
    await refund(server, a_key(), an_order())
    for statement in ("UPDATE payments SET amount = '1'", "DELETE FROM payments", "DELETE FROM requests"):
        with pytest.raises(sqlite3.DatabaseError, match="append only"):
            server.rows(statement)
