"""A child is what its spec says, from its first instruction on."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from murmuration.site.process import (
    Group,
    ProcessSpec,
    RunAs,
    SpawnError,
    describe_exit,
    spawn,
    wait_for_death,
)
from murmuration.testkit.levels import reaches


async def said_by(tmp_path: Path, *code: str, **spec: object) -> str:
    """What a small Python program prints when started by `spawn`."""
    out = tmp_path / "out"
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pid = spawn(
        ProcessSpec(
            name="little",
            argv=(sys.executable, "-S", "-c", "\n".join(code)),
            group=Group.SERVICES,
            **spec,  # type: ignore[arg-type]
        ),
        output=descriptor,
        base=dict(os.environ),
    )
    os.close(descriptor)
    code_of_exit = await wait_for_death(pid)
    text = out.read_text()
    assert code_of_exit == 0, text
    return text.strip()


async def test_child_inherits_sockets_by_name_from_descriptor_three_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as http, socket.socket(type=socket.SOCK_DGRAM) as u:
        u.bind(("127.0.0.1", 0))
        said = await said_by(
            tmp_path,
            "import json, os, socket",
            "found = [socket.socket(fileno=n).getsockname()[1] for n in (3, 4)]",
            "names = [os.environ[k] for k in ('LISTEN_FDS', 'LISTEN_FDNAMES')]",
            "print(json.dumps([found, names, 'LISTEN_PID' in os.environ]))",
            sockets=(("fm.http", http.fileno()), ("mtce.pulse", u.fileno())),
        )
        ports, names, has_pid = json.loads(said)
        assert ports == [http.getsockname()[1], u.getsockname()[1]]
    assert names == ["2", "fm.http:mtce.pulse"]
    assert not has_pid


async def test_child_starts_with_plain_signals_and_a_session_of_its_own(tmp_path: Path) -> None:
    said = await said_by(
        tmp_path,
        "import os, signal",
        "mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])",
        "print(os.getsid(0) == os.getpid(), len(mask), os.getcwd())",
        "print([l for l in open('/proc/self/status') if l.startswith('SigIgn')][0].split()[1])",
    )
    first, ignored = said.splitlines()
    assert first == "True 0 /"
    assert int(ignored, 16) & (1 << signal.SIGTERM - 1) == 0


async def test_child_in_a_user_namespace_is_nobody_and_writes_as_us(tmp_path: Path) -> None:
    file = tmp_path / "made"
    said = await said_by(
        tmp_path,
        "import os",
        f"open({str(file)!r}, 'w').close()",
        "print(os.geteuid(), os.getegid())",
        run_as=RunAs.MAPPED,
    )
    assert said == "65534 65534"
    assert file.stat().st_uid == os.geteuid()


async def test_child_as_nobody_has_no_groups_and_no_rights(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "run as root: only root becomes another"
    out = tmp_path / "out"
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT)
    script = "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status"
    spec = ProcessSpec(
        name="nobody", argv=("/bin/sh", "-c", script), group=Group.STORE, run_as=RunAs.NOBODY
    )
    assert await wait_for_death(spawn(spec, output=descriptor, base=dict(os.environ))) == 0
    os.close(descriptor)
    assert [line.split()[1:] for line in out.read_text().splitlines()] == [
        ["65534"] * 4,
        ["65534"] * 4,
        [],
        ["0000000000000000"],
    ]


async def test_spawn_says_why_when_the_program_is_not_there() -> None:
    spec = ProcessSpec(name="ghost", argv=("/no/such/program",), group=Group.SERVICES)
    with pytest.raises(SpawnError, match=r"ghost cannot be started: .*No such file"):
        spawn(spec, output=1, base={})


async def test_death_takes_what_the_child_left_in_its_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    spec = ProcessSpec(
        name="parent",
        argv=("/bin/sh", "-c", f"sleep 300 & echo $! > {note}; exit 7"),
        group=Group.SERVICES,
    )
    pid = spawn(spec, output=2, base={})
    assert await wait_for_death(pid) == 7
    left = int(note.read_text())
    await reaches(lambda: not is_alive(left), what="the grandchild's end")


@pytest.mark.parametrize("run_as", [RunAs.SELF, RunAs.MAPPED])
async def test_children_die_with_a_parent_that_is_killed(tmp_path: Path, run_as: RunAs) -> None:
    note = tmp_path / "pid"
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import os, sys, time\n"
        "from murmuration.site.process import *\n"
        "spec = ProcessSpec(name='c', argv=('/bin/sleep', '300'), group=Group.HOSTS,\n"
        f"    run_as=RunAs({run_as.value!r}))\n"
        f"pid = spawn(spec, output=2, base={{}})\n"
        f"open({str(note)!r}, 'w').write(str(pid))\n"
        "time.sleep(300)\n"
    )
    process = subprocess.Popen([sys.executable, str(parent)])
    try:
        child = int(await reaches(lambda: note.exists() and note.read_text(), what="the child"))
        assert is_alive(child)
    finally:
        process.kill()
        process.wait()
    await reaches(lambda: not is_alive(child), what="the child's end")


def test_exit_codes_are_told_in_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "killed by SIGKILL"
    assert describe_exit(-250) == "killed by signal 250"


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that its parent has not reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


async def test_waiting_for_death_can_be_given_up() -> None:
    spec = ProcessSpec(name="long", argv=("/bin/sleep", "300"), group=Group.HOSTS)
    pid = spawn(spec, output=2, base={})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wait_for_death(pid)
    os.kill(pid, signal.SIGKILL)
    assert await wait_for_death(pid) == -signal.SIGKILL
