"""A bundle: one mission as one self-describing document, gzip over lines of JSON.

The first line names format and version, then come the rows of each part, the last line is the manifest: how many rows
each part has and sha256 of its lines, the number of entries and the last link of their chain. The same rows always give
the same bytes. Memory stays flat but for the largest single row. Writes nothing but what it is told to.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from missions.engine import chain, codec
from missions.keeping import parts
from missions.keeping.parts import Json

FORMAT, VERSION = "standfast.mission", 1
LEVEL = 6


class Damaged(Exception):
    """The bundle is not what was sealed."""


@dataclass(slots=True)
class _Tally:
    """What is counted while the lines of one part go by."""

    rows: int = 0
    hash: Any = dataclasses.field(default_factory=hashlib.sha256)

    def add(self, line: bytes) -> bytes:
        self.rows += 1
        self.hash.update(line)
        return line

    @property
    def told(self) -> Json:
        return {"rows": self.rows, "sha256": self.hash.hexdigest()}


def _line(value: Json) -> bytes:
    return codec.dump(value, limit=2 * codec.STORE_BYTES) + b"\n"


def tally(part: parts.Part, mission_id: int) -> Json:
    """The rows of a part as they are now, as the manifest tells of them."""
    counted = _Tally()
    for row in part.told(mission_id):
        counted.add(_line({"part": part.name, "row": row}))
    return counted.told


def write(out: IO[bytes], mission_id: int, uid: uuid.UUID) -> Json:
    """Write the bundle of a mission; returns the manifest. Wants one snapshot for all that it reads."""
    manifest: Json = {"format": FORMAT, "version": VERSION, "mission": str(uid), "parts": {}, "entries": 0}
    manifest["chain_head"] = chain.GENESIS.hex()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=out, mtime=0) as packed:
        packed.write(_line({"format": FORMAT, "version": VERSION, "mission": str(uid)}))
        for part in parts.all_parts():
            counted = _Tally()
            for row in part.told(mission_id):
                packed.write(counted.add(_line({"part": part.name, "row": row})))
                if part.name == parts.HOT:
                    manifest["entries"], manifest["chain_head"] = row["seq"], base64.b64decode(row["chain"]).hex()
            manifest["parts"][part.name] = counted.told
        packed.write(_line({"manifest": manifest}))
    return manifest


def read(pieces: IO[bytes]) -> Iterator[tuple[str, Json]]:
    """The rows of a bundle with the names of their parts. Raises Damaged, at the end at the latest."""
    try:
        yield from _checked(gzip.GzipFile(fileobj=pieces, mode="rb"))
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"The bundle can not be read: {error}") from error


def _checked(lines: Iterable[bytes]) -> Iterator[tuple[str, Json]]:
    """Rows, while what the manifest must say of them is counted."""
    counted: dict[str, _Tally] = {}
    manifest: Json | None = None
    for number, line in enumerate(lines):
        value = codec.load(line)
        if number == 0:
            _refuse_unknown(value)
        elif "manifest" in value:
            manifest = value["manifest"]
        else:
            counted.setdefault(value["part"], _Tally()).add(line)
            yield value["part"], value["row"]
    if manifest is None:
        raise Damaged("The bundle has no end.")
    for name, told in manifest["parts"].items():
        if counted.pop(name, _Tally()).told != told:
            raise Damaged(f"The part {name} is not as the manifest tells.")
    if counted:
        raise Damaged(f"The bundle holds parts that the manifest does not know: {', '.join(counted)}.")
    yield "manifest", manifest


def _refuse_unknown(head: Json) -> None:
    if (head.get("format"), head.get("version")) != (FORMAT, VERSION):
        raise Damaged(f"This is no bundle of format {FORMAT}, version {VERSION}.")
