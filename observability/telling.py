"""What is told of one rail item, before it is placed. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Telling:
    """The words of an item and how they are shown; see `projections.Observation`."""

    sentence: str
    detail: str = ""
    tone: str = ""
    icon: str = ""  # where it differs from that of the kind
    actor: str = ""
    follows: bool = False
    strong: bool = False
