"""What tools may reach: the settings HTTP_TOOL_HOSTS and SQL_TARGETS. Wiring only."""

from __future__ import annotations

import re
from collections.abc import Iterable

from config.env import SettingError
from missions import egress

TARGET = re.compile(r"[a-z][a-z0-9_-]{0,49}=(env:|file:/|db:).+")


def places(entries: Iterable[str]) -> tuple[egress.Place, ...]:
    """The places that HTTP tools may reach. Raises SettingError, which shows no header."""
    try:
        return egress.parse(entries)
    except ValueError as error:
        raise SettingError("HTTP_TOOL_HOSTS", str(error), egress.WANTED) from None


def targets(entries: Iterable[str]) -> dict[str, str]:
    """Target → the reference to how to connect to it. Raises SettingError, which shows the target's name alone."""
    found = {}
    for entry in entries:
        target, _, reference = entry.partition("=")
        if not TARGET.fullmatch(entry):
            raise SettingError("SQL_TARGETS", target, "NAME=REFERENCE, as in stock=env:STOCK_URL")
        found[target] = reference
    return found
