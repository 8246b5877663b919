"""Attempts to escape, run by a Python inside the sandbox: `python -I escapes.py`, with facts as its input.

Standard library alone.

Prints one JSON object, attempt → what came of it: "DONE …" where it succeeded, else what stopped it. Each runs in a
process of its own, since some end it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

FACTS: dict[str, Any] = json.load(sys.stdin) if __name__ == "__main__" else {}
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_NET, NEW_NS = 0x10000000, 0x40000000, 0x20000
NUMBERS = {
    "x86_64": {
        "ptrace": 101, "add_key": 248, "keyctl": 250, "unshare": 272, "clone": 56, "mount": 165, "umount2": 166,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "setns": 308, "chroot": 161, "syslog": 103,
        "personality": 135, "open_by_handle_at": 304, "process_vm_readv": 310, "pivot_root": 155,
        "kexec_load": 246, "reboot": 169, "swapon": 167, "delete_module": 176,
    },
    "aarch64": {
        "ptrace": 117, "add_key": 217, "keyctl": 219, "unshare": 97, "clone": 220, "mount": 40, "umount2": 39,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "setns": 268, "chroot": 51, "syslog": 116,
        "personality": 92, "open_by_handle_at": 265, "process_vm_readv": 270, "pivot_root": 41,
        "kexec_load": 104, "reboot": 142, "swapon": 224, "delete_module": 106,
    },
}[os.uname().machine]  # fmt: skip
NUMBERS |= {"io_uring_setup": 425, "clone3": 435, "pidfd_getfd": 438, "open_tree": 428, "fsopen": 430}


def ask(name: str, *arguments: Any) -> str:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    found = LIBC.syscall(ctypes.c_long(NUMBERS[name]), *words)
    if found < 0:
        return errno.errorcode[ctypes.get_errno()]
    if name == "clone" and found == 0:
        os._exit(0)
    return f"DONE {found}"


def read(path: str) -> str:
    with open(path, "rb") as file:
        return f"DONE {file.read(20)!r}"


def write(path: str) -> str:
    with open(path, "w") as file:
        file.write("1")
    return "DONE"


def listed(folder: str, name: str) -> str:
    return "DONE" if name in os.listdir(folder) else "not there"


def found_in(path: str, text: str) -> str:
    with open(path, "rb") as file:
        return "DONE" if text.encode() in file.read() else "not there"


def connect(family: int, address: Any) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(2)
        tried.connect(address)
    return "DONE"


def open_socket(family: int, kind: int = 1, protocol: int = 0) -> str:
    found = LIBC.socket(ctypes.c_long(family), ctypes.c_long(kind), ctypes.c_long(protocol))
    return f"DONE {found}" if found >= 0 else errno.errorcode[ctypes.get_errno()]


def trace_child() -> str:
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        return ask("ptrace", 16, child, 0, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def machine_code(code: bytes) -> str:
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return f"DONE {call()}"


def by_32_bits() -> str:
    """getpid by the numbers of i386, which another table of system calls answers."""
    return machine_code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")


def by_x32() -> str:
    found = LIBC.syscall(ctypes.c_long(0x40000000 + 39))
    return f"DONE {found}" if found >= 0 else errno.errorcode[ctypes.get_errno()]


def type_into_terminal(request: int) -> str:
    """With a pseudo-terminal of our own as the controlling one: nothing else stands in the way but the filter."""
    os.setsid()
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, 0x540E, 0)  # TIOCSCTTY
    letter = ctypes.c_char(b"x")
    found = LIBC.ioctl(theirs, ctypes.c_ulong(request), ctypes.byref(letter))
    os.close(ours)
    return f"DONE {found}" if found >= 0 else errno.errorcode[ctypes.get_errno()]


def become_root() -> str:
    os.setuid(0)
    return "DONE"


def switch_user() -> str:
    done = subprocess.run(["/bin/su", "-c", "id"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return "DONE" if b"uid=0" in done.stdout else "refused"


def suid_holds() -> str:
    """A file with the set-user bit in the workspace: its mount must not honour it."""
    with open("/proc/self/mountinfo") as file:
        options = next(line for line in file if " /workspace " in line).split()[5]
    return "not honoured" if {"nosuid", "nodev"} <= set(options.split(",")) else "DONE"


def strange_files() -> str:
    """Open files beyond the three streams, the listing itself, and the pipe to our own parent here."""
    links = {name: "gone" for name in os.listdir("/proc/self/fd") if int(name) > 2}
    for name in links:
        with contextlib.suppress(FileNotFoundError):
            links[name] = os.readlink(f"/proc/self/fd/{name}")
    strange = [link for link in links.values() if link not in ("gone", FACTS["pipe"])]
    return f"DONE {strange}" if strange else "none"


def signal_host() -> str:
    os.kill(FACTS["victim"], signal.SIGKILL)
    return "DONE"


def many_processes() -> str:
    found = [name for name in os.listdir("/proc") if name.isdigit()]
    return "DONE" if len(found) > 5 else f"{len(found)}"


def hard_link() -> str:
    os.link("/usr/bin/env", "/workspace/linked")
    return "DONE"


def device() -> str:
    os.mknod("/workspace/device", 0o60600, os.makedev(254, 0))
    return "DONE"


def works(what: Callable[[], Any]) -> Callable[[], str]:
    """What must go well, or the others prove nothing."""
    return lambda: f"DONE {what()!r}"


def use_thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


ORDINARY: dict[str, Callable[[], str]] = {
    "a thread": works(use_thread),
    "a program": works(lambda: subprocess.check_output(["/bin/echo", "hi"])),
    "a file in the workspace": lambda: write("/workspace/ok"),
    "a file in /tmp": lambda: write("/tmp/ok"),
    "shared memory": lambda: write("/dev/shm/ok"),
    "a socket pair": works(lambda: socket.socketpair()[0].fileno() > 0),
}
FILES: dict[str, Callable[[], str]] = {
    "read /etc/shadow": lambda: read("/etc/shadow"),
    "read /etc/passwd": lambda: read("/etc/passwd"),
    "list /root": lambda: f"DONE {os.listdir('/root')}",
    "list /home": lambda: f"DONE {os.listdir('/home')}",
    "list /sys": lambda: f"DONE {os.listdir('/sys')}",
    "see a file in the host's /tmp": lambda: listed("/tmp", FACTS["in_tmp"]),
    "read a file of the host": lambda: read(FACTS["file"]),
    "read a closed file in a folder that is shown": lambda: read(FACTS["closed"]),
    "read it through the first process": lambda: read("/proc/1/root" + FACTS["file"]),
    "read the environment of the first process": lambda: found_in("/proc/1/environ", "STANDFAST_CANARY"),
    "find our folder in a command line": lambda: found_in("/proc/1/cmdline", FACTS["hidden"]),
    "find our folder in the mounts": lambda: found_in("/proc/self/mountinfo", FACTS["hidden"]),
    "find open files of the supervisor": strange_files,
    "write to /usr": lambda: write("/usr/standfast"),
    "write to /": lambda: write("/standfast"),
    "write to /bin": lambda: write("/bin/standfast"),
    "write to /dev": lambda: write("/dev/standfast"),
    "write above the workspace": lambda: write("/workspace/../standfast"),
    "write the core pattern": lambda: write("/proc/sys/kernel/core_pattern"),
    "write to sysrq": lambda: write("/proc/sysrq-trigger"),
    "write to the folder that is shown": lambda: write(os.path.dirname(FACTS["closed"]) + "/new"),
    "make a device": device,
    "link a file of /usr into the workspace": hard_link,
    "use a set-user bit in the workspace": suid_holds,
    "become root": become_root,
    "become root by su": switch_user,
    "read the kernel's log": lambda: read("/dev/kmsg"),
}
NETWORK: dict[str, Callable[[], str]] = {
    "connect to a port of the host": lambda: connect(socket.AF_INET, ("127.0.0.1", FACTS["port"])),
    "connect to PostgreSQL": lambda: connect(socket.AF_INET, ("127.0.0.1", 5432)),
    "connect to a socket file of the host": lambda: connect(socket.AF_UNIX, FACTS["socket"]),
    "connect to an abstract socket of the host": lambda: connect(socket.AF_UNIX, "\0" + FACTS["abstract"]),
    "connect to the outside": lambda: connect(socket.AF_INET, ("192.0.2.1", 80)),
    "ask the metadata service": lambda: connect(socket.AF_INET, ("169.254.169.254", 80)),
    "resolve a name": lambda: f"DONE {socket.gethostbyname('example.com')}",
    "open a vsock socket": lambda: open_socket(40),
    "open a vsock socket with high bits set": lambda: open_socket(40 + (1 << 32)),
    "open a netlink socket": lambda: open_socket(16, 3),
    "open a packet socket": lambda: open_socket(17, 3),
    "open a crypto socket": lambda: open_socket(38, 5),
    "open a raw socket": lambda: open_socket(2, 3, 1),
}
KERNEL: dict[str, Callable[[], str]] = {
    "kill a process of the host": signal_host,
    "see processes of the host": many_processes,
    "trace a child": trace_child,
    "trace the first process": lambda: ask("ptrace", 16, 1, 0, 0),
    "read another process's memory": lambda: ask("process_vm_readv", os.getpid(), 0, 0, 0, 0, 0),
    "add a key": lambda: ask("add_key", b"user", b"x", b"y", 1, -4),
    "join a key ring": lambda: ask("keyctl", 1, 0),
    "unshare a user namespace": lambda: ask("unshare", NEW_USER),
    "unshare a network": lambda: ask("unshare", NEW_NET),
    "clone into a user namespace": lambda: ask("clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0),
    "clone with a network of its own": lambda: ask("clone", NEW_NET | signal.SIGCHLD, 0, 0, 0, 0),
    "clone by clone3": lambda: ask("clone3", 0, 0),
    "enter a namespace": lambda: ask("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0),
    "mount": lambda: ask("mount", b"none", b"/tmp", b"tmpfs", 0, 0),
    "mount by the new calls": lambda: ask("fsopen", b"tmpfs", 0),
    "copy a mount": lambda: ask("open_tree", -100, b"/", 1),
    "unmount the workspace": lambda: ask("umount2", b"/workspace", 2),
    "change the root": lambda: ask("chroot", b"/tmp"),
    "swap the root": lambda: ask("pivot_root", b"/tmp", b"/tmp"),
    "load a program into the kernel": lambda: ask("bpf", 0, 0, 0),
    "watch performance counters": lambda: ask("perf_event_open", 0, 0, -1, -1, 0),
    "handle page faults": lambda: ask("userfaultfd", 1),
    "set up io_uring": lambda: ask("io_uring_setup", 1, ctypes.create_string_buffer(120)),
    "take a file from another process": lambda: ask("pidfd_getfd", 0, 0, 0),
    "open a file by its handle": lambda: ask("open_by_handle_at", 0, 0, 0),
    "read the kernel's messages": lambda: ask("syslog", 3, ctypes.create_string_buffer(99), 99),
    "change the personality": lambda: ask("personality", 0x0040000),
    "load a kernel": lambda: ask("kexec_load", 0, 0, 0, 0),
    "restart the machine": lambda: ask("reboot", 0, 0, 0, 0),
    "swap": lambda: ask("swapon", b"/workspace/ok", 0),
    "remove a module": lambda: ask("delete_module", b"x", 0),
    "type into the terminal": lambda: type_into_terminal(0x5412),
    "type into the terminal with high bits set": lambda: type_into_terminal(0x5412 + (1 << 32)),
    "paste into the terminal": lambda: type_into_terminal(0x541C),
}
if os.uname().machine == "x86_64":
    KERNEL |= {"call the kernel by 32-bit numbers": by_32_bits, "call the kernel by x32 numbers": by_x32}
GROUPS = {"ordinary": ORDINARY, "files": FILES, "network": NETWORK, "kernel": KERNEL}


def alone(attempt: Callable[[], str]) -> str:
    """What came of it, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        FACTS["pipe"] = os.readlink(f"/proc/self/fd/{writing}")
        try:
            said = attempt()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said or f"killed by {signal.Signals(-status).name}"


if __name__ == "__main__":
    wanted = {name: act for group in FACTS["groups"] for name, act in GROUPS[group].items()}
    print(json.dumps({name: alone(act) for name, act in wanted.items() if name not in FACTS["without"]}))
