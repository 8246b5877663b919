"""`sql.*`: once a key, in the target's own transaction; queries only read; sizes and times are bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pytest_django import Settings

from missions.authoring import ToolFailed, TryLater
from missions.engine.dsn import conninfo
from missions.library.bundled import sql
from missions.secrets import redacting
from tests.bundled import call_of, called

pytestmark = pytest.mark.django_db(transaction=True)
INSERT = "insert into stock (item, count) values ($1, $2)"


@pytest.fixture
def stock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """A target of its own: a schema beside the platform's tables, made as the documents say."""
    with psycopg.connect(conninfo("target"), autocommit=True) as connection:
        connection.execute("drop schema if exists target cascade; create schema target; set search_path = target")
        connection.execute("create table stock (item text unique, count int check (count >= 0))")
        connection.execute(sql.KEY_TABLE)
        monkeypatch.setenv("STOCK_DSN", conninfo("target") + " options='-c search_path=target'")
        settings.SQL_TARGETS = {"stock": "env:STOCK_DSN", "absent": "env:NOT_SET_ANYWHERE"}
        yield connection
        connection.execute("drop schema target cascade")
    redacting.forget()


def change(statement: str, *parameters: Any, key: str = "") -> Any:
    return called("sql.execute", call_of(key), target="stock", statement=statement, parameters=list(parameters))


def query(statement: str, *parameters: Any) -> Any:
    return called("sql.query", target="stock", statement=statement, parameters=list(parameters))


def items(stock: psycopg.Connection[Any]) -> list[Any]:
    return stock.execute("select item, count from stock order by 1").fetchall()


def test_a_change_is_made_once_a_key_and_answers_the_same(stock: psycopg.Connection[Any]) -> None:
    statement = "insert into stock (item, count) values ($1, $2) returning item, count * 1.5 as price"
    first = change(statement, "nut", 3, key="a" * 64)
    assert first == {"count": 1, "rows": [{"item": "nut", "price": "4.5"}], "truncated": False}
    assert change(statement, "nut", 3, key="a" * 64) == first
    assert items(stock) == [("nut", 3)]
    assert change("update stock set count = count + 1", key="b" * 64) == {"count": 1}


def test_a_repeated_call_waits_for_the_one_before(stock: psycopg.Connection[Any]) -> None:
    """Two at once under one key, as after a takeover: one of them changes something."""
    answers, together = list[Any](), threading.Barrier(2)

    def call() -> None:
        together.wait()
        answers.append(change("insert into stock select 'bolt', 1 from pg_sleep(0.2)", key="c" * 64))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{"count": 1}, {"count": 1}] and items(stock) == [("bolt", 1)]


def test_a_change_that_fails_leaves_no_key_behind(stock: psycopg.Connection[Any]) -> None:
    with pytest.raises(ToolFailed) as caught:
        change(INSERT, "nut", -1, key="d" * 64)
    assert caught.value.facts["code"] == "sql_23514"
    assert stock.execute("select count(*) from standfast_keys").fetchone() == (0,)
    assert change(INSERT, "nut", 1, key="d" * 64) == {"count": 1}


@pytest.mark.parametrize(
    "statement",
    ["commit", "/* a */ -- b\n rollback", "begin", "drop table stock", "truncate stock", "copy stock from program 'id'",
     "insert into stock values ('a', 1); commit", "select 1; drop table stock", "do $$ begin commit; end $$", "", ";",
     "call thing()", "set role postgres"],
)  # fmt: skip
def test_what_is_no_single_plain_statement_changes_nothing(stock: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises((ToolFailed, Exception)) as caught:
        change(statement, key="e" * 64)
    assert isinstance(caught.value, ToolFailed) or statement == ""
    assert items(stock) == [] and stock.execute("select count(*) from standfast_keys").fetchone() == (0,)


def test_without_a_table_of_keys_nothing_is_done_and_the_remedy_is_told(stock: psycopg.Connection[Any]) -> None:
    stock.execute("drop table standfast_keys")
    with pytest.raises(ToolFailed, match="create table standfast_keys"):
        change(INSERT, "nut", 1)
    assert items(stock) == []


def test_a_query_answers_objects_and_rounds_nothing(stock: psycopg.Connection[Any]) -> None:
    stock.execute("insert into stock values ('nut', 3), ('it''s', 4)")
    found = query("select item, count, 1.10::numeric as price, $1::text as x from stock order by 1 -- all", "y; drop")
    assert found == {"truncated": False, "rows": [
        {"item": "it's", "count": 4, "price": "1.10", "x": "y; drop"},
        {"item": "nut", "count": 3, "price": "1.10", "x": "y; drop"},
    ]}  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    ["with gone as (delete from stock returning 1) select * from gone", "select nextval('s')",
     "select set_config('transaction_read_only', 'off', false), lo_create(0)", "select * from stock for update",
     "select 1) q; delete from stock; select (1", "delete from stock", "explain analyze delete from stock",
     "select lo_create(0)"],
)  # fmt: skip
def test_a_query_changes_nothing(stock: psycopg.Connection[Any], statement: str) -> None:
    stock.execute("create sequence s; insert into stock values ('nut', 3)")
    with pytest.raises(ToolFailed):
        query(statement)
    assert items(stock) == [("nut", 3)] and stock.execute("select is_called from s").fetchone() == (False,)


def test_answers_are_bounded_in_rows_size_and_width(stock: psycopg.Connection[Any]) -> None:
    many = query("select n from generate_series(1, 100000000) n")
    assert (len(many["rows"]), many["truncated"]) == (1000, True)
    wide = query("select repeat('x', 60000) as x from generate_series(1, 100)")
    assert wide["truncated"] and 10 < len(wide["rows"]) < 20
    with pytest.raises(ToolFailed, match="larger than"):
        query("select repeat('x', 100000000) as x")
    returned = change("insert into stock select n::text, n from generate_series(1, 500) n returning item")
    assert (returned["count"], len(returned["rows"]), returned["truncated"]) == (500, 100, True)


def test_a_slow_statement_and_a_lock_are_given_up(
    stock: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "STATEMENT_SECONDS", 2.0)
    monkeypatch.setattr(sql, "LOCK_SECONDS", 0.2)
    with pytest.raises(ToolFailed) as caught:
        query("select pg_sleep(30)")
    assert caught.value.facts["code"] == "sql_57014"
    with stock.transaction():
        stock.execute("lock table stock")
        with pytest.raises(TryLater):
            change(INSERT, "nut", 1)
    assert items(stock) == []


def test_targets_that_are_unknown_or_away(stock: psycopg.Connection[Any], settings: Settings, monkeypatch: Any) -> None:
    with pytest.raises(ToolFailed, match="known: absent, stock"):
        called("sql.query", target="elsewhere", statement="select 1")
    monkeypatch.setenv("AWAY_DSN", "host=127.0.0.1 port=9 password=canary-of-away")
    monkeypatch.setenv("WRONG_DSN", "no connection string, canary-of-wrong")
    settings.SQL_TARGETS = {"away": "env:AWAY_DSN", "wrong": "env:WRONG_DSN"}
    with pytest.raises(TryLater) as away:
        called("sql.execute", target="away", statement=INSERT)
    with pytest.raises(ToolFailed) as wrong:
        called("sql.execute", target="wrong", statement=INSERT)
    assert "canary" not in f"{away.value} {wrong.value}"


def test_odd_values_go_in_and_come_out(stock: psycopg.Connection[Any]) -> None:
    stock.execute("create table odd (j jsonb, b bytea, f float8, n numeric, t timestamptz, a int[])")
    answer = change(
        "insert into odd values ($1, '\\x00ff', 'NaN', '12345678901234567890.5', '2026-01-01Z', '{1,2}') returning *",
        {"a": [1, None]},
    )
    (row,) = answer["rows"]
    assert (row["j"], row["b"], row["f"], row["n"], row["a"]) == (
        {"a": [1, None]}, "AP8=", "NaN", "12345678901234567890.5", [1, 2],
    )  # fmt: skip
