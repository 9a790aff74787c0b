"""`mur event list --follow`: nothing missed, nothing twice, breaks said on stderr."""

import asyncio
import contextlib
import itertools
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from murmuration.cli.follow import Follower
from murmuration.cli.http import Client
from murmuration.cli.sites import Site
from murmuration.cli.sse import Message, Parser
from murmuration.proto.api import EventView

from .conftest import DEADLINE_S, EVENTS, TOKEN, Gateway, Mur, event, problem, until

STREAM = "/api/v1/stream"
CLOSE, HANG, COMMENTS = b"close", b"hang", b"comments"
LIVE = tuple(
    event(n, "mtce.host.state_changed.v1", f"worker-{n}", f"worker-{n} changed.")
    for n in range(200, 206)
)


def sse(name: str, data: bytes, cursor: str = "") -> bytes:
    """One message as the gateway writes it."""
    head = f"id: {cursor}\n" if cursor else ""
    return f"{head}event: {name}\ndata: ".encode() + data + b"\n\n"


def log(shown: EventView) -> bytes:
    return sse("log", msgspec.json.encode(shown), shown.cursor)


def snapshot(*events: EventView) -> bytes:
    content = {"site": {}, "hosts": [], "alarms": [], "events": events}
    return sse("snapshot", msgspec.json.encode(content))


def line(shown: EventView) -> str:
    return msgspec.json.encode(shown).decode()


PULSE = sse("pulse", b'{"at":"2025-11-22T14:03:09Z","window_ms":500,"hosts":[]}')


def serve_streams(gateway: Gateway, *connections: list[bytes]) -> None:
    """Give each connection its script; the last one's is given to all that follow."""
    scripts = itertools.chain(connections, itertools.repeat(connections[-1]))

    async def stream(request: web.Request) -> web.StreamResponse:
        script = next(scripts)
        if script[0].startswith(b"status "):
            return problem(int(script[0].split()[1]), "Refused", "Not now.")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in script:
            if chunk == HANG:
                await asyncio.sleep(3600)
            elif chunk == COMMENTS:
                while True:
                    await response.write(b": still here\n\n")
                    await asyncio.sleep(0.05)
            elif chunk == CLOSE:
                assert request.transport is not None
                request.transport.close()
            else:
                await response.write(chunk)
        return response

    gateway.handlers[STREAM] = stream


def streams(gateway: Gateway) -> list[str | None]:
    """The Last-Event-ID of each connection to the stream."""
    return [s.headers.get("Last-Event-ID") for s in gateway.seen if s.path == STREAM]


class Following:
    """A run that follows; its output is collected as it comes."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self.running = running
        self.out: list[str] = []
        self.err: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(pipe, lines), daemon=True)
            for pipe, lines in ((running.stdout, self.out), (running.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(pipe: Iterator[str], lines: list[str]) -> None:
        for text in pipe:
            lines.append(text.rstrip("\n"))

    def until(self, reached: Callable[["Following"], bool], what: str) -> None:
        until(lambda: reached(self), f"{what}; out {self.out}, err {self.err}")

    def end(self) -> int:
        """Ctrl-C; the exit code."""
        self.running.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        code = self.running.wait(DEADLINE_S)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        return code


Follow = Callable[..., Following]


@pytest.fixture
def follow(mur: Mur) -> Iterator[Follow]:
    started: list[Following] = []

    def start(*arguments: str, **environment: str) -> Following:
        started.append(Following(mur.start("event", "list", "--follow", *arguments, **environment)))
        return started[-1]

    yield start
    for following in started:
        if following.running.poll() is None:
            following.running.kill()
        following.wait()
        for pipe in (following.running.stdout, following.running.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def test_following_shows_the_past_and_then_what_happens_as_json_lines(
    gateway: Gateway, follow: Follow
) -> None:
    serve_streams(gateway, [PULSE, log(LIVE[0]), PULSE, log(LIVE[1]), HANG])
    following = follow("--json", "--limit", "2")
    following.until(lambda f: len(f.out) == 4, "two past events and two live ones")
    assert following.out == [line(e) for e in (*EVENTS[-2:], *LIVE[:2])]
    assert streams(gateway) == [EVENTS[-1].cursor]
    assert following.end() == 130
    assert following.err == []


def test_following_for_people_is_one_table(gateway: Gateway, follow: Follow) -> None:
    serve_streams(gateway, [log(LIVE[0]), HANG])
    following = follow("--limit", "1", COLUMNS="80")
    following.until(
        lambda f: bool(f.out) and f.out[-1].endswith("worker-200 changed."), "head, past and live"
    )
    head, past, *_, live = following.out
    assert head.split() == ["TIME", "EVENT", "SUMMARY"]
    assert past[head.index("EVENT") :].startswith("alarm raised        critical  Alarm 200.005")
    assert live[head.index("EVENT") :] == "host state changed  worker-200 changed."
    assert following.end() == 130


def test_a_broken_stream_is_resumed_after_the_last_whole_message(
    gateway: Gateway, follow: Follow
) -> None:
    half = log(LIVE[2])[:-20]
    serve_streams(
        gateway,
        [log(LIVE[0]), log(LIVE[1]), half, CLOSE],
        [log(LIVE[2]), log(LIVE[3]), CLOSE],
        [log(LIVE[4]), HANG],
    )
    following = follow("--json", "--limit", "0")
    following.until(lambda f: len(f.out) == 5, "five live events")
    assert following.out == [line(e) for e in LIVE[:5]]
    assert streams(gateway) == [EVENTS[-1].cursor, LIVE[1].cursor, LIVE[3].cursor]
    assert following.end() == 130
    assert len(following.err) == 4
    assert following.err[0].endswith("; connecting again …")
    assert following.err[1].startswith("mur: connected again after ")


def test_a_gateway_that_is_away_for_a_while_is_waited_for(gateway: Gateway, follow: Follow) -> None:
    serve_streams(
        gateway, [log(LIVE[0]), CLOSE], [b"status 503"], [b"status 502"], [log(LIVE[1]), HANG]
    )
    following = follow("--json", "--limit", "0")
    following.until(lambda f: len(f.out) == 2, "both live events")
    assert following.out == [line(e) for e in LIVE[:2]]
    assert len(following.err) == 2
    assert following.end() == 130


def test_a_refusal_ends_it(gateway: Gateway, follow: Follow) -> None:
    serve_streams(gateway, [log(LIVE[0]), CLOSE], [b"status 401"])
    following = follow("--json", "--limit", "0")
    assert following.wait() == 1
    assert following.out == [line(LIVE[0])]
    assert msgspec.json.decode(following.err[-1])["status"] == 401


def test_a_stream_that_cannot_be_resumed_says_so_and_shows_nothing_twice(
    gateway: Gateway, follow: Follow
) -> None:
    reset = sse("reset", b'{"reason":"the cursor is too old"}')
    serve_streams(
        gateway,
        [log(LIVE[0]), CLOSE],
        [reset, snapshot(EVENTS[-1], LIVE[0], LIVE[1]), log(LIVE[2]), HANG],
    )
    following = follow("--json", "--limit", "1")
    following.until(lambda f: len(f.out) == 4, "every event once")
    assert following.out == [line(e) for e in (EVENTS[-1], *LIVE[:3])]
    said = "mur: the stream begins anew (the cursor is too old); events may be missing here."
    assert following.err[-1] == said


def test_without_a_past_the_snapshot_s_events_are_shown(gateway: Gateway, follow: Follow) -> None:
    gateway.events = []
    serve_streams(gateway, [snapshot(LIVE[0]), log(LIVE[1]), HANG])
    following = follow("--json")
    following.until(lambda f: len(f.out) == 2, "both events")
    assert streams(gateway) == [None]


def test_only_the_wanted_type_is_shown_from_where_the_log_ends(
    gateway: Gateway, follow: Follow
) -> None:
    cleared = event(300, "fm.alarm.cleared.v1", "200.005/host=worker-1", "It is gone.")
    other = event(301, "fm.alarming.v1", "x", "Not an alarm.")
    gateway.events.append(LIVE[0])
    serve_streams(gateway, [log(LIVE[1]), log(other), log(cleared), HANG])
    following = follow("--json", "--type", "fm.alarm")
    following.until(lambda f: len(f.out) == 2, "the raised one and the cleared one")
    assert following.out == [line(EVENTS[-1]), line(cleared)]
    assert streams(gateway) == [LIVE[0].cursor]


def test_it_ends_soon_after_its_reader_went_away(gateway: Gateway, mur: Mur) -> None:
    serve_streams(gateway, [log(LIVE[0]), COMMENTS])
    running = mur.start("event", "list", "--follow", "--json", "--limit", "0")
    assert running.stdout is not None
    assert running.stdout.readline() == line(LIVE[0]) + "\n"
    running.stdout.close()
    assert running.wait(DEADLINE_S) == 141
    assert running.stderr is not None
    assert running.stderr.read() == ""
    running.stderr.close()


def test_a_stream_cannot_begin_where_nobody_listens(mur: Mur) -> None:
    result = mur("event", "list", "--follow", MUR_URL="http://127.0.0.1:1")
    assert (result.code, result.out) == (3, "")


def test_a_silent_connection_is_given_up(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_streams(gateway, [log(LIVE[0]), HANG], [log(LIVE[1]), HANG])
    client = Client(Site(url=gateway.url, token=TOKEN), timeout_s=DEADLINE_S)
    messages = Follower(client, silence_s=1).messages()
    assert [next(messages).id, next(messages).id] == [LIVE[0].cursor, LIVE[1].cursor]
    assert "nothing heard from the site for 1 s; connecting again" in capsys.readouterr().err
    messages.close()  # pyright: ignore[reportAttributeAccessIssue]


NAMES = st.text("abc", min_size=1, max_size=5)
TEXTS = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=20)


def made(event: str, data: list[str], resume_after: str) -> Message:
    return Message(event=event, data="\n".join(data), id=resume_after)


MESSAGES = st.builds(
    made,
    NAMES,
    st.lists(TEXTS, min_size=1, max_size=3),
    st.text("0123456789:fm", max_size=8),
)


@given(st.lists(MESSAGES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_every_message_that_is_written_is_read(messages: list[Message], end: str) -> None:
    lines: list[str] = []
    for message in messages:
        lines += [": a comment", f"event: {message.event}", "retry: 250", "unknown: x"]
        lines += [f"data: {part}" for part in message.data.split("\n")]
        lines += [f"id: {message.id}"] if message.id else []
        lines.append("")
    parser = Parser()
    read = [parser.feed((text + end).encode()) for text in lines]
    assert [message for message in read if message] == messages


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_read_without_harm(lines: list[bytes]) -> None:
    parser = Parser()
    for raw in lines:
        message = parser.feed(raw)
        assert message is None or message.event


def test_a_message_without_its_empty_line_does_not_exist() -> None:
    parser = Parser()
    assert [parser.feed(text) for text in (b"id: 7\n", b"event: log\n", b"data: {}\n")] == [
        None
    ] * 3
    assert parser.feed(b"\n") == Message(event="log", data="{}", id="7")
    assert parser.feed(b"\n") is None
