"""A database that exists for one test: on the same server, with its tables, dropped afterwards."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connections
from django.test.utils import override_settings
from psycopg import sql

from missions.engine.dsn import conninfo

PREFIX = "standfast_crashtest_"


@contextlib.contextmanager
def scratch_database() -> Iterator[str]:
    """Everything that this process asks of the database goes to a fresh one while the block runs; its name.

    The role must be allowed to create databases. Raises psycopg.Error.
    """
    name, settings = f"{PREFIX}{os.getpid()}", connections.settings["default"]
    kept = settings["NAME"]
    server = conninfo("standfast crash test")
    _run(server, "create database {}", name)
    try:
        _go_to(name)
        call_command("migrate", verbosity=0, interactive=False)
        with tempfile.TemporaryDirectory() as folder, override_settings(MISSIONS_WITNESS=Path(folder) / "witness.json"):
            yield name  # a database of its own has a past of its own
    finally:
        _go_to(kept)
        _run(server, "drop database if exists {} with (force)", name)


def _go_to(name: str) -> None:
    connection = connections["default"]
    connection.close()
    if hasattr(connection, "close_pool"):
        connection.close_pool()
    connections.settings["default"]["NAME"] = connection.settings_dict["NAME"] = name


def _run(server: str, statement: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(sql.SQL(statement).format(sql.Identifier(name)))
