"""A private PostgreSQL cluster with a fresh database for each test, and a way to let it crash."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import psycopg

from config import embedded

TEMPLATE = embedded.NAME  # prepared once; each test's database is a copy of it


class Database:
    """One database of the cluster."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    @property
    def url(self) -> str:
        """What DATABASE_URL takes."""
        place = {"host": str(embedded.socket_folder(self.cluster.root)), "port": embedded.PORT, "user": embedded.ROLE}
        return f"postgres:///{self.name}?{urlencode(place)}"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query answers, on a connection of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """The one value that a query answers."""
        return self.rows(query, *values)[0][0]

    def drop(self) -> None:
        """Remove it, whoever is still connected."""
        self.cluster.run(f"drop database if exists {self.name} with (force)")


class Cluster:
    """One embedded cluster in a folder. Its template is prepared by whoever starts it first."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self) -> None:
        """Make it, or start it again."""
        embedded.start(self.root)

    def stop(self) -> None:
        """End it in order."""
        embedded.stop(self.root)

    def run(self, statement: str) -> None:
        """Run a statement of the cluster itself."""
        place = Database(self, "postgres").url
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(statement.encode())

    @property
    def template(self) -> Database:
        """The database that the others are made from."""
        return Database(self, TEMPLATE)

    def fresh(self, database: Database) -> None:
        """Make it, a copy of the template."""
        database.drop()
        self.run(f"create database {database.name} template {TEMPLATE}")

    def crash(self) -> None:
        """SIGKILL the postmaster and every process of it, as a power cut of the database's host would."""
        server = psutil.Process(int((self.root / "data" / "postmaster.pid").read_text().split("\n", 1)[0]))
        victims = [server, *server.children(recursive=True)]
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)
        psutil.wait_procs(victims, timeout=10)
