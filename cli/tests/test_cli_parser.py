"""The command line itself: help, examples, the short way past the parser, completion, start-up."""

import inspect
import os
import pty
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web

from murmuration.cli import catalogue, shortcut
from murmuration.cli.app import build
from murmuration.cli.loading import load
from murmuration.cli.session import Options, Session

from .conftest import Gateway, Mur

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = [example for command in catalogue.COMMANDS for example in command.examples]
WORDS = {0: [], 1: ["worker-1"], 2: ["worker-1", "rack=A1"]}


@pytest.mark.parametrize("words", ["", "host", "host lock", "event list", "lab"])
def test_help_reads_as_it_always_did(mur: Mur, words: str) -> None:
    result = mur(*words.split(), "--help", COLUMNS="80")
    assert result.code == 0
    path = GOLDEN / f"help{'-'.join(['', *words.split()])}.txt"
    text = "\n".join(line.rstrip() for line in result.out.splitlines()) + "\n"
    if os.environ.get("MUR_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("command", catalogue.COMMANDS, ids=lambda c: f"{c.noun} {c.verb}")
def test_every_command_has_help_with_examples_of_itself(
    command: catalogue.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"{command.noun} {command.verb}".split()
    build(Session).meta([*words, "--help"])
    shown = capsys.readouterr().out
    assert (load(command).__doc__ or "").split(".")[0][:40] in " ".join(shown.split())
    assert command.examples
    for example in command.examples:
        assert example in shown
        assert example.startswith(f"mur {command.noun}")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_understood(example: str) -> None:
    tokens = shlex.split(example)[1:]
    understood: list[Options] = []

    def note(options: Options) -> Session:
        understood.append(options)
        raise KeyboardInterrupt  # far enough: the command line was understood

    with pytest.raises(KeyboardInterrupt):
        build(note).meta(tokens)
    assert understood[0].as_json == ("--json" in tokens)


@pytest.mark.parametrize("flags", [[], ["--json"], ["--utc"], ["--json", "--utc"]])
@pytest.mark.parametrize("command", catalogue.COMMANDS, ids=lambda c: f"{c.noun} {c.verb}")
def test_the_short_way_and_the_parser_understand_the_same(
    command: catalogue.Command, flags: list[str]
) -> None:
    words = f"{command.noun} {command.verb}".split() + WORDS[command.words]
    tokens = [*flags, *words]
    found = shortcut.match(tokens)
    assert found is not None
    parsed: list[Options] = []

    def note(options: Options) -> Session:
        parsed.append(options)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(note).meta(tokens)
    assert (found[0], found[1], found[2]) == (command, WORDS[command.words], parsed[0])
    function, bound, _ = build(Session).parse_args(words)
    assert inspect.unwrap(function) is load(command)
    assert list(bound.args) == WORDS[command.words]
    assert bound.kwargs == {}


@pytest.mark.parametrize(
    "tokens",
    [
        "",
        "host",
        "host list x",
        "host show",
        "host show a b",
        "host show -x",
        "host lock worker-1 --wait",
        "nope",
        "site nope",
        "--url http://x site",
        "host --help",
    ],
)
def test_the_short_way_leaves_what_needs_a_parser(tokens: str) -> None:
    assert shortcut.match(tokens.split()) is None


def test_the_version_is_told(mur: Mur) -> None:
    result = mur.process("--version")
    assert result.code == 0
    assert result.out.startswith("mur 0.")


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        ("host list --json", {"cyclopts", "rich", "asyncio", "aiohttp"}),
        ("host list", {"cyclopts", "asyncio", "aiohttp"}),
        ("--version", {"cyclopts", "rich", "http.client"}),
    ],
)
def test_a_quick_command_imports_nothing_slow(mur: Mur, words: str, absent: set[str]) -> None:
    program = (
        "import sys; from murmuration.cli.__main__ import run; "
        f"code = run({words.split()!r}); print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=mur.environment,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert not absent & set(done.stderr.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_made_for_each_shell(mur: Mur, shell: str) -> None:
    result = mur("completion", "print", "--shell", shell)
    assert (result.code, result.err) == (0, "")
    for word in ("link-down", "host", "follow", "severity", "indeterminate"):
        assert word in result.out


def test_bash_accepts_its_script_and_completes_words_and_names(mur: Mur) -> None:
    (mur.home / "mur.bash").write_text(mur("completion", "print", "--shell", "bash").out)
    bin_folder = mur.home / "bin"
    bin_folder.mkdir()
    starter = bin_folder / "mur"
    starter.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m murmuration.cli "$@"\n')
    starter.chmod(0o755)
    environment = mur.environment | {"PATH": f"{bin_folder}:{mur.environment['PATH']}"}

    def complete(*words: str) -> list[str]:
        typed = " ".join(shlex.quote(word) for word in ("mur", *words))
        script = (
            f". {mur.home}/mur.bash; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
            "function=$(complete -p mur | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $function; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            env=environment,
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        assert done.stderr == ""
        return [word.strip() for word in done.stdout.split()]

    assert "alarm" in complete("al")
    assert {"lock", "list"} <= set(complete("host", "l"))
    assert "--severity" in complete("alarm", "list", "--sev")
    assert complete("host", "show", "worker-") == ["worker-1", "worker-2", "worker-3"]
    assert complete("lab", "kill", "lab") == []  # the machine itself cannot be broken
    assert complete("alarm", "show", "02") == ["02f4b3a9-3c9e-4c43-8c5d-0b3d5bb60503"]


def test_names_are_not_completed_and_nothing_is_said_without_a_site(mur: Mur) -> None:
    result = mur("__complete", "host", "show", "w", MUR_URL="http://127.0.0.1:1")
    assert (result.out.strip("\n"), result.err) == ("\x1fbegin", "")  # the scripts look for it


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/mur"),
        ("fish", ".config/fish/completions/mur.fish"),
    ],
)
def test_completion_is_installed_for_the_user(mur: Mur, shell: str, place: str) -> None:
    result = mur("completion", "install", "--shell", shell)
    assert result.code == 0
    assert str(mur.home / place) in result.out
    printed = mur("completion", "print", "--shell", shell).out
    assert (mur.home / place).read_text().rstrip() == printed.rstrip()
    again = mur("completion", "install", "--shell", shell, "--json")
    assert again.code == 0
    if shell == "bash":
        assert (mur.home / ".bashrc").read_text().count("Load mur completion") == 1


def test_script_only_leaves_the_start_file_alone(mur: Mur) -> None:
    assert mur("completion", "install", "--shell", "bash", "--script-only").code == 0
    assert not (mur.home / ".bashrc").exists()


def test_a_folder_that_cannot_be_written_is_told(mur: Mur) -> None:
    (mur.home / ".local").write_text("in the way")
    result = mur("completion", "install", "--shell", "bash")
    assert result.code == 1
    assert "mur completion print" in result.err


def test_a_spinner_shows_on_a_terminal_once_it_takes_a_second(mur: Mur, gateway: Gateway) -> None:
    shown = b""

    async def wait_for_spinner(_request: web.Request) -> web.StreamResponse:
        import asyncio

        while b"Asking the site" not in shown:
            await asyncio.sleep(0.02)
        return web.Response(text='{"items":[]}', content_type="application/json")

    gateway.handlers["/api/v1/hosts"] = wait_for_spinner
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "murmuration.cli", "host", "list"],
        env=mur.environment | {"TERM": "xterm-256color", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    deadline = time.monotonic() + 30
    while running.poll() is None and time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 0.1)
        if ready:
            try:
                shown += os.read(ours, 4096)
            except OSError:
                break
    out, _ = running.communicate(timeout=30)
    os.close(ours)
    assert running.returncode == 0
    assert out == b"No hosts. A host appears when its agent starts.\n"
    assert b"Asking the site" in shown
