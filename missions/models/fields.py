"""Database defaults that the models of all layers share."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.expressions import Func
from django.utils.deconstruct import deconstructible


@deconstructible(path="missions.models.fields.CurrentTransaction")
class CurrentTransaction(Func):
    """The 64-bit id of the writing transaction; readers tail append-only tables by it.

    A reader that takes only rows with `tx < pg_snapshot_xmin(pg_current_snapshot())` skips nothing: every
    transaction below that bound has ended.
    """

    template = "(pg_current_xact_id()::text::bigint)"
    arity = 0

    def __init__(self, **extra: Any) -> None:
        super().__init__(output_field=models.BigIntegerField(), **extra)


@deconstructible(path="missions.models.fields.DatabaseNow")
class DatabaseNow(Func):
    """The one clock: `missions_now()` on the database, which tests can move."""

    template = "missions_now()"
    arity = 0

    def __init__(self, **extra: Any) -> None:
        super().__init__(output_field=models.DateTimeField(), **extra)
