"""Reading of DATABASE_URL, the kept secret, and which commands need a database."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from config import embedded, env, reach, secret


def test_url_becomes_a_django_database() -> None:
    url = "postgres://ann:p%40ss@db.example:5433/work?sslmode=require"
    entry = embedded.database(url, Path("/unused"), pooled=False)
    assert {key: entry[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")} == {
        "NAME": "work", "USER": "ann", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": "5433",
    }  # fmt: skip
    assert entry["OPTIONS"] == {"sslmode": "require"}
    assert entry["CONN_MAX_AGE"] is None


def test_pooled_connections_are_not_kept_by_django_too() -> None:
    entry = embedded.database("postgres:///work", Path("/unused"), pooled=True)
    assert entry["CONN_MAX_AGE"] == 0
    assert entry["OPTIONS"]["pool"]["max_size"] >= 1


@pytest.mark.parametrize("url", ["sqlite:///file.db", "postgres://host", "postgres://h/db?nonsense=1", "just words"])
def test_unusable_url_stops_start_up_and_names_the_variable(url: str) -> None:
    with pytest.raises(env.SettingError, match="DATABASE_URL"):
        embedded.database(url, Path("/unused"), pooled=True)


def test_message_about_an_unusable_url_hides_the_password() -> None:
    with pytest.raises(env.SettingError) as caught:
        embedded.database("mysql://ann:hush@host/db", Path("/unused"), pooled=True)
    assert "hush" not in str(caught.value)


def test_several_starters_keep_the_same_secret(tmp_path: Path) -> None:
    path, found = tmp_path / "new" / "secret", []
    barrier = threading.Barrier(8)

    def starter(number: int) -> None:
        barrier.wait()
        found.append(secret.kept(path, lambda: f"secret-{number}"))

    threads = [threading.Thread(target=starter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    "argv", [["manage.py"], ["manage.py", "help"], ["manage.py", "--version"], ["manage.py", "migrate", "--help"]]
)
def test_commands_without_need_of_a_database_start_none(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    embedded.ensure_for_command(argv)
    assert not (tmp_path / "data").exists()


def test_unreachable_server_ends_the_command_with_the_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none")
    with pytest.raises(SystemExit, match="DATABASE_URL"):
        embedded.ensure_for_command(["manage.py", "migrate"])


@pytest.mark.parametrize("entry", ["api.example.org", "api.example.org:443;X-Key=", "*.example.org:443;X-Key=hush"])
def test_a_wrong_place_stops_start_up_and_shows_no_header(entry: str) -> None:
    with pytest.raises(env.SettingError, match="HTTP_TOOL_HOSTS") as caught:
        reach.places([entry])
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("entry", ["stock", "stock=postgres://ann:hush@host/db", "Stock=env:X", "=env:X", "stock=env:"])
def test_a_target_wants_a_reference_and_a_connection_string_is_not_shown(entry: str) -> None:
    with pytest.raises(env.SettingError, match="SQL_TARGETS") as caught:
        reach.targets([entry])
    assert "hush" not in str(caught.value)
    assert reach.targets(["stock=env:STOCK_URL", "other=db:other"]) == {"stock": "env:STOCK_URL", "other": "db:other"}
