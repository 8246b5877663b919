"""How tests that commit are cleaned up after: rows are deleted where there are some, in place of a TRUNCATE of all.

Owns `sql_flush` of the test's process, on whichever connection. Truncating fifty tables and their indexes makes
hundreds of new files and takes longer than most tests. Promises what TRUNCATE does: it waits for writers, no trigger
runs, no row of a table is left. What migrations write once, permissions and content types, stays, and is not written
again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.management import create_permissions
from django.contrib.contenttypes.management import create_contenttypes
from django.db import connection
from django.db.models.signals import post_migrate

LASTING = {"auth_permission", "django_content_type"}
LARGE_BYTES = 1_000_000  # of one table: dead rows of many tests would slow the next ones down
# Triggers would refuse to delete from the journal; foreign keys are triggers too, and all tables are emptied.
NO_TRIGGERS = "set local session_replication_role = replica"
# A request that nobody waits for any more may be writing, in another order: of the two, that one is to give way.
LAST_TO_GIVE_WAY = "set local deadlock_timeout = '60s'"


def cheapen() -> None:
    """Empty tables cheaply from now on, where the role may switch triggers off; else leave it to Django."""
    with connection.cursor() as cursor:
        cursor.execute("select rolsuper from pg_roles where rolname = current_user")
        if cursor.fetchone() != (True,):
            return
    type(connection.ops).sql_flush = _statements  # type: ignore[method-assign,assignment]
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(create_permissions, dispatch_uid="django.contrib.auth.management.create_permissions")


def _statements(ops: Any, style: Any, tables: Iterable[str], **options: bool) -> list[str]:
    """What Django runs in one transaction. Sequences go on, as they do with its own flush."""
    assert not options.get("reset_sequences"), "no test asks for that"
    names = [connection.ops.quote_name(table) for table in sorted(set(tables) - LASTING)]
    deletes = ";".join(f"delete from {name}" for name in names)
    sizes = ", ".join(f"pg_relation_size('{name}')" for name in names)
    empty = f"if greatest({sizes}) > {LARGE_BYTES} then truncate {', '.join(names)}; else {deletes}; end if"
    lock = f"lock table {', '.join(names)} in exclusive mode"
    return [NO_TRIGGERS, LAST_TO_GIVE_WAY, lock, f"do $$ begin {empty}; end $$"]
