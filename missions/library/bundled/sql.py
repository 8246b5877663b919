"""`sql.query` and `sql.execute`: one statement on a database that SQL_TARGETS names.

A change is made once for each key: the key is a row in the same database, written in the same transaction. A call that
is repeated waits for the one before, finds the row and answers what that answered. A query runs in a transaction that
can only read. How to connect is a secret, resolved at the gateway; what rights the role has there, its owner decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import psycopg
from django.conf import settings
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb
from pydantic import Field
from pydantic_core import to_json

from missions.authoring import OutcomeUnknown, ToolCall, ToolFailed, TryLater, tool
from missions.engine import crashpoints

CONNECT_SECONDS, STATEMENT_SECONDS, LOCK_SECONDS = 10, 20, 10
ROWS, RETURNED = 1000, 100
ROW_CHARACTERS, ANSWER_CHARACTERS = 64 * 1024, 1024 * 1024
KEY_TABLE = (
    "create table standfast_keys "
    "(key text primary key, answer jsonb, at timestamptz not null default now())"
)
COMMENT = re.compile(r"\s+|--[^\n]*\n?|/\*.*?\*/", re.DOTALL)
READS = ("select", "with", "values", "table")
WRITES = ("insert", "update", "delete", "merge", "with", "select")
# The other side says that it did nothing and that it may do it later.
LATER = (
    errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable, errors.AdminShutdown,
    errors.CrashShutdown, errors.CannotConnectNow, errors.TooManyConnections,
)
Target = Annotated[str, Field(min_length=1, max_length=50)]
Statement = Annotated[str, Field(min_length=1, max_length=20_000)]
Parameters = Annotated[list[Any], Field(max_length=200)]
Connection = psycopg.Connection[Any]


def secrets_for(args: dict[str, Any]) -> dict[str, str]:
    """How to connect to the target that is named; nothing for one that is not known."""
    name = args.get("target")
    return {str(name): settings.SQL_TARGETS[name]} if name in settings.SQL_TARGETS else {}


@tool(name="sql.query", effect="read", untrusted=True, secrets=secrets_for, timeout=45, sentence="Query {target}")
def sql_query(call: ToolCall, target: Target, statement: Statement, parameters: Parameters | None = None) -> Any:
    """Read from a database.

    One statement with `$1`, `$2`, … for its parameters. Answers `rows` as objects, at most 1,000 and 1 MiB, and
    whether that is `truncated`. Numbers with a fraction come as text, so that none is rounded.
    """
    _first_word(statement, READS)
    # In lines of its own: a comment at the statement's end must not swallow what comes after.
    wrapped = f"select left(row_to_json(q)::text, {ROW_CHARACTERS + 1}) from (\n{statement}\n) q limit {ROWS + 1}"
    with _connected(call, target) as connection:
        connection.read_only = True
        with _refusals(connection):
            _limit(connection)
            return _rows(connection, wrapped, parameters or [])


@tool(name="sql.execute", effect="write", retry_safety="keyed", secrets=secrets_for, timeout=45,
      sentence="Change {target}: {statement}")  # fmt: skip
def sql_execute(call: ToolCall, target: Target, statement: Statement, parameters: Parameters | None = None) -> Any:
    """Change a database, once.

    One insert, update, delete or merge with `$1`, `$2`, … for its parameters. Answers `count`, how many rows it
    changed, and up to 100 `rows` where it returns some.
    """
    _first_word(statement, WRITES)
    with _connected(call, target) as connection:
        with _refusals(connection):
            _limit(connection)
            if (known := _known(connection, call.idempotency_key)) is not None:
                return known[0]
            answer = _changed(connection, statement, parameters or [])
            keep = "update standfast_keys set answer = %s where key = %s"
            connection.execute(keep, (Jsonb(answer), call.idempotency_key))
        _commit(connection)
    crashpoints.reach("call_answered")
    return answer


def _first_word(statement: str, allowed: tuple[str, ...]) -> None:
    """Refuse what is no plain statement: above all, what would end the transaction that holds the key."""
    rest = statement
    while (found := COMMENT.match(rest)) is not None:
        rest = rest[found.end():]
    word = re.match(r"[a-zA-Z]*", rest)
    if word is None or word[0].lower() not in allowed:
        raise ToolFailed(f"A statement begins with one of: {', '.join(allowed)}.", code="not_allowed")


@contextmanager
def _connected(call: ToolCall, target: str) -> Iterator[Connection]:
    """A session of its own. Raises ToolFailed for an unknown target, TryLater where it can not be reached."""
    if target not in call.secrets:
        known = ", ".join(sorted(settings.SQL_TARGETS)) or "none"
        raise ToolFailed(f"There is no target {target!r}; known: {known}.", code="unknown_target")
    try:
        connection = psycopg.connect(
            call.secrets[target], connect_timeout=CONNECT_SECONDS, application_name="standfast tool",
            keepalives_idle=5, keepalives_interval=2, keepalives_count=2, tcp_user_timeout=10_000,
        )
    except psycopg.ProgrammingError as error:
        raise ToolFailed(f"The secret of {target!r} is no connection string.", code="wrong_target") from error
    except psycopg.OperationalError as error:
        raise TryLater(f"{target} can not be reached; nothing was done.") from error
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _refusals(connection: Connection) -> Iterator[None]:
    """What goes wrong before the commit changed nothing: later, or no."""
    try:
        yield
    except LATER as error:
        raise TryLater(f"The database asks to try again: {_words(error)}") from error
    except errors.UndefinedTable as error:
        if "standfast_keys" in str(error):
            raise ToolFailed(f"The target lacks its table of keys; make it by: {KEY_TABLE}", code="no_keys") from error
        raise ToolFailed(_words(error), code="sql_42P01") from error
    except psycopg.Error as error:
        if connection.broken:
            raise TryLater("The connection was lost before the commit; nothing was done.") from error
        raise ToolFailed(_words(error), code=f"sql_{error.sqlstate or 'error'}") from error


def _words(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip()[:500]


def _limit(connection: Connection) -> None:
    """No statement of this transaction runs or waits for long, and a session that is left behind is ended."""
    connection.execute(
        "select set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true),"
        " set_config('idle_in_transaction_session_timeout', %s, true)",
        (f"{STATEMENT_SECONDS}s", f"{LOCK_SECONDS}s", f"{STATEMENT_SECONDS}s"),
    )


def _known(connection: Connection, key: str) -> tuple[Any] | None:
    """What was answered under this key; None where it is new, and then it is taken. Waits for a call under way."""
    taken = connection.execute("insert into standfast_keys (key) values (%s) on conflict do nothing", (key,))
    if taken.rowcount:
        return None
    row = connection.execute("select answer from standfast_keys where key = %s", (key,)).fetchone()
    if row is None:
        raise TryLater("The key's row was just removed.")
    return (row[0],)


def _changed(connection: Connection, statement: str, parameters: list[Any]) -> dict[str, Any]:
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(statement, _given(parameters), prepare=True)  # prepared, it is one statement alone
        if connection.info.transaction_status is not TransactionStatus.INTRANS:
            raise OutcomeUnknown("The statement ended its transaction.")
        answer: dict[str, Any] = {"count": cursor.rowcount}
        if cursor.description is None:
            return answer
        names = [column.name for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(RETURNED)]
        told = to_json(found, bytes_mode="base64", inf_nan_mode="strings", fallback=str)
        fits = len(told) <= ANSWER_CHARACTERS
        rows = json.loads(told) if fits else []
        return {**answer, "rows": rows, "truncated": not fits or cursor.rowcount > RETURNED}


def _commit(connection: Connection) -> None:
    """Raises TryLater, ToolFailed where the database refuses it; OutcomeUnknown where nobody heard."""
    crashpoints.reach("call_sent")
    try:
        connection.commit()
    except psycopg.Error as error:
        if connection.broken or error.sqlstate is None:
            raise OutcomeUnknown("The connection was lost while it was committed.") from error
        if isinstance(error, LATER):
            raise TryLater(f"The database asks to try again: {_words(error)}") from error
        raise ToolFailed(_words(error), code=f"sql_{error.sqlstate}") from error


def _rows(connection: Connection, statement: str, parameters: list[Any]) -> dict[str, Any]:
    """Row by row, so that no more is in memory than is answered."""
    rows: list[Any] = []
    size, truncated = 0, False
    with psycopg.RawCursor(connection) as cursor:
        for (text,) in cursor.stream(statement, _given(parameters)):
            size += len(text)
            if len(text) > ROW_CHARACTERS:
                raise ToolFailed(f"A row is larger than {ROW_CHARACTERS:,} characters.", code="too_large")
            if len(rows) == ROWS or size > ANSWER_CHARACTERS:
                truncated = True
                break
            rows.append(json.loads(text, parse_float=str))
    return {"rows": rows, "truncated": truncated}


def _given(parameters: list[Any]) -> list[Any]:
    return [Jsonb(value) if isinstance(value, dict | list) else value for value in parameters]
