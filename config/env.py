"""Typed reading of environment variables.

Owns the messages for wrong values: start-up stops with the variable's name and what it wants. Holds no settings.
"""

from __future__ import annotations

import os

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


class SettingError(SystemExit):
    """An environment variable holds a value that Standfast can not use."""

    def __init__(self, name: str, value: str, wanted: str) -> None:
        super().__init__(f"standfast: {name}={value!r} is not usable: it wants {wanted}")


def text(name: str, default: str = "") -> str:
    """The variable's text with outer blanks removed, else the default."""
    return os.environ.get(name, default).strip()


def flag(name: str, *, default: bool) -> bool:
    """A yes/no variable. Raises SettingError for anything but 1/0, true/false, yes/no, on/off."""
    value = os.environ.get(name)
    if value is None:
        return default
    lowered = value.strip().lower()
    if lowered in TRUE | FALSE:
        return lowered in TRUE
    raise SettingError(name, value, "one of 1, 0, true, false, yes, no, on, off")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number between low and high, both included. Raises SettingError."""
    value = text(name)
    if not value:
        return default
    if value.lstrip("-").isdigit() and low <= int(value) <= high:
        return int(value)
    raise SettingError(name, value, f"a whole number from {low} to {high}")


def number(name: str, default: float, *, low: float, high: float, unit: str = "") -> float:
    """A number between low and high, both included. Raises SettingError."""
    value = text(name)
    if not value:
        return default
    try:
        found = float(value)
    except ValueError:
        found = float("nan")
    if low <= found <= high:
        return found
    raise SettingError(name, value, f"a number{unit} from {low:g} to {high:g}")


def seconds(name: str, default: float, *, low: float, high: float) -> float:
    """A duration in seconds between low and high, both included. Raises SettingError."""
    return number(name, default, low=low, high=high, unit=" of seconds")


def names(name: str, default: str = "") -> list[str]:
    """A comma-separated list, empty items dropped."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of the words that are allowed. Raises SettingError."""
    value = text(name, default).lower()
    if value in allowed:
        return value
    raise SettingError(name, value, f"one of {', '.join(allowed)}")


def some(name: str, allowed: tuple[str, ...]) -> list[str]:
    """A comma-separated list of words that are allowed. Raises SettingError."""
    found = names(name)
    if set(found) <= set(allowed):
        return found
    raise SettingError(name, text(name), f"words from {', '.join(allowed)}, with commas")
