"""How files cross into a job's workspace and back. Synchronous; call it in a thread.

Promises: what a job has written is opened below its root alone, through no link, and only where it is a plain file with
one name; everything else is left out and named. So nothing that it can plant there leads the reader anywhere else.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from missions.errors import WorkspaceRefused
from missions.sandbox import kernel

FILES_MOST, PATH_CHARACTERS, DEPTH_MOST = 10_000, 500, 32  # what a workspace on record may hold
TOLD_MOST = 20
CHUNK = 1024 * 1024
Stamp = tuple[int, int, int, int]  # size, mtime, ctime, inode: a job can not set the ctime


def _stamp(facts: os.stat_result) -> Stamp:
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


@dataclass(frozen=True, slots=True)
class Found:
    """A plain file of a job, open for reading until the next one is asked for."""

    path: str
    handle: int
    stamp: Stamp
    executable: bool


class LeftOut(dict[str, str]):
    """What was not read back, and why; told up to a number."""

    def told(self) -> tuple[str, ...]:
        """The first of them, and how many more."""
        lines = [f"{path[:PATH_CHARACTERS].encode('utf-8', 'replace').decode()}: {why}" for path, why in self.items()]
        more = len(lines) - TOLD_MOST
        return (*lines[:TOLD_MOST], f"and {more} more") if more > 0 else tuple(lines)


def copy_in(folder: Path, root: int, user: int | None) -> dict[str, Stamp]:
    """Copy the plain files below `folder` into the open folder `root`, as `user`'s; path → stamp there.

    Raises WorkspaceRefused where they do not fit, OSError.
    """
    stamps: dict[str, Stamp] = {}
    try:
        for place, folders, names, handle in os.fwalk(folder, follow_symlinks=False):
            base = Path(place).relative_to(folder)
            for name in folders:
                _make_folder(str(base / name), root, user)
            for name in names:
                path = (base / name).as_posix()
                if stat.S_ISREG(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                    stamps[path] = _copy_one(name, handle, path, root, user)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WorkspaceRefused("The workspace is larger than a job's disk may be.") from error
        raise
    return stamps


def _make_folder(path: str, root: int, user: int | None) -> None:
    os.mkdir(path, 0o755, dir_fd=root)
    if user is not None:
        os.chown(path, user, user, dir_fd=root, follow_symlinks=False)


def _copy_one(name: str, handle: int, path: str, root: int, user: int | None) -> Stamp:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
    try:
        mode = 0o755 if os.fstat(source).st_mode & stat.S_IXUSR else 0o644
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=root)
        try:
            while os.sendfile(target, source, None, CHUNK):  # None: from where it stands
                continue
            if user is not None:
                os.fchown(target, user, user)
            return _stamp(os.fstat(target))
        finally:
            os.close(target)
    finally:
        os.close(source)


def read_back(root: int, folder: Path, before: dict[str, Stamp], limit: int) -> tuple[str, ...]:
    """Bring `folder` to what a job left below `root`: new and changed files, and those that it removed.

    What others changed in `folder` meanwhile stays, and so does what had to be left out. Returns what that was, and
    why. Raises OSError.
    """
    left, seen = LeftOut(), set()
    changed: list[tuple[str, Path, bool]] = []
    for found in _walk(root, left):
        seen.add(found.path)
        if before.get(found.path) == found.stamp:
            continue
        if found.stamp[0] > limit:
            left[found.path] = "the files are larger together than the disk that the job had"
            continue
        limit -= found.stamp[0]
        changed.append((found.path, _kept(found, folder), found.executable))
    for path in before.keys() - seen - left.keys():
        _forget(folder, path)
    for path, written, executable in changed:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        written.chmod(0o755 if executable else 0o644)
        written.replace(target)
    return left.told()


def _kept(found: Found, folder: Path) -> Path:
    """The content beside the folder's own files, under a name that the job could not know."""
    written = folder / f".standfast-{secrets.token_hex(8)}"
    size = found.stamp[0]
    with open(written, "xb") as file:
        while size > 0 and (part := os.read(found.handle, min(CHUNK, size))):
            file.write(part)
            size -= len(part)
    return written


def _forget(folder: Path, path: str) -> None:
    (folder / path).unlink(missing_ok=True)
    for parent in list(Path(path).parents)[:-1]:
        with suppress(OSError):  # it is not empty
            (folder / parent).rmdir()


def _walk(root: int, left: LeftOut) -> Iterator[Found]:
    """Every plain file below the open folder, one at a time; what is none is left out."""
    count, waiting = 0, [""]
    while waiting:
        base = waiting.pop()
        for name, mode in _names(root, base, left):
            path = f"{base}/{name}" if base else name
            if why := _unusable(path):
                left[path] = why
            elif stat.S_ISDIR(mode):
                waiting.append(path)
            elif not stat.S_ISREG(mode):
                left[path] = "no plain file"
            elif count >= FILES_MOST:
                left[path] = f"more than {FILES_MOST:,} files"
            else:
                count += 1
                yield from _open(root, path, left)


def _unusable(path: str) -> str:
    if path.count("/") >= DEPTH_MOST:
        return f"deeper than {DEPTH_MOST} folders"
    if len(path) > PATH_CHARACTERS or any("\ud800" <= sign <= "\udfff" for sign in path):
        return "its path is too long, or no Unicode"
    return ""


def _names(root: int, base: str, left: LeftOut) -> list[tuple[str, int]]:
    try:
        handle = kernel.open_beneath(root, base or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        left[base] = str(error.strerror)
        return []
    try:
        with os.scandir(handle) as entries:
            return sorted((entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries)
    finally:
        os.close(handle)


def _open(root: int, path: str, left: LeftOut) -> Iterator[Found]:
    try:
        handle = kernel.open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY)
    except OSError as error:
        left[path] = str(error.strerror)
        return
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            left[path] = "no plain file"
        elif facts.st_nlink != 1:
            left[path] = "it has more than one name"
        else:
            yield Found(path, handle, _stamp(facts), bool(facts.st_mode & stat.S_IXUSR))
    finally:
        os.close(handle)
