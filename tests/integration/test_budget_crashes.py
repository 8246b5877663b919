"""A worker's process is killed while it spends a period budget: the account is exact, whenever that was."""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path

import pytest

from missions.engine import period_budgets
from missions.engine.starting import start
from missions.models import BudgetCharge, BudgetWait, PeriodBudget
from tests import budgeted, corners, forkserver, live_worker

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = {"MISSIONS_HEARTBEAT_SECONDS": "0.3", "MISSIONS_HUNG_SECONDS": "1.5", "MISSIONS_MODULES": "tests.budgeted"}
POINTS = ("after_ruling", "budget_held", "after_intent", "after_recheck", "after_outcome")


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_in_the_middle_keeps_the_account_exact(
    point: str, process_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corners.allow()
    monkeypatch.setenv(budgeted.FILE, str(tmp_path / "posted"))
    period_budgets.add(name="till", counts="money", currency="GBP", amount=Decimal(30), period="month")
    period_budgets.add(name="calls", counts="effects", amount=Decimal(3), period="month")
    run = start(budgeted.TYPE, {})[0]
    told = {budgeted.FILE: str(tmp_path / "posted"), "STANDFAST_CRASH_AT": f"{point}:2"}  # at the second payment
    done = forkserver.run(["manage.py", "runmissions"], {**process_environment, **QUICK, **told}, seconds=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.verdict == "paid" and len(set(budgeted.posted())) == budgeted.PAYMENTS
    standings = {row.budget.name: row for row in period_budgets.standings(PeriodBudget.objects.all())}
    assert (standings["till"].spent, standings["till"].held) == (Decimal(30), 0)
    assert (standings["calls"].spent, standings["calls"].left) == (Decimal(3), 0)
    assert BudgetCharge.objects.filter(state="spent").count() == BudgetCharge.objects.count() == 6
    assert not BudgetWait.objects.exists()
