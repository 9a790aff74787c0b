"""The supervisor's lock, its control socket, and `down` against one that does not listen."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from murmuration.site import cli, control, layout
from murmuration.site.errors import NotRunning, Refused
from murmuration.site.layout import Layout, SiteLock


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    monkeypatch.setenv("MUR_STATE_DIR", str(tmp_path / "state"))
    found = layout.find(os.environ)
    layout.make(found)
    yield found
    shutil.rmtree(found.run, ignore_errors=True)


HOLD = """
import signal, sys, time
from pathlib import Path
from murmuration.site.layout import SiteLock
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = SiteLock(Path(sys.argv[1]))
assert lock.acquire() is None
print("held", flush=True)
time.sleep(300)
"""


@pytest.fixture
def held(place: Layout, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock as a supervisor does."""
    deaf = getattr(request, "param", "")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place.lock), deaf], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_lock_tells_the_pid_of_its_holder_and_goes_with_it(
    place: Layout, held: "subprocess.Popen[str]"
) -> None:
    lock = SiteLock(place.lock)
    assert layout.holder(place.lock) == held.pid
    assert lock.acquire() == held.pid
    held.kill()
    held.wait()
    assert layout.holder(place.lock) is None
    assert lock.acquire() is None
    lock.release()
    lock.release()


def test_lock_is_not_a_child_s(place: Layout) -> None:
    lock = SiteLock(place.lock)
    assert lock.acquire() is None
    child = subprocess.Popen(["/bin/sleep", "300"], close_fds=False)
    try:
        lock.release()
        assert layout.holder(place.lock) is None
    finally:
        child.kill()
        child.wait()


def test_nobody_holds_a_lock_that_was_never_made(place: Layout) -> None:
    assert layout.holder(place.lock) is None
    assert not place.lock.exists()


@pytest.mark.parametrize("held", ["", "deaf"], indirect=True)
def test_down_ends_a_supervisor_that_does_not_listen(
    place: Layout,
    held: "subprocess.Popen[str]",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "DOWN_S", 3.0)
    assert cli.main(["down"]) == 0
    assert held.wait(timeout=30) in (-signal.SIGTERM, -signal.SIGKILL)
    said = capsys.readouterr().out
    assert ("was killed" in said) == (held.returncode == -signal.SIGKILL)


def test_wipe_removes_what_was_made_and_nothing_else(
    place: Layout,
) -> None:
    (place.state / "logs" / "fm.log").touch()
    (place.state / "mine.txt").touch()
    assert cli.main(["down", "--wipe"]) == 0
    assert [path.name for path in place.state.iterdir()] == ["mine.txt"]


async def handle(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("op") == "refuse":
        raise Refused("No.", "Ask another.")
    return {"asked": request}


async def test_control_answers_line_by_line_and_survives_nonsense(place: Layout) -> None:
    path = place.run / "c.sock"
    path.touch()  # what a dead supervisor has left
    server = await control.serve(path, handle)
    assert path.stat().st_mode & 0o777 == 0o600
    reader, writer = await asyncio.open_unix_connection(path)
    for sent, answer in (
        (b'{"op":"x"}', {"ok": True, "asked": {"op": "x"}}),
        (b"nonsense", {"ok": False, "error": "That is not JSON."}),
        (b"[1]", {"ok": False, "error": "A request is a JSON object."}),
        (b'{"op":"refuse"}', {"ok": False, "error": "No. Ask another."}),
    ):
        writer.write(sent + b"\n")
        assert json.loads(await reader.readline()) == answer
    writer.write(b"x" * (control.LINE_BYTES_MAX + 10) + b"\n")
    assert await reader.readline() == b""  # beyond the limit: hung up, nothing else
    answer = await asyncio.to_thread(control.ask, path, {"op": "y"})
    assert answer["asked"] == {"op": "y"}
    writer.close()
    server.close()


def test_asking_where_nobody_listens_says_so(place: Layout) -> None:
    with pytest.raises(NotRunning, match="does not answer"):
        control.ask(place.run / "none.sock", {"op": "status"})


@pytest.mark.parametrize("command", [["logs", "x"], ["status"]])
def test_nothing_to_tell_is_a_sentence(
    command: list[str], place: Layout, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert cli.main(command) == (2 if command[0] == "logs" else 3)
    assert capsys.readouterr().err.startswith("murmuration: ")


async def test_logs_follow_a_file_over_its_rotation(place: Layout, tmp_path: Path) -> None:
    path = place.log_of("loud")
    path.write_text("old\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "murmuration.site", "logs", "loud", "-f",
        env={**os.environ, "MUR_STATE_DIR": str(place.state)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"old\n"
            with path.open("a") as file:
                file.write("new\n")
            assert await process.stdout.readline() == b"new\n"
            path.rename(tmp_path / "loud.log.1")
            path.write_text("after\n")
            assert await process.stdout.readline() == b"after\n"
    finally:
        process.kill()
        await process.wait()
