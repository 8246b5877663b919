"""What worker and supervisor say to each other: one JSON object a packet, open files beside it.

A SOCK_SEQPACKET socket keeps packets whole, and its end is seen by both sides whatever killed the other. Imports
nothing of the project.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Sequence
from typing import Any

FRAME_BYTES = 128 * 1024
FILES_MOST = 4
ITEM = array.array("i").itemsize


class BadFrame(ValueError):
    """A packet that is no frame."""


def send(connection: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send one frame. Raises OSError; BadFrame where it is too large."""
    body = json.dumps(message).encode()
    if len(body) > FRAME_BYTES:
        raise BadFrame(f"The job's description takes {len(body):,} bytes; {FRAME_BYTES:,} is the limit.")
    socket.send_fds(connection, [body], list(files))


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next frame and the files with it, which are the caller's to close; None at the end.

    Raises BlockingIOError, OSError, BadFrame (and then no file is open).
    """
    # Not by socket.recv_fds, which drops its flags: what arrives must not be inherited by whatever is started next.
    room = socket.CMSG_SPACE(FILES_MOST * ITEM)
    body, beside, flags, _ = connection.recvmsg(FRAME_BYTES + 1, room, socket.MSG_CMSG_CLOEXEC)
    files: list[int] = []
    for level, kind, content in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files += array.array("i", content[: len(content) - len(content) % ITEM])
    if not body and not files:
        return None, []
    try:
        message = json.loads(body)
    except ValueError:
        message = None
    if not isinstance(message, dict) or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for file in files:
            os.close(file)
        raise BadFrame("A packet is no frame.")
    return message, files


def through(folder: int, name: str) -> str:
    """A path to a socket that is short enough however deep its folder lies."""
    return f"/proc/self/fd/{folder}/{name}"
