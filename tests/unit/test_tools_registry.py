"""Registering tools, checking their arguments, saying what a call does."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from missions.errors import InvalidInput, UnknownTool
from missions.governance import EffectClass, RetrySafety
from missions.tools import registry
from missions.tools.registry import ProbeResult, ToolCall, all_tools, get_tool, tool


@pytest.fixture(autouse=True)
def own_tools() -> Iterator[None]:
    """Take away what a test registers."""
    get_tool("orders.get")
    before = dict(registry._tools)
    yield
    registry._tools.clear()
    registry._tools.update(before)


class Line(BaseModel):
    sku: str
    count: int = 1


def a_call(key: str = "") -> ToolCall:
    return ToolCall(idempotency_key=key, deadline=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))


def faults(name: str, args: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        get_tool(name).check_args(args)
    return {error["field"]: error["message"] for error in caught.value.errors}


def test_name_title_and_kind_come_from_the_function() -> None:
    @tool()
    async def stock_level_of(call: ToolCall, sku: str) -> int:
        """Look up the stock level.

        More that nobody reads.
        """
        return 3

    spec = get_tool("stock.level_of")
    assert (spec.title, spec.effect, spec.is_async, spec.returns) == ("Look up the stock level", "read", True, int)
    assert spec in all_tools()


def test_function_gets_the_values_it_declares_while_the_record_stays_plain_json() -> None:
    seen: dict[str, Any] = {}

    @tool(name="orders.place", effect="write", retry_safety="keyed")
    async def place(call: ToolCall, id: uuid.UUID, price: Decimal, lines: list[Line], note: str = "none") -> None:
        seen.update(id=id, price=price, lines=lines, note=note)

    spec = get_tool("orders.place")
    number = uuid.uuid4()
    args = spec.check_args({"id": number, "price": Decimal("9.50"), "lines": [Line(sku="a")]})
    assert args == {"id": str(number), "price": "9.50", "lines": [{"sku": "a", "count": 1}]}
    asyncio.run(spec.function(a_call(), **args))
    assert seen == {"id": number, "price": Decimal("9.50"), "lines": [Line(sku="a")], "note": "none"}


def test_errors_name_the_field() -> None:
    @tool(name="orders.count")
    async def count(call: ToolCall, lines: list[Line], most: Annotated[int, Field(ge=1)]) -> int:
        return len(lines)

    found = faults("orders.count", {"lines": [{"sku": 4}], "most": 0, "colour": "red"})
    assert set(found) == {"lines.0.sku", "most", "colour"}
    assert set(faults("orders.count", {})) == {"lines", "most"}
    assert get_tool("orders.count").args_schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "finite"),
        (float("-inf"), "finite"),
        (Decimal("Infinity"), "finite"),
        ("a\x00b", "NUL"),
        ("\ud800", "Unicode"),
        ({"deep": [float("nan")]}, "finite"),
        ({1: "x"}, "not text"),
        (object(), "JSON"),
    ],
)
def test_what_json_can_not_hold_is_refused(value: Any, why: str) -> None:
    @tool(name="notes.add")
    async def add(call: ToolCall, note: Any) -> None:
        """Add a note."""

    assert why in next(iter(faults("notes.add", {"note": value}).values()))


def test_over_deep_arguments_are_refused() -> None:
    @tool(name="notes.nest")
    async def nest(call: ToolCall, note: Any) -> None:
        """Nest a note."""

    deep: Any = 0
    for _ in range(5000):
        deep = [deep]
    assert "deeper" in next(iter(faults("notes.nest", {"note": deep}).values()))


def test_an_amount_that_is_not_a_number_is_refused_for_decimals() -> None:
    @tool(name="money.move")
    async def move(call: ToolCall, amount: Decimal) -> None:
        """Move money."""

    assert "amount" in faults("money.move", {"amount": "NaN"})


def test_plain_functions_are_marked_to_run_in_a_thread() -> None:
    @tool(name="files.size")
    def size(call: ToolCall, path: str) -> str:
        return threading.current_thread().name

    assert get_tool("files.size").is_async is False
    assert get_tool("files.size").function(a_call(), path="x") == threading.current_thread().name


def test_a_second_function_under_a_name_is_refused_and_the_same_one_is_not() -> None:
    def make() -> None:
        @tool(name="twice.told")
        async def told(call: ToolCall) -> None:
            """Tell."""

    make()
    make()
    with pytest.raises(ValueError, match=r"twice\.told.*registered twice"):

        @tool(name="twice.told")
        async def other(call: ToolCall) -> None:
            """Tell."""


def test_promises_that_nothing_backs_are_refused() -> None:
    async def write(call: ToolCall) -> None:
        """Write."""

    with pytest.raises(ValueError, match="wants a probe"):
        tool(name="a.b", effect="write", retry_safety="verifiable")(write)
    with pytest.raises(ValueError, match="nothing to compensate"):
        tool(name="a.b", compensate="a.c")(write)
    with pytest.raises(ValueError, match="perhaps"):
        tool(name="a.b", effect="perhaps")(write)


def test_signatures_without_a_schema_are_refused() -> None:
    async def no_call(order_id: str) -> None:
        """Nothing."""

    async def anything(call: ToolCall, **rest: Any) -> None:
        """Anything."""

    with pytest.raises(TypeError, match="first parameter"):
        tool(name="a.b")(no_call)
    with pytest.raises(TypeError, match=r"\*rest"):
        tool(name="a.b")(anything)


def test_probe_gets_the_same_values_as_the_function() -> None:
    async def asked(call: ToolCall, amount: Decimal) -> ProbeResult:
        return ProbeResult(found=isinstance(amount, Decimal), reference=call.idempotency_key)

    @tool(name="money.send", effect="write", retry_safety="verifiable", probe=asked)
    async def send(call: ToolCall, amount: Decimal) -> None:
        """Send money."""

    probe = get_tool("money.send").probe
    assert probe is not None
    assert asyncio.run(probe(a_call("k1"), amount="1.00")) == ProbeResult(found=True, reference="k1")


def test_unknown_tool_names_the_known_ones() -> None:
    with pytest.raises(UnknownTool, match=r"no tool 'orders\.got'.*orders\.get"):
        get_tool("orders.got")


def test_sentence_never_fails() -> None:
    spec = get_tool("payments.refund")
    assert spec.describe({"amount": "900.00", "order_id": "ORD-1001"}) == "Refund 900.00 for order ORD-1001"
    assert spec.describe({"amount": "900.00"}) == "Refund 900.00 for order …"
    assert spec.describe({"amount": None, "order_id": "a\nb " + "x" * 500}).endswith("…")


@pytest.mark.parametrize("template", ["{a.__class__}", "{a[0]}", "{", "{}", "{a:%Q!}", "{0} {a!z}"])
def test_odd_templates_show_no_internals_and_do_not_raise(template: str) -> None:
    @tool(name="odd.template", sentence=template, title="Odd")
    async def odd(call: ToolCall, a: str) -> None:
        """Odd."""

    said = get_tool("odd.template").describe({"a": "x"})
    assert "class" not in said
    assert len(said) < 20


def test_undo_takes_its_arguments_from_the_result_then_from_the_call() -> None:
    undo = get_tool("payments.reverse")
    result = {"reference": "RF-000007", "amount": "5.00"}
    assert undo.undo_args({"order_id": "ORD-1", "reason": "late"}, result) == {
        "reference": "RF-000007", "reason": "late",
    }
    assert undo.undo_args({"order_id": "ORD-1"}, None) == {}


def test_demo_tools_promise_what_the_demo_needs() -> None:
    refund, reverse = get_tool("payments.refund"), get_tool("payments.reverse")
    assert (refund.effect, refund.retry_safety) == (EffectClass.WRITE, RetrySafety.KEYED)
    assert (reverse.effect, reverse.retry_safety) == (EffectClass.WRITE, RetrySafety.KEYED)
    assert refund.compensate == reverse.name
    assert refund.probe is not None
    assert "idempotency_key" not in refund.args_schema["properties"]
    assert faults("payments.refund", {"amount": "1.005", "order_id": "ORD-1"}).keys() == {"amount"}
    assert faults("payments.refund", {"amount": 900, "order_id": "ORD-1"}).keys() == {"amount"}
    assert faults("payments.refund", {"idempotency_key": "mine", "order_id": "o", "amount": "1"}).keys() == {
        "idempotency_key"
    }
    assert {get_tool(name).effect for name in ("orders.get", "payments.history", "payments.lookup")} == {"read"}
