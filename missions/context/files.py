"""Files: artifacts that are kept for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from missions.context.base import Calls
from missions.engine import codec
from missions.engine.branches import durable
from missions.engine.writes import Draft
from missions.errors import InvalidInput, PayloadTooLarge
from missions.governance import Json
from missions.models import Kind
from missions.storage import artifacts, blobs
from missions.storage.artifacts import ArtifactRef
from missions.storage.blobs import Content
from missions.storage.workspaces import workspace_of

READ_BYTES = codec.STORE_BYTES


class Files(Calls):
    """The calls that keep and read content."""

    @durable
    async def artifact(self, name: str, content: Content, media_type: str = "") -> ArtifactRef:
        """Keep content under a name, once: bytes, text, a Path or a binary stream of at most 256 MiB.

        A relative Path lies in the mission's workspace. Replay returns the reference and does not read the content.
        `media_type` is guessed from the name where it is empty. Raises PayloadTooLarge, InvalidInput, OSError.
        """
        if not 0 < len(name) <= artifacts.NAME_CHARACTERS:
            wrong = f"An artifact's name has 1 to {artifacts.NAME_CHARACTERS} characters."
            raise InvalidInput(wrong, errors=[{"field": "name", "message": wrong}])
        known = artifacts.media_type_of(name, media_type)
        path, input_hash = self._here.path(f"artifact:{name}"), codec.input_hash([name, media_type])
        entry = await self._run.recorded(path, input_hash)
        if entry is None:
            payload = await self._kept(name, content, known)
            ref = _ref_of(payload) if "error" not in payload else None
            draft = Draft(kind=Kind.ARTIFACT, path=path, payload=codec.dump(payload), input_hash=input_hash)
            await self._run.append(draft, side=artifacts.kept_with(ref) if ref is not None else ())
        elif entry.kind == Kind.ARTIFACT:
            payload = entry.payload
        else:
            self._run.unexpected(entry, path)
        if "error" in payload:
            raise PayloadTooLarge(payload["error"]["message"])
        return _ref_of(payload)

    async def _kept(self, name: str, content: Content, media_type: str) -> Json:
        """The entry's payload once the content is durable; or that it was refused, which replay must repeat."""
        in_database, what = self._run.owner.in_database, f"The artifact {name!r}"
        if isinstance(content, Path) and not content.is_absolute():
            content = await self._in_workspace(content)
        try:
            source = await in_database(blobs.measured, content, artifacts.LIMIT_BYTES, what)
        except PayloadTooLarge as error:
            return {"name": name, "error": {"type": error.code, "message": str(error)}}
        try:
            await in_database(blobs.store, source)
        finally:
            source.close()
        return {"name": name, "digest": source.digest.hex(), "size": source.size, "media_type": media_type}

    async def _in_workspace(self, path: Path) -> Path:
        space = workspace_of(self._run)
        if ".." in path.parts or not space.digest or not await space.prepare(self._run, space.digest):
            raise FileNotFoundError(f"The workspace has no {str(path)!r} on record.")
        folder = space.copy.folder.resolve() if space.copy is not None else Path()
        found = (folder / path).resolve()
        if not found.is_relative_to(folder):
            raise FileNotFoundError(f"{str(path)!r} leads out of the workspace.")
        return found

    async def read_artifact(self, ref: ArtifactRef | Any) -> bytes:
        """The content of an artifact of at most 64 MiB; larger ones are streams in steps and tools (`open_artifact`).

        Raises PayloadTooLarge, UnknownArtifact, InvalidInput.
        """
        digest = artifacts.digest_of(ref)
        content: bytes = await self._run.owner.in_database(_content, digest)
        self._run.check()
        return content


def _content(digest: bytes) -> bytes:
    if blobs.size_of(digest) > READ_BYTES:
        raise PayloadTooLarge(f"The artifact takes more than {READ_BYTES:,} bytes; read it as a stream in a step.")
    return b"".join(blobs.portions(digest))


def _ref_of(payload: Json) -> ArtifactRef:
    return ArtifactRef(**{name: payload[name] for name in ("name", "digest", "size", "media_type")})
