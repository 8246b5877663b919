"""How watches leave their findings, and whether there is anything to look at. Owns no watch."""

from __future__ import annotations

from django.db import connection

from missions.models.fields import DatabaseNow
from observability.models import Check

WATCHED = ("missions_journal", "missions_mission", "approvals_decision")
_changes_seen: dict[str, int] = {}  # per watch; a restart looks once more


def record(name: str, ok: bool, detail: str, **more: int) -> None:
    """The latest finding of a watch; `position` may come with it."""
    found = {"ok": ok, "detail": detail, "checked_at": DatabaseNow(), **more}
    Check.objects.update_or_create(name=name, defaults=found)


def still_stands(name: str) -> None:
    """The watch ran, and its last finding holds."""
    Check.objects.filter(name=name).update(checked_at=DatabaseNow())


def is_quiet(watch: str) -> bool:
    """Whether nothing was written since this watch last asked. Asks the statistics: an idle system's missions rest."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint"
            " from pg_stat_user_tables where relname = any (%s)", [list(WATCHED)],
        )  # fmt: skip
        changes = int(cursor.fetchone()[0])
    seen, _changes_seen[watch] = _changes_seen.get(watch), changes
    return seen == changes
