"""Where the database is, as libpq reads it: the same place that Django uses, test databases included."""

from __future__ import annotations

from django.db import connections
from psycopg.conninfo import make_conninfo

# A host that vanished must not hold a lane, a lock or a listener for longer than about ten seconds.
KEEPALIVES = {
    "keepalives": "1", "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "2",
    "tcp_user_timeout": "10000", "connect_timeout": "5",
}


def conninfo(application_name: str) -> str:
    """A connection string for a session of its own, named so that operators recognise it in pg_stat_activity."""
    settings = connections["default"].settings_dict
    options = {name: value for name, value in settings.get("OPTIONS", {}).items() if isinstance(value, str)}
    known = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    place = {name: str(settings[field]) for name, field in known.items() if settings.get(field)}
    return make_conninfo(**{**options, **KEEPALIVES, **place, "application_name": application_name})
