"""What every exception of Standfast has: a docstring that is its message, a stable code, facts."""

from __future__ import annotations

import inspect
from typing import Any


class StandfastError(Exception):
    """Something in Standfast was refused or went wrong."""

    code = "error"

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))
        self.facts = facts
