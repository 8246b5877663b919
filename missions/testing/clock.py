"""Moving the database's clock; for databases that serve tests only."""

from __future__ import annotations

import datetime as dt

from django.db import connection

from missions.engine import feed
from missions.engine.clock import database_now


class Clock:
    """The database's clock; every reader of `missions_now()` sees it move."""

    def advance(self, seconds: float = 0, **more: float) -> dt.datetime:
        """Move it forward, by seconds or as `dt.timedelta` takes them (hours=4); returns the new time."""
        with connection.cursor() as cursor:
            span = dt.timedelta(seconds=seconds, **more).total_seconds()
            cursor.execute("update missions_clock set shift = shift + make_interval(secs => %s)", [span])
        feed.announce_due()  # workers look again, instead of at their next heartbeat
        return self.now()

    def now(self) -> dt.datetime:
        """What `missions_now()` says."""
        return database_now()

    def reset(self) -> None:
        """Back to the server's own time."""
        with connection.cursor() as cursor:
            cursor.execute("update missions_clock set shift = '0'")
