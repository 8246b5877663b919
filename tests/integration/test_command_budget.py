"""`manage.py budget`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from missions.models import PeriodBudget

pytestmark = pytest.mark.django_db


def said(*words: str) -> str:
    out = StringIO()
    call_command("budget", *words, stdout=out)
    return out.getvalue()


def test_budgets_are_set_listed_changed_and_lifted() -> None:
    assert "No budgets" in said("list")
    money = ("set", "refunds", "money", "--amount", "1000", "--currency", "GBP", "--period", "day")
    assert said(*money, "--of", "tool:payments.refund") == "Set.\n"
    assert said("change", "refunds", "--amount", "250.50", "--on-exhausted", "deny") == "Changed.\n"
    listed = said("list")
    assert all(word in listed for word in ("refunds", "tool:payments.refund", "money GBP", "250.5"))
    assert said("delete", "refunds") == "Lifted.\n" and not PeriodBudget.objects.exists()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("set", "x", "effects", "--amount", "many", "--period", "day"), 2),
        (("set", "x", "effects", "--amount", "1.5", "--period", "day"), 2),
        (("set", "x", "effects", "--amount", "1", "--period", "day", "--of", "planet:mars"), 2),
        (("change", "x", "--amount", "1"), 1), (("delete", "x"), 1),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_with_a_status(words: tuple[str, ...], status: int) -> None:
    with pytest.raises(CommandError) as refused:
        said(*words)
    assert refused.value.returncode == status
