"""How long a ruling takes: 200 rules in scope, every one evaluated and traced, one policy.

Run it from the project's folder: `python -m benchmarks.ruling`. Prints the median of all runs; needs no database.
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import time
import uuid
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from approvals.policies import document, evaluate  # noqa: E402  (models are ready only now)
from approvals.policies.rules import Table  # noqa: E402
from missions.governance import EffectClass, Intent, RetrySafety  # noqa: E402

RULES, ROUNDS = 200, 500
TIERS = [{"group": "supervisors", "quorum": 1, "sla": "4h"}]


def table() -> Table:
    """200 rules that all cover the intent, of which one fires: amounts by band, as a real table has them."""
    rows: list[dict[str, Any]] = [
        {"name": f"band-{number}", "when": f"double(args.amount) > {number + 1000}.0", "effect": "escalate",
         "tiers": TIERS}
        for number in range(RULES - 1)
    ]  # fmt: skip
    rows.append({"name": "refunds", "scope": {"tool": "payments.*"}, "effect": "escalate", "tiers": TIERS})
    return Table(policy="refunds", number=1, enforced=True, rules=document.rules_of(rows, "benchmark"))


def intent() -> Intent:
    """A refund as the demo's mission asks for it."""
    return Intent(
        mission_uid=uuid.uuid4(), mission_type="refund", mission_title="Refund ORD-1001", owner_id=1,
        tool="payments.refund", args={"order_id": "ORD-1001", "amount": "740.00", "currency": "GBP"},
        effect_class=EffectClass.WRITE, retry_safety=RetrySafety.KEYED, reversible=True,
    )  # fmt: skip


def run(rounds: int = ROUNDS) -> list[float]:
    """The milliseconds of each ruling, sorted."""
    tables, asked, now = [table()], intent(), dt.datetime.now(dt.UTC)
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        evaluate.ruling(asked, tables, now)
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


if __name__ == "__main__":
    measured = run()
    low, high = measured[len(measured) // 20], measured[-len(measured) // 20]
    print(f"ruling over {RULES} rules: median {statistics.median(measured):.3f} ms (p5 {low:.3f}, p95 {high:.3f})")
