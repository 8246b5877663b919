"""What stands around one job: bubblewrap's words, and what its process does to itself before it becomes bubblewrap.

Runs in the supervisor alone, which has one thread, so that forking is safe. Imports nothing of Django.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from missions.sandbox import frames, kernel
from missions.sandbox.cgroups import Group

SHM_BYTES, TMP_BYTES = 16 * 1024 * 1024, 64 * 1024 * 1024  # in memory, and counted with it
OPEN_FILES = 1024
PROXY_PORT = 3128
USER = 1000  # who it is inside
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
PUBLIC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/localtime")  # no secrets; programs want them
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
NAMESPACES = ("user", "pid", "ipc", "uts")


@dataclass(slots=True, kw_only=True)
class Measures:
    """What is done to keep a job in. Tests switch one off to see that it was this which held."""

    seccomp: bool = True
    cgroup: bool = True
    scrub: bool = True  # bubblewrap itself gets no environment
    drop: bool = True  # a user of its own
    network: bool = True
    disk: bool = True


@dataclass(slots=True, kw_only=True)
class Setting:
    """One job as the supervisor prepared it."""

    argv: list[str]
    env: dict[str, str]
    workspace: str = ""  # where its file system is mounted; empty: none
    readable: list[tuple[str, str]] = field(default_factory=list)  # where it lies for the job's user, where it appears
    egress: bool = False
    cpu_seconds: int = 60
    disk_bytes: int = 0
    user: int | None = None  # who it becomes; None: whoever we are
    filter: bytes = b""
    group: Group | None = None
    measures: Measures = field(default_factory=Measures)


def words(setting: Setting) -> list[str]:
    """bubblewrap's options; its command follows on the command line, which the job can read, unlike these."""
    found = [word for name in NAMESPACES for word in (f"--unshare-{name}",)]
    found += ["--unshare-cgroup-try", "--disable-userns", "--uid", str(USER), "--gid", str(USER)]
    if setting.measures.network and not setting.egress:
        found.append("--unshare-net")
    found += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    found += _system()
    found += ["--proc", "/proc", "--dev", "/dev", "--size", str(SHM_BYTES), "--tmpfs", "/dev/shm"]
    found += ["--size", str(TMP_BYTES), "--tmpfs", "/tmp"]
    for source, target in setting.readable:
        found += ["--ro-bind", source, target]
    if setting.workspace:
        found += ["--bind", setting.workspace, "/workspace"]
    for name, value in _environment(setting).items():
        found += ["--setenv", name, value]
    home = "/workspace" if setting.workspace else "/tmp"
    return [*found, "--chdir", home, "--remount-ro", "/dev", "--remount-ro", "/"]


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in SYSTEM:
        place = Path("/", name)
        if place.is_symlink():
            yield from ("--symlink", os.readlink(place), str(place))
        elif place.is_dir():
            yield from ("--ro-bind", str(place), str(place))
    for public in PUBLIC:
        yield from ("--ro-bind-try", public, public)


def _environment(setting: Setting) -> dict[str, str]:
    home = "/workspace" if setting.workspace else "/tmp"
    found = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    if setting.egress:
        proxy = f"http://127.0.0.1:{PROXY_PORT}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        found |= dict.fromkeys(names, proxy) | {"NODE_USE_ENV_PROXY": "1"}
    return found | setting.env


def become(setting: Setting, *, bwrap: str, streams: tuple[int, int, int], info: int, told: socket.socket) -> NoReturn:
    """In the forked child: confine ourselves, then become bubblewrap. What fails is told, and ends the process."""
    supervisor = os.getppid()
    try:
        os.setsid()
        if setting.group is not None and setting.measures.cgroup:
            setting.group.enter()
        if setting.egress:
            listener = _network()
            frames.send(told, {"listening": PROXY_PORT}, [listener.fileno()])
        for target, source in enumerate(streams):
            os.dup2(source, target)
        command = [bwrap, "--args", str(_inherited(_packed(words(setting)))), "--info-fd", str(info)]
        if setting.measures.seccomp and setting.filter:
            command += ["--seccomp", str(_inherited(setting.filter))]
        os.set_inheritable(info, True)
        _limit(setting)
        _drop(setting, supervisor)
        os.execve(bwrap, [*command, "--", *setting.argv], {} if setting.measures.scrub else dict(os.environ))
    except BaseException as error:
        frames.send(told, {"error": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(127)


def _packed(options: list[str]) -> bytes:
    """As bubblewrap reads them from a file. Raises ValueError for a NUL, which would begin an option of its own."""
    if any("\0" in word for word in options):
        raise ValueError("a path or a variable of the job holds a NUL")
    return b"".join(os.fsencode(word) + b"\0" for word in options)


def _inherited(content: bytes) -> int:
    file = os.memfd_create("standfast", 0)
    os.write(file, content)
    os.lseek(file, 0, os.SEEK_SET)
    os.set_inheritable(file, True)
    return file


def _network() -> socket.socket:
    """A network that has nothing but loopback, and a socket that listens there: who accepts is outside."""
    kernel.unshare(kernel.CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", PROXY_PORT))
    listener.listen(64)
    return listener


def _limit(setting: Setting) -> None:
    most: dict[int, Any] = {
        resource.RLIMIT_CPU: setting.cpu_seconds, resource.RLIMIT_NOFILE: OPEN_FILES, resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0, resource.RLIMIT_MSGQUEUE: 0,
    }  # fmt: skip
    if setting.measures.disk:
        most[resource.RLIMIT_FSIZE] = max(setting.disk_bytes, TMP_BYTES)
    for name, value in most.items():
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def _drop(setting: Setting, supervisor: int) -> None:
    """Give up root for good. The order matters: what changes the user forgets with whom to die."""
    if setting.user is not None:
        os.setgroups([])
        os.setresgid(setting.user, setting.user, setting.user)
        os.setresuid(setting.user, setting.user, setting.user)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(127)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and an exec would hand on
        signal.signal(number, signal.SIG_DFL)
