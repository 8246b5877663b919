"""What people said of a period budget that is used up, handed to the engine's account.

The engine wakes the missions; it is the last thing in the transaction that settles the decision.
"""

from __future__ import annotations

from typing import Any

from missions.engine import charges


def apply(facts: dict[str, Any], resolution: dict[str, Any]) -> None:
    """Let the account have its answer; whatever is no approval stops those who wait, for the rest of the period."""
    choice = resolution.get("choice") if resolution["verdict"] == "approved" else charges.STOP
    charges.answer(facts["account"], facts["round"], str(choice), by=resolution.get("by", ()))
