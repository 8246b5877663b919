"""How long a ruling takes: 200 rules, every one in scope evaluated and traced, one policy.

Run it from the project's folder: `python -m benchmarks.ruling`. Prints the median for the table that the workload
measures, then for tables and arguments of other shapes; needs no database.
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import time
import uuid
from collections.abc import Callable
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


def _table(row: Callable[[int], dict[str, Any]]) -> Table:
    rows = [{"name": f"rule-{number}", **row(number)} for number in range(RULES)]
    return Table(policy="refunds", number=1, enforced=True, rules=document.rules_of(rows, "benchmark"))


def _asking(when: str, tiers: list[dict[str, Any]] = TIERS) -> dict[str, Any]:
    return {"when": when, "effect": "escalate", "tiers": tiers}


# Tables that a ruling has more to do for than for one that mostly does not hold.
SHAPES: dict[str, Callable[[int], dict[str, Any]]] = {
    "every rule asks": lambda number: _asking(f"double(args.amount) > {number}.0"),
    "every rule asks others": lambda number: _asking("true", [{"group": f"group-{number}"}]),
    "every rule fails": lambda number: _asking(f"double(args.missing{number}) > 1.0"),
    "eight parts each": lambda number: _asking(" && ".join([*["args.order_id != ''"] * 7, f"args.n == {number}"])),
    "globs": lambda number: {"scope": {"tool": "pay*.re*", "mission_type": "ref*"}, "when": "false", "effect": "deny"},
    "loops": lambda number: {"when": f"args.items.exists(x, x == {number + 1000})", "effect": "deny"},
    "nothing in scope": lambda number: {"scope": {"tool": f"other-{number}"}, "effect": "deny"},
}
LARGE = [{"sku": f"S{number}", "n": number, "price": "1.25", "ok": True} for number in range(200)]


def intent(**args: Any) -> Intent:
    """A refund as the demo's mission asks for it, with more arguments."""
    return Intent(
        mission_uid=uuid.uuid4(), mission_type="refund", mission_title="Refund ORD-1001", owner_id=1,
        tool="payments.refund", args={"order_id": "ORD-1001", "amount": "740.00", "currency": "GBP", **args},
        effect_class=EffectClass.WRITE, retry_safety=RetrySafety.KEYED, reversible=True,
    )  # fmt: skip


def run(rounds: int = ROUNDS, of: Table | None = None, asked: Intent | None = None) -> list[float]:
    """The milliseconds of each ruling, sorted."""
    tables, asked, now = [of or table()], asked or intent(), dt.datetime.now(dt.UTC)
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
    odd = [(name, _table(row), intent(n=-1, items=list(range(10)))) for name, row in SHAPES.items()]
    for name, shape, asked in [*odd, ("large arguments", table(), intent(lines=LARGE))]:
        times = run(100, shape, asked)
        print(f"  {name}: median {statistics.median(times):.3f} ms (p5 {times[len(times) // 20]:.3f})")
