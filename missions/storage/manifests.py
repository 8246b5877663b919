"""What a workspace holds, as a list of files with their digests. Reads folders; keeps nothing itself.

Promises: nothing but plain files and folders is ever read; no path leads out of the folder; a link that appears while
the folder is being read is not followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from missions.engine import codec
from missions.errors import WorkspaceRefused

FILES_MOST, PATH_CHARACTERS, DEPTH_MOST = 10_000, 500, 32
Stamp = tuple[int, int, int, int]  # size, mtime and ctime in nanoseconds, inode


@dataclass(frozen=True, slots=True)
class File:
    """One file of a workspace; `path` is relative, with slashes."""

    path: str
    digest: str
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was found in a folder, open for reading as long as the next one was not asked for."""

    path: str
    stamp: Stamp
    executable: bool
    handle: int


def encode(files: list[File]) -> bytes:
    """The manifest's canonical bytes; its sha256 names the workspace."""
    rows = sorted([file.path, file.digest, file.size, file.executable] for file in files)
    return codec.dump({"version": 1, "files": rows})


def decode(body: bytes) -> list[File]:
    """The files of a manifest. Raises WorkspaceRefused for a path that would lead out of the workspace."""
    rows: list[list[Any]] = codec.load(body)["files"]
    files = [File(*row) for row in rows]
    for file in files:
        parts = file.path.split("/")
        if any(part in ("", ".", "..") or "\x00" in part for part in parts):
            raise WorkspaceRefused(f"The workspace names {file.path!r}, which is no path within it.")
    return files


def found_in(folder: Path) -> Generator[Found, None, None]:
    """Every file below a folder. Raises WorkspaceRefused for anything that is neither a plain file nor a folder."""
    count = 0
    for place, folders, names, handle in os.fwalk(folder, follow_symlinks=False, onerror=_raise):
        base = Path(place).relative_to(folder)
        if len(base.parts) > DEPTH_MOST:
            raise WorkspaceRefused(f"The workspace is nested deeper than {DEPTH_MOST} folders.")
        for name in (*folders, *names):
            path = _path(base, name)
            kind = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind):
                continue
            if not stat.S_ISREG(kind):
                raise WorkspaceRefused(f"{path!r} in the workspace is no plain file; links and devices are not kept.")
            count += 1
            if count > FILES_MOST:
                raise WorkspaceRefused(f"The workspace holds more than {FILES_MOST:,} files.")
            yield from _open(path, name, handle)


def _raise(error: OSError) -> None:
    raise error


def _path(base: Path, name: str) -> str:
    path = (base / name).as_posix()
    if len(path) > PATH_CHARACTERS or any("\ud800" <= sign <= "\udfff" for sign in path):
        raise WorkspaceRefused(f"A path in the workspace is too long, or no Unicode: {path[:100]!r}")
    return path


def _open(path: str, name: str, folder: int) -> Iterator[Found]:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise WorkspaceRefused(f"{path!r} in the workspace is no plain file.")
        stamp = facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino
        yield Found(path, stamp, bool(facts.st_mode & stat.S_IXUSR), handle)
    finally:
        os.close(handle)
