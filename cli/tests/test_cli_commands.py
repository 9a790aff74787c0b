"""What each command shows to people (golden files, 80 columns) and gives to programs."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from murmuration.proto.api import AlarmList, EventList, HealthView, HostList, ParkedList
from murmuration.proto.fm import Severity
from murmuration.proto.mtce import HostPlan, HostStep, HostWhy
from murmuration.proto.sysinv import HostAction, RefusalCode

from .conftest import (
    ALARMS,
    EVENTS,
    HEALTH,
    HOSTS,
    NOW,
    PARKED,
    SITE,
    Gateway,
    Mur,
    Result,
    before,
    event,
    problem,
)
from .host_answers import host

GOLDEN = Path(__file__).parent / "golden"
Show = Callable[..., Result]


def check_golden(name: str, text: str) -> None:
    """Compare with a golden file; MUR_UPDATE_GOLDEN=1 writes it instead, to be read in the diff."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MUR_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; MUR_UPDATE_GOLDEN=1 rewrites it"


@pytest.fixture
def show(mur: Mur, gateway: Gateway) -> Show:
    """mur at 80 columns, unless said otherwise; the gateway's port is made the usual one."""

    def shown(*arguments: str, columns: str = "80") -> Result:
        result = mur(*arguments, COLUMNS=columns)
        return Result(
            result.code, result.out.replace(gateway.url, "http://127.0.0.1:8780"), result.err
        )

    return shown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("site", "site"),
        ("host-list", "host list"),
        ("host-show-machine", "host show lab-machine"),
        ("host-show-failed", "host show worker-1"),
        ("host-show-unlocking", "host show worker-2"),
        ("host-why", "host why worker-1"),
        ("host-plan", "host lock worker-1 --dry-run"),
        ("host-show-discovered", "host show worker-3"),
        ("host-show-utc", "host show worker-1 --utc"),
        ("alarm-list", "alarm list"),
        ("alarm-list-one", "alarm list --severity critical"),
        ("alarm-show", f"alarm show {ALARMS[0].uuid}"),
        ("event-list", "event list"),
        ("parked-list", "bus parked list"),
        ("parked-show", "bus parked show fm:3"),
        ("held-list", "bus held list"),
    ],
)
def test_a_view_reads_as_it_always_did(show: Show, name: str, words: str) -> None:
    result = show(*words.split())
    assert (result.code, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    check_golden(name, result.out)


def test_health_shows_every_part_and_fails_when_not_all_is_well(show: Show) -> None:
    result = show("health")
    assert (result.code, result.err) == (1, "")
    check_golden("health", result.out)


def test_health_succeeds_when_all_is_well(show: Show, gateway: Gateway) -> None:
    gateway.health = HealthView(status="ok", summary="All parts are well.", items=(), at=NOW)
    assert show("health") == Result(0, "ok: All parts are well.\n", "")


@pytest.mark.parametrize("columns", ["100", "120", "200"])
def test_tables_stay_within_a_wider_terminal(show: Show, columns: str) -> None:
    for words in (["host", "list"], ["alarm", "list"], ["event", "list"], ["health"]):
        lines = show(*words, columns=columns).out.splitlines()
        assert max(map(len, lines)) <= int(columns)
        check_golden(f"wide-{columns}-{words[0]}", "\n".join(lines) + "\n")


def test_a_pipe_gets_one_line_per_record(mur: Mur) -> None:
    pages = [mur(*words).out for words in (["host", "list"], ["alarm", "list"], ["event", "list"])]
    check_golden("pipe", "\n".join(pages))
    hosts = pages[0].splitlines()
    assert [line.split()[0] for line in hosts[1:7]] == [h.name for h in HOSTS]


def test_long_names_are_folded_and_never_cut(show: Show, gateway: Gateway) -> None:
    long = "edge-cell-site-0000-oulu-linnanmaa-rack-07-unit-23"
    gateway.hosts = (host(long, 1),)
    out = show("host", "list").out
    assert long in "".join(line[:20].split(" ")[0] for line in out.splitlines()[1:])


def test_text_from_the_site_cannot_steer_the_terminal(show: Show, gateway: Gateway) -> None:
    evil = "fine\x1b]0;owned\x07\x1b[2J\nand \u202egnp.exe [bold]x[/bold]"
    gateway.hosts = (host("worker-1", 1, reason=evil),)
    gateway.alarms = (msgspec.structs.replace(ALARMS[0], reason_text=evil, entity=evil),)
    gateway.events = [msgspec.structs.replace(EVENTS[0], summary=evil, subject=evil)]
    for words in ("host show worker-1", "alarm list", "event list"):
        out = show(*words.split()).out
        assert "fine" in out
        assert "[bold]x[/bold]" in "".join(out.split("\n"))
        assert not set(out) & {"\x1b", "\x07", "\u202e"}


def test_empty_lists_are_sentences(show: Show, gateway: Gateway) -> None:
    gateway.hosts, gateway.alarms, gateway.events = (), (), []
    gateway.parked = ParkedList(items=())
    assert show("bus", "parked", "list").out == "Nothing is set aside.\n"
    assert show("host", "list").out == "No hosts. A host appears when its agent starts.\n"
    assert show("alarm", "list").out == "No active alarms.\n"
    assert show("alarm", "list", "--severity", "major").out == "No active alarm is like that.\n"
    assert show("event", "list").out == "No events.\n"


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        ("site", SITE),
        ("health", HEALTH),
        ("host list", HostList(items=HOSTS)),
        ("host show worker-1", HOSTS[3]),
        ("alarm list", AlarmList(items=ALARMS)),
        (f"alarm show {ALARMS[1].uuid}", ALARMS[1]),
        ("alarm show 02f4", ALARMS[2]),
        ("event list --limit 2", EventList(items=EVENTS[-2:])),
        ("bus parked list", PARKED),
        ("bus parked show fm:4", PARKED.items[1]),
    ],
)
def test_json_is_exactly_the_api_s_answer(show: Show, words: str, payload: msgspec.Struct) -> None:
    result = show(*words.split(), "--json")
    assert result.out == msgspec.json.encode(payload).decode() + "\n"
    assert result.err == ""


def test_a_list_of_many_pages_is_one_list(show: Show, gateway: Gateway) -> None:
    gateway.page_size = 4
    listed = msgspec.json.decode(show("host", "list", "--json").out, type=HostList)
    assert listed == HostList(items=HOSTS)
    assert [seen.query.get("after") for seen in gateway.seen] == [None, "4"]


def test_filters_are_passed_on(show: Show, gateway: Gateway) -> None:
    show("alarm", "list", "--severity", "minor", "--entity", "host=worker-1")
    query = {"severity": "minor", "entity": "host=worker-1", "limit": "1000"}
    assert gateway.last.query == query
    show("event", "list", "--type", "fm.alarm.raised.v1", "--limit", "7")
    assert gateway.last.query == {"limit": "7", "type": "fm.alarm.raised.v1"}


def test_events_can_be_picked_by_the_beginning_of_their_type(show: Show) -> None:
    picked = show("event", "list", "--type", "sysinv.host", "--limit", "1", "--json")
    assert picked.out.encode() == msgspec.json.encode(EventList(items=EVENTS[1:2])) + b"\n"
    assert show("event", "list", "--type", "sysinv.hos").out == "No events.\n"
    assert len(show("event", "list", "--type", "fm.").out.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "method", "path", "asked", "said"),
    [
        (
            "host lock worker-1",
            "POST",
            "/api/v1/hosts/worker-1/actions",
            {"action": "lock"},
            "worker-1 is to be lock, as operator asked (1).",
        ),
        (
            "host lock worker-1 --force",
            "POST",
            "/api/v1/hosts/worker-1/actions",
            {"action": "force-lock"},
            "worker-1 is to be force-lock, as operator asked (1).",
        ),
        (
            "host unlock worker-2",
            "POST",
            "/api/v1/hosts/worker-2/actions",
            {"action": "unlock"},
            "worker-2 is to be unlock, as operator asked (1).",
        ),
        (
            "host power-off worker-2",
            "POST",
            "/api/v1/hosts/worker-2/actions",
            {"action": "power-off"},
            "worker-2 is to be power-off, as operator asked (1).",
        ),
        (
            "host accept worker-3",
            "POST",
            "/api/v1/hosts/worker-3/accept",
            {},
            "worker-3 is to be accepted, as operator asked (1).",
        ),
        (
            "alarm clear 02f4",
            "DELETE",
            f"/api/v1/alarms/{ALARMS[2].uuid}",
            {},
            f"{ALARMS[2].uuid} is to be cleared, as operator asked (1).",
        ),
        (
            "bus parked retry fm:3",
            "POST",
            "/api/v1/parked/fm/3/retry",
            {},
            "fm:3 is to be applied, as operator asked (1).",
        ),
        (
            "bus held confirm mtce:7",
            "POST",
            "/api/v1/held/mtce/7/confirm",
            {},
            "mtce:7 is to be done, as operator asked (1).",
        ),
        (
            "bus held drop mtce:7",
            "DELETE",
            "/api/v1/held/mtce/7",
            {},
            "mtce:7 is to be dropped, as operator asked (1).",
        ),
        (
            "bus parked drop fm:4",
            "DELETE",
            "/api/v1/parked/fm/4",
            {},
            "fm:4 is to be dropped, as operator asked (1).",
        ),
    ],
)
def test_a_change_is_asked_for_and_its_reason_printed(
    show: Show,
    gateway: Gateway,
    words: str,
    method: str,
    path: str,
    asked: dict[str, str],
    said: str,
) -> None:
    assert show(*words.split()) == Result(0, said + "\n", "")
    assert (gateway.last.method, gateway.last.path) == (method, path)
    assert gateway.last.headers["Content-Type"] == "application/json"
    body = msgspec.json.decode(gateway.last.body, type=dict[str, str])
    assert len(body.pop("operation_id")) == 32
    if words.startswith("alarm"):
        assert (body.pop("author"), body.pop("reason")) == ("operator", "")
    assert body == asked


def test_a_change_in_json_is_the_action_reply(show: Show, gateway: Gateway) -> None:
    result = show("host", "lock", "worker-1", "--json", "--operation-id", "my-operation-1")
    assert result.out.encode() == gateway.operations["my-operation-1"] + b"\n"


def test_a_repeated_operation_gets_the_first_answer(show: Show) -> None:
    first = show("host", "lock", "worker-1", "--operation-id", "my-operation-1")
    again = show("host", "lock", "worker-1", "--operation-id", "my-operation-1")
    assert first == again


def step_of(operation_id: str, sent: str, reason: str) -> HostStep:
    return HostStep(
        at=before(seconds=1), input=sent, state="", operation_id=operation_id, reason=reason
    )


def test_waiting_tells_the_stages_and_ends_with_the_operation(show: Show, gateway: Gateway) -> None:
    asked = 0

    async def answer(_request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        steps = [
            step_of("another-operation", "lock completed", "of somebody else"),
            step_of("my-operation-1", "lock accepted", "worker-1: its services stop"),
        ]
        if asked > 2:
            steps.append(step_of("my-operation-1", "lock completed", "worker-1: locked"))
        return _web_json(HostWhy(host="worker-1", steps=tuple(steps)))

    gateway.handlers["/api/v1/hosts/worker-1/why"] = answer
    result = show("host", "lock", "worker-1", "--wait", "--operation-id", "my-operation-1")
    assert result.code == 0
    assert result.out.splitlines()[-1] == "lock completed: worker-1: locked."
    assert result.err == "worker-1: its services stop\n"
    assert asked == 3


@pytest.mark.parametrize("end", ["failed", "refused"])
def test_waiting_fails_with_the_reason_when_the_operation_does(
    show: Show, gateway: Gateway, end: str
) -> None:
    gateway.steps = (step_of("my-operation-1", f"lock {end}", "its services did not stop"),)
    result = show("host", "lock", "worker-1", "--wait", "--operation-id", "my-operation-1")
    assert result.code == 1
    assert f"lock {end}: its services did not stop" in result.err


def test_waiting_says_that_the_request_stands_when_time_is_up(show: Show) -> None:
    result = show("host", "unlock", "worker-1", "--wait", "--wait-limit", "0")
    assert result.code == 1
    assert "unlock of worker-1 is not done after 0 s" in result.err
    assert "mur host why worker-1" in result.err


def test_waiting_for_a_deletion_ends_when_the_host_is_gone(show: Show, gateway: Gateway) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return problem(404, "Not Found", "mtce watches no host worker-1")

    gateway.handlers["/api/v1/hosts/worker-1/why"] = answer
    result = show("host", "delete", "worker-1", "--wait")
    assert (result.code, "no longer part of the site" in result.out) == (0, True)


def test_refused_plan_says_why_and_is_a_failure(show: Show, gateway: Gateway) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return _web_json(
            HostPlan(
                host="worker-1",
                action=HostAction.RESET,
                refusal=RefusalCode.HOST_UNLOCKED,
                reason="worker-1 is unlocked: `mur host lock worker-1` first.",
            )
        )

    gateway.handlers["/api/v1/hosts/worker-1/plan"] = answer
    result = show("host", "reset", "worker-1", "--dry-run")
    assert result.code == 1
    assert "host-unlocked" in result.err


def test_a_severity_is_said_once_in_an_event(show: Show, gateway: Gateway) -> None:
    said = event(
        5, "fm.alarm.raised.v1", "x", "major alarm 200.005 on x: quiet", severity=Severity.MAJOR
    )
    cleared = event(
        6, "fm.alarm.cleared.v1", "x", "alarm 200.005 on x cleared", severity=Severity.MAJOR
    )
    gateway.events = [said, cleared]
    assert show("event", "list").out.count("major") == 1


def test_waiting_goes_on_while_the_site_lags(show: Show, gateway: Gateway) -> None:
    asked = 0

    async def answer(_request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked < 3:
            return problem(504, "Gateway Timeout", "the change is not visible yet")
        return _web_json(host("worker-3", 3))

    gateway.handlers["/api/v1/hosts/worker-3"] = answer
    result = show("host", "accept", "worker-3", "--wait")
    assert (result.code, result.err) == (0, "")


def test_colour_repeats_words_on_a_terminal_and_obeys_no_color(mur: Mur) -> None:
    coloured = mur("alarm", "list", FORCE_COLOR="1", TERM="xterm-256color", COLUMNS="80").out
    assert "\x1b[1;31mcritical" in coloured
    bare = mur("alarm", "list", COLUMNS="80").out
    assert "\x1b" not in bare
    without = mur("alarm", "list", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm", COLUMNS="80").out
    assert "31m" not in without


def test_what_the_locale_cannot_show_is_escaped(mur: Mur, gateway: Gateway) -> None:
    gateway.hosts = (host("worker-1", 1, reason="température élevée"),)
    result = mur.process("host", "show", "worker-1", PYTHONIOENCODING="ascii")
    assert result.code == 0
    assert "temp\\xe9rature" in result.out


def _web_json(payload: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(payload), content_type="application/json")
