"""How the command line tells people of a refusal."""

from __future__ import annotations

from missions.web.problems import Problem


def told(refusal: Problem) -> str:
    """A refusal for people, field by field where it has fields."""
    lines = [f"  {error['field']}: {error['message']}" for error in refusal.extra.get("errors", [])]
    return "\n".join([refusal.text or refusal.title, *lines])
