"""What a job takes too much of, it does not get: memory, processes, time, disk, output. Nothing of it stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from missions.errors import SandboxRefused
from missions.sandbox import driver, launching, supervisor
from missions.sandbox.bubblewrap import BubblewrapDriver
from missions.sandbox.jobs import MIB, Job
from tests import sandboxed

pytestmark = sandboxed.needs_bubblewrap
FORKS = """
import os, sys, time
count = 0
try:
    while count < 100:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError:
    pass
print(count, flush=True)
time.sleep(float(sys.argv[1]))
"""
FILLS = """
import sys
written = 0
try:
    for number in range(80):
        with open(f"{sys.argv[1]}/fill-{number}", "wb") as file:
            file.write(b"x" * (1 << 20))
        written += 1
except OSError as error:
    print(error.strerror, end=": ")
print(written)
"""
NAMES = """
import errno, os
count = 0
try:
    while count < 50_000:
        open(f"/workspace/{count}", "w").close()
        count += 1
except OSError as error:
    print(errno.errorcode[error.errno])
for number in range(count):
    os.unlink(f"/workspace/{number}")
"""


def left(mark: str) -> list[int]:
    """Processes of this host with this word in their command line."""
    found = (process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"])
    return [process.pid for process in found if any(mark in word for word in process.info["cmdline"])]


async def started(mark: str) -> None:
    """Return once a process with this word is there. Raises AssertionError if none comes."""
    give_up = time.monotonic() + 20
    while not await asyncio.to_thread(left, mark):
        assert time.monotonic() < give_up, f"no process with {mark}"
        await asyncio.sleep(0.01)


def gone(mark: str) -> bool:
    give_up = time.monotonic() + 10
    while left(mark):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


@sandboxed.needs_groups
def test_fork_bomb_stops_at_the_limit_and_is_killed_when_its_time_is_over() -> None:
    done = sandboxed.python(FORKS, "60", pids=40, wall_seconds=5)
    assert (done.killed_for, done.code, done.signal) == ("wall", None, signal.SIGKILL)
    assert 20 < int(done.stdout) < 40 and done.took_seconds < 40
    shell = sandboxed.run("/bin/bash", "-c", ":(){ :|:& };:; sleep 60 # bomb-of-bash", pids=40, wall_seconds=1)
    assert shell.killed_for == "wall" and gone("bomb-of-bash")


@sandboxed.needs_groups
def test_memory_bomb_is_killed_for_memory() -> None:
    done = sandboxed.python("held = [bytearray(1 << 20) for _ in range(4096)]", memory_bytes=128 * MIB)
    assert (done.killed_for, done.code) == ("memory", None)


@sandboxed.needs_groups
def test_without_control_groups_bombs_go_off(tmp_path: Path) -> None:
    with sandboxed.supervised(tmp_path / "box", "cgroup") as by:
        bomb = "held = [bytearray(1 << 20) for _ in range(300)]; print(len(held))"
        assert sandboxed.python(bomb, by=by, memory_bytes=64 * MIB).stdout == b"300\n"
        assert sandboxed.python(FORKS, "0", by=by, pids=40).stdout == b"100\n"


def test_spinning_ends_with_its_processor_time() -> None:
    done = sandboxed.python("while True: pass", cpu_seconds=1, wall_seconds=20)
    assert done.signal == signal.SIGKILL and done.killed_for == ""


@pytest.mark.parametrize(("folder", "most"), [("/tmp", 64), ("/dev/shm", 16), ("/workspace", 8)])
def test_disks_are_of_their_size(folder: str, most: int, tmp_path: Path) -> None:
    done = sandboxed.python(FILLS, folder, workspace=tmp_path, disk_bytes=8 * MIB)
    why, written = done.stdout.decode().split(": ")
    assert (why, most - 1 <= int(written) <= most) == ("No space left on device", True)


def test_without_the_measure_many_files_fill_more_than_the_disk(tmp_path: Path) -> None:
    with sandboxed.supervised(tmp_path / "box", "disk") as by:
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        done = sandboxed.python(FILLS, "/workspace", by=by, workspace=workspace, disk_bytes=8 * MIB)
    assert done.stdout == b"80\n"
    assert any("larger together" in why for why in done.left_out)  # and yet no more than that comes back


def test_names_come_to_an_end(tmp_path: Path) -> None:
    done = sandboxed.python(NAMES, workspace=tmp_path)
    assert done.stdout == b"ENOSPC\n"


def test_one_huge_file_is_cut(tmp_path: Path) -> None:
    code = "file = open('/workspace/big', 'wb')\nfor _ in range(200): file.write(b'x' * (1 << 20))"
    done = sandboxed.python(code, workspace=tmp_path, disk_bytes=8 * MIB)
    assert done.code not in (0, None) and (tmp_path / "big").stat().st_size <= 8 * MIB


def test_flood_of_output_is_cut_and_ends_the_job() -> None:
    done = sandboxed.run("/usr/bin/yes", output_bytes=100_000)
    assert (done.killed_for, done.truncated, len(done.stdout)) == ("output", True, 100_000)
    fits = sandboxed.run("/bin/sh", "-c", "head -c 1000 /dev/zero", output_bytes=1000)
    assert (fits.killed_for, fits.truncated, len(fits.stdout)) == ("", False, 1000)


def test_daemons_do_not_outlive_their_job() -> None:
    code = "setsid nohup sleep 1234567 >/dev/null 2>&1 & sleep 0.1; exit 3"
    assert sandboxed.run("/bin/sh", "-c", code).code == 3
    held = "(setsid sleep 1234567) & exit 4"  # holds the pipes open
    begun = time.monotonic()
    assert sandboxed.run("/bin/sh", "-c", held, wall_seconds=30).code == 4
    assert time.monotonic() - begun < 10 and gone("1234567")


def test_input_reaches_it_and_what_it_does_not_read_harms_nobody() -> None:
    assert sandboxed.run("/bin/cat", stdin=b"x" * 200_000, output_bytes=MIB).stdout == b"x" * 200_000
    assert sandboxed.run("/bin/true", stdin=b"x" * 2_000_000).code == 0


@contextlib.contextmanager
def killed_supervisor(
    folder: Path, *, swept: bool = True
) -> Iterator[tuple[BubblewrapDriver, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "missions.sandbox.supervisor", "--folder", str(folder)]
    process = subprocess.Popen(command)
    try:
        while not (folder / supervisor.SOCKET).exists():
            time.sleep(0.01)
        yield BubblewrapDriver(folder), process
    finally:
        process.kill()
        process.wait()
        if swept:
            Path((folder / supervisor.PLACE).read_text()).rmdir()


async def test_jobs_die_with_their_supervisor_and_the_next_one_sweeps(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    with killed_supervisor(folder, swept=False) as (by, process):
        running = await by.start(Job(argv=("/bin/sleep", "7654321"), workspace=tmp_path))
        await started("7654321")
        process.kill()
        with pytest.raises(ConnectionError, match="supervisor has gone"):
            await running.ended()
        await running.close()
        assert await asyncio.to_thread(gone, "7654321")
    give_up = time.monotonic() + 60
    while groups := groups_of(folder):
        assert time.monotonic() < give_up, groups
        await asyncio.sleep(0.05)
    place = Path((folder / supervisor.PLACE).read_text())
    assert place.exists()
    (folder / supervisor.SOCKET).unlink()
    with sandboxed.supervised(folder) as again:
        assert not place.exists()
        after = await again.start(Job(argv=("/bin/true",)))
        assert (await after.ended()).status == 0
        await after.close()


def groups_of(folder: Path) -> list[str]:
    """The control groups of its jobs. Others come and go meanwhile, which `os.walk` minds less than a glob does."""
    name = f"standfast-{supervisor.Surroundings.owner(folder)}-"
    return [group for _, groups, _ in os.walk("/sys/fs/cgroup") for group in groups if group.startswith(name)]


async def test_run_whose_supervisor_is_killed_fails_and_leaves_nothing(tmp_path: Path) -> None:
    with killed_supervisor(tmp_path / "box") as (by, process):
        job = Job(argv=("/bin/sleep", "1357924"), workspace=tmp_path, stdin=b"x" * 1_000_000)
        running = await by.start(job)
        following = asyncio.create_task(launching.followed(job, running))
        await started("1357924")
        process.kill()
        with pytest.raises(ConnectionError, match="supervisor has gone"):
            await following
        await running.close()
        assert await asyncio.to_thread(gone, "1357924")


async def test_jobs_die_with_their_client(tmp_path: Path) -> None:
    code = (
        "import asyncio, os\n"
        "from pathlib import Path\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "from missions.sandbox.bubblewrap import BubblewrapDriver\n"
        "from missions.sandbox.jobs import Job\n"
        "async def main():\n"
        f"    await BubblewrapDriver(Path({str(tmp_path / 'box')!r})).start(Job(argv=('/bin/sleep', '2345678')))\n"
        "    print('started', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with sandboxed.supervised(tmp_path / "box"):
        client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert client.stdout is not None and client.stdout.readline() == b"started\n"
        await started("2345678")
        client.kill()
        client.wait()
        client.stdout.close()
        assert await asyncio.to_thread(gone, "2345678")


async def test_job_ends_when_nobody_waits_for_it_any_more() -> None:
    waiting = asyncio.create_task(launching.run(Job(argv=("/bin/sleep", "3456789"))))
    await started("3456789")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(gone, "3456789")


async def test_session_is_talked_to_and_ends_when_it_is_closed(tmp_path: Path) -> None:
    code = 'while read line; do echo "told $line" >&2; echo $line >> said; echo "heard $line"; done'
    session = await launching.open_session(Job(argv=("/bin/sh", "-c", code), workspace=tmp_path, wall_seconds=0))
    for word in (b"one", b"two"):
        session.stdin.write(word + b"\n")
        await session.stdin.drain()
        assert await session.stdout.readline() == b"heard " + word + b"\n"
    assert session.attempts() == ()
    await session.close()
    await session.close()
    ended = await session.wait()
    assert (ended.killed_for, ended.stderr) == ("cancelled", b"told one\ntold two\n")
    assert session.stderr_tail() == ended.stderr and (tmp_path / "said").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("facts", [{"env": {"A": "x\0--bind\0/\0/host"}}, {"readable": ("/usr\0--bind\0/\0/host",)}])
def test_nothing_in_a_job_becomes_an_option_of_bubblewrap(facts: dict[str, Any]) -> None:
    with pytest.raises((SandboxRefused, ValueError), match=r"NUL|null|No such file|Not a directory"):
        sandboxed.run("/bin/ls", "/host", **facts)


async def test_session_says_when_its_program_ends_by_itself() -> None:
    session = await launching.open_session(Job(argv=("/bin/sh", "-c", "echo bye; exit 5"), wall_seconds=0))
    assert (await session.stdout.read()) == b"bye\n"
    assert ((await session.wait()).code, (await session.wait()).signal) == (5, None)
    await session.close()


async def test_supervisor_is_started_where_none_runs_and_leaves_when_nobody_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("missions.sandbox.bubblewrap.LINGER_SECONDS", 1.0)
    by = BubblewrapDriver(tmp_path / "box")
    jobs = await asyncio.gather(*(by.start(Job(argv=("/bin/true",))) for _ in range(3)))
    for job in jobs:
        assert (await job.ended()).status == 0
        await job.close()
    assert await asyncio.to_thread(gone, str(by.folder))


async def test_job_inherits_no_open_file_of_whoever_started_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("missions.sandbox.bubblewrap.LINGER_SECONDS", 1.0)
    by = BubblewrapDriver(tmp_path / "box")
    with open(tmp_path / "ours", "w+") as ours:
        os.set_inheritable(ours.fileno(), True)
        first = await by.start(Job(argv=("/bin/sleep", "9876543"), workspace=tmp_path))
        second = await by.start(Job(argv=("/bin/sh", "-c", "ls /proc/self/fd | wc -w"), workspace=tmp_path))
        await second.ended()
        assert os.read(second.stdout, 100) == b"4\n"  # three streams, and the listing
        for process in (first, second):
            await process.close()


def test_nobody_else_may_use_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="nobody else may enter"):
        supervisor.private(tmp_path / "open")
    if os.geteuid() != 0:
        pytest.skip("only root can call as somebody else")
    with sandboxed.supervised(tmp_path / "box") as by:
        for folder in (by.folder, *by.folder.parents):  # as if the folder were open: the kernel still says who calls
            if folder.is_relative_to(tmp_path.parent):
                folder.chmod(0o755)
        (by.folder / supervisor.SOCKET).chmod(0o666)
        code = (
            "import os, socket, sys\n"
            "folder = os.open(sys.argv[1], os.O_PATH)\n"
            "caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "caller.connect(f'/proc/self/fd/{folder}/supervisor.sock')\n"
            "print(len(caller.recv(10)))\n"
        )
        done = subprocess.run(
            [driver.interpreter()[0], "-c", code, str(by.folder)], user=65534, group=65534, extra_groups=[],
            capture_output=True, check=False,
        )  # fmt: skip
    assert done.stdout == b"0\n" or b"ermission" in done.stderr, done
