"""Artifacts over REST, on the mission's page and on the command line: whose they are, and only ever downloads."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client

from missions.models import Artifact, Progress
from missions.web.progress import Reported
from tests import parcels
from tests.web.rest import V1, client_of, problem_of

pytestmark = pytest.mark.django_db
CONTENT = b"<script>alert(1)</script>" * 100_000  # three portions


def address(artifact: Artifact, uid: Any) -> str:
    return f"{V1}/missions/{uid}/artifacts/{bytes(artifact.digest).hex()}"


def test_artifacts_are_listed_in_order_and_downloaded_whole(sam: User) -> None:
    mission = parcels.mission()
    for name in ("a.txt", "b.txt", "c.txt"):
        kept = parcels.artifact(mission, name, CONTENT)
    client = client_of(sam)
    first = client.get(f"{V1}/missions/{mission.uid}/artifacts?limit=2").json()
    rest = client.get(f"{V1}/missions/{mission.uid}/artifacts", {"limit": 2, "cursor": first["next"]}).json()
    assert [row["name"] for row in first["results"] + rest["results"]] == ["a.txt", "b.txt", "c.txt"]
    assert rest["next"] is None and rest["results"][0]["size"] == len(CONTENT)
    response = client.get(address(kept, mission.uid))
    assert b"".join(response.streaming_content) == CONTENT and response["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("media_type", "served"),
    [
        ("text/html", "application/octet-stream"), ("image/svg+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"), ("application/xhtml+xml", "application/octet-stream"),
        ("application/pdf", "application/pdf"),
    ],
)  # fmt: skip
def test_download_is_never_a_page_of_ours(sam: User, media_type: str, served: str) -> None:
    mission = parcels.mission()
    kept = parcels.artifact(mission, 'x".html\r\nSet-Cookie: a=b', CONTENT, media_type)
    response = client_of(sam).get(address(kept, mission.uid))
    assert response["Content-Type"] == served and response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"].startswith("attachment; filename*=UTF-8''x%22.html%0D%0A")
    assert "sandbox" in response["Content-Security-Policy"] and "Set-Cookie" not in response


def test_only_who_sees_the_mission_gets_its_artifacts(sam: User, outsider: User) -> None:
    mission, other = parcels.mission(), parcels.mission()
    kept = parcels.artifact(mission, "a.txt", CONTENT)
    for path in (f"{V1}/missions/{mission.uid}/artifacts", address(kept, mission.uid)):
        problem_of(client_of(outsider).get(path), 404, "unknown_mission")
        assert client_of().get(path).status_code == 401
    problem_of(client_of(sam).get(address(kept, other.uid)), 404, "unknown_artifact")
    problem_of(client_of(sam).get(f"{V1}/missions/{mission.uid}/artifacts/nonsense"), 404, "unknown_artifact")


@pytest.mark.django_db(transaction=True)
def test_asynchronous_server_streams_portion_by_portion(sam: User) -> None:
    mission = parcels.mission()
    kept = parcels.artifact(mission, "a.bin", CONTENT, "application/pdf")

    async def read() -> list[bytes]:
        client = AsyncClient()
        await client.aforce_login(sam)
        response: Any = await client.get(address(kept, mission.uid))
        assert response.is_async
        return [part async for part in response.streaming_content]

    parts = asyncio.run(read())
    assert len(parts) == 3 and b"".join(parts) == CONTENT


def test_page_links_to_downloads_and_shows_progress(client: Client, sam: User) -> None:
    mission = parcels.mission()
    client.force_login(sam)
    kept = parcels.artifact(mission, "<b>.txt", CONTENT)
    Progress.objects.create(
        mission_id=mission.pk, timeline=1, chapter=1, path="copy#1", attempt=1, cursor=b"7",
        progress=b'{"done":400000,"total":1000000}',
    )
    page = client.get(f"/missions/{mission.uid}/").content.decode()
    assert address(kept, mission.uid) in page and "&lt;b&gt;.txt" in page
    assert "400,000 of 1,000,000" in page and "goes on from its last cursor" in page


@pytest.mark.parametrize(
    ("told", "words"),
    [({"done": 1, "total": 2000}, "1 of 2,000"), (0.25, "25%"), ("halfway", "halfway"), ([1], "[1]"), (None, "")],
)
def test_progress_in_words(told: Any, words: str) -> None:
    assert Reported(path="a#1", progress=told, attempt=1, reported_at=parcels.database_now()).words == words


def test_command_lists_and_saves_and_overwrites_nothing(tmp_path: Path) -> None:
    mission, out = parcels.mission(), io.StringIO()
    parcels.artifact(mission, "a.txt", b"old")
    parcels.artifact(mission, "a.txt", CONTENT)
    call_command("mission", "artifacts", str(mission.uid), stdout=out)
    assert out.getvalue().count("a.txt") == 2
    target = tmp_path / "saved"
    call_command("mission", "artifacts", str(mission.uid), "--save", "a.txt", str(target), stdout=out)
    assert target.read_bytes() == CONTENT
    with pytest.raises(CommandError, match="as it was"):
        call_command("mission", "artifacts", str(mission.uid), "--save", "a.txt", str(target), stdout=out)
    with pytest.raises(CommandError, match="no artifact"):
        call_command("mission", "artifacts", str(mission.uid), "--save", "b.txt", str(target), stdout=out)
