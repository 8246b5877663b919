"""Files cross into a job and back; nothing that a job plants leads the reader out of its workspace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from missions.errors import WorkspaceRefused
from missions.sandbox import crossing, kernel
from missions.sandbox.jobs import MIB
from missions.storage import manifests
from tests import sandboxed

pytestmark = sandboxed.needs_bubblewrap
PLANT = """
import os, socket, sys
out = sys.argv[1]
os.symlink("/etc/shadow", "link")
os.symlink("/etc", "folder-link")
os.symlink("/proc/self/environ", "magic")
os.symlink("../" * 20 + out[1:], "out")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
open("fine", "w").write("fine")
open("twice", "w").write("x"); os.link("twice", "again")
open("closed", "w").write("closed"); os.chmod("closed", 0)
open("set", "w").write("set"); os.chmod("set", 0o6755)
with open("sparse", "wb") as file: file.truncate(60 << 20)
deep = "/".join("d" * 40)
os.makedirs(deep); open(deep + "/x", "w").write("x")
open("n" * 200, "w").write("fine too")
open(b"\\xff", "w").write("x")
"""


def test_nothing_planted_is_followed(tmp_path: Path) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.write_text("ours")
    done = sandboxed.python(PLANT, str(outside), workspace=workspace, disk_bytes=8 * MIB)
    assert done.code == 0, done.stderr
    kept = {path.relative_to(workspace).as_posix(): path for path in workspace.rglob("*") if not path.is_dir()}
    assert all(path.is_file() and not path.is_symlink() for path in kept.values())
    assert {"fine", "set", "n" * 200} <= kept.keys() and not {"link", "fifo", "twice", "again", "sparse"} & kept.keys()
    assert kept["set"].stat().st_mode & 0o7777 == 0o755  # neither bit comes back
    told = " | ".join(done.left_out)
    for name in ("link", "folder-link", "magic", "out", "fifo", "socket", "twice", "again", "sparse", "d/d/d"):
        assert f"{name}: " in told, told
    assert outside.read_text() == "ours"


def test_a_naive_reader_would_have_been_led_out(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").write_text("ours")
    (tmp_path / "root" / "link").symlink_to("../outside")
    (tmp_path / "root" / "folder").symlink_to("..")
    assert (tmp_path / "root" / "link").read_text() == "ours"
    root = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in ("link", "folder/outside", "../outside", str(tmp_path / "outside"), "folder"):
            with pytest.raises(OSError):  # ELOOP or EXDEV, by what is in the way
                os.close(kernel.open_beneath(root, path, os.O_RDONLY))
    finally:
        os.close(root)


def test_what_is_left_out_stays_as_it_was(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    code = "import os\nopen('a', 'wb').truncate(60 << 20)\nos.unlink('b')\nos.symlink('/etc/shadow', 'b')"
    done = sandboxed.python(code, workspace=tmp_path, disk_bytes=8 * MIB)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "a", "b": "b", "c": "c"}
    assert len(done.left_out) == 2


def test_what_a_job_changed_comes_back_and_what_others_changed_stays(tmp_path: Path) -> None:
    for name in ("kept", "changed", "removed", "old/gone"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "kept").chmod(0o755)
    before = (tmp_path / "kept").stat()
    code = (
        "cat kept removed > both; echo new > changed; rm -r removed old; mkdir -p a/b; echo x > a/b/run;"
        "chmod +x a/b/run"
    )
    done = sandboxed.run("/bin/sh", "-c", code, workspace=tmp_path)
    assert (done.code, done.left_out) == (0, ())
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"kept", "changed", "both", "a/b/run"} and not (tmp_path / "old").exists()
    assert (tmp_path / "changed").read_text() == "new\n" and os.access(tmp_path / "a/b/run", os.X_OK)
    assert (tmp_path / "kept").stat().st_ino == before.st_ino and (tmp_path / "both").read_text() == "keptremoved"


def test_change_behind_an_unchanged_date_is_seen(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    code = (
        "import os\n"
        "was = os.stat('file')\n"
        "open('file', 'w').write('two')\n"
        "os.utime('file', ns=(was.st_atime_ns, was.st_mtime_ns))\n"
    )
    sandboxed.python(code, workspace=tmp_path)
    assert (tmp_path / "file").read_text() == "two"


def test_workspace_that_does_not_fit_is_refused_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * (4 * MIB))
    with pytest.raises(WorkspaceRefused, match="larger than"):
        sandboxed.run("/bin/true", workspace=tmp_path, disk_bytes=2 * MIB)


def test_file_that_becomes_a_folder_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "x").write_text("x")
    done = sandboxed.run("/bin/sh", "-c", "rm -r one two; mkdir one; echo y > one/y; echo z > two", workspace=tmp_path)
    assert (done.code, (tmp_path / "one" / "y").read_text(), (tmp_path / "two").read_text()) == (0, "y\n", "z\n")


def test_the_reader_takes_no_more_than_the_record_does() -> None:
    """A file that comes back must not make the workspace one that can not be kept."""
    known = manifests.FILES_MOST, manifests.PATH_CHARACTERS, manifests.DEPTH_MOST
    assert known == (crossing.FILES_MOST, crossing.PATH_CHARACTERS, crossing.DEPTH_MOST)


def test_job_sees_folders_that_it_is_shown_and_can_not_write_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "tool").write_text("tool")
    (tmp_path / "tool").chmod(0o644)
    code = f"cat {tmp_path}/tool; echo x > {tmp_path}/tool"
    done = sandboxed.run("/bin/sh", "-c", code, readable=(str(tmp_path),))
    assert (done.stdout, done.code) == (b"tool", 2) and b"Read-only" in done.stderr
