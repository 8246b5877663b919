"""The refund mission's own arithmetic and input."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from missions.library.refund import RefundRequest, check_coverage

ORDER = {"id": "ORD-1001", "paid": "1500.00", "refundable": "1500.00", "currency": "GBP"}


def history(*postings: tuple[str, str]) -> dict[str, Any]:
    return {"payments": [{"kind": kind, "amount": amount} for kind, amount in postings]}


@pytest.mark.parametrize(
    ("postings", "asked", "covered", "refundable"),
    [
        ([("payment", "1500.00")], "1500.00", True, "1500.00"),
        ([("payment", "1500.00")], "1500.01", False, "1500.00"),
        ([("payment", "1500.00"), ("refund", "1000.00")], "500.01", False, "500.00"),
        ([("payment", "1500.00"), ("refund", "1000.00"), ("reversal", "1000.00")], "1500", True, "1500.00"),
        ([("payment", "100.00")], "200", False, "100.00"),
        ([("refund", "10.00")], "1", False, "0.00"),
        ([], "1", False, "0.00"),
    ],
)
def test_coverage_is_what_was_paid_and_not_yet_refunded(
    postings: list[tuple[str, str]], asked: str, covered: bool, refundable: str
) -> None:
    found = check_coverage(ORDER, history(*postings), Decimal(asked))
    assert (found.covered, found.refundable) == (covered, refundable)
    assert asked.split(".")[0] in found.why or covered


def test_coverage_believes_the_smaller_of_order_and_history() -> None:
    order = {**ORDER, "refundable": "20.00"}
    assert check_coverage(order, history(("payment", "1500.00")), Decimal("20.01")).covered is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "0"}, {"amount": "-1"}, {"amount": "1.005"}, {"amount": "NaN"}, {"amount": "Infinity"},
        {"amount": "1e20"}, {"order_id": "1001"}, {"order_id": "ORD-1001; x"}, {"reason": " "}, {"reason": "x" * 501},
        {"customer_note": "x" * 2001}, {"colour": "red"},
    ],
)
def test_wrong_input_is_refused_by_field(wrong: dict[str, Any]) -> None:
    fine = {"order_id": "ORD-1001", "amount": "900.00", "reason": "Broken"}
    RefundRequest.model_validate(fine)
    with pytest.raises(ValidationError) as caught:
        RefundRequest.model_validate({**fine, **wrong})
    assert caught.value.errors()[0]["loc"] == tuple(wrong)
