"""What `mur alarm` shows of roots, reasons, history and suppressions, and what it asks for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from murmuration.cli.errors import Usage
from murmuration.cli.moments import parse_moment, parse_span
from murmuration.cli.session import Options, Session
from murmuration.proto.api import GateList, SuppressionList
from murmuration.proto.fm_operators import HistoryPage

from .alarm_answers import ALONE, IMPACTED, NOW, ROOT, STORM, SUMMARY, SUPPRESSIONS
from .conftest import Gateway, Mur, Result
from .test_cli_commands import check_golden

Show = Callable[..., Result]


@pytest.fixture
def show(mur: Mur, gateway: Gateway) -> Show:
    """mur at 80 columns on a site in a storm of alarms with one cause."""
    gateway.alarms, gateway.alarm_summary = STORM, SUMMARY

    def shown(*arguments: str, columns: str = "80", user: str = "grace") -> Result:
        return mur(*arguments, COLUMNS=columns, USER=user)

    return shown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("alarm-list-roots", "alarm list"),
        ("alarm-list-all", "alarm list --all"),
        ("alarm-list-at", "alarm list --at 2h"),
        ("alarm-list-root", f"alarm list --root {ROOT.uuid}"),
        ("alarm-show-root", f"alarm show {ROOT.uuid}"),
        ("alarm-show-impacted", f"alarm show {IMPACTED[0].uuid}"),
        ("alarm-summary", "alarm summary"),
        ("alarm-why", f"alarm why {IMPACTED[0].uuid}"),
        ("alarm-why-root", f"alarm why {ROOT.uuid}"),
        ("alarm-timeline", f"alarm timeline {ROOT.uuid}"),
        ("alarm-history", "alarm history"),
        ("alarm-suppressions", "alarm suppressions"),
        ("alarm-catalogue", "alarm catalogue"),
        ("alarm-catalogue-one", "alarm catalogue --id 100.101"),
        ("alarm-gates", "alarm gates"),
        ("help-alarm", "alarm --help"),
        ("help-alarm-list", "alarm list --help"),
        ("help-alarm-suppress", "alarm suppress --help"),
    ],
)
def test_a_view_reads_as_it_always_did(show: Show, name: str, words: str) -> None:
    result = show(*words.split())
    assert (result.code, result.err) == (0, "")
    out = "".join(f"{line.rstrip()}\n" for line in result.out.splitlines())
    assert max(map(len, out.splitlines())) <= 80
    check_golden(name, out)


def test_a_pipe_gets_a_record_a_line(mur: Mur, gateway: Gateway) -> None:
    gateway.alarms = STORM
    lines = mur("alarm", "list", "--all").out.splitlines()
    assert len(lines) == 1 + len(STORM)
    assert f"{ROOT.reason_text} [acknowledged by ada, 1 comment]" in lines[1]
    assert lines[2].startswith("  critical")


def test_empty_lists_are_sentences(show: Show, gateway: Gateway) -> None:
    gateway.alarms, gateway.history = (), HistoryPage(items=())
    gateway.suppressions, gateway.gates = SuppressionList(items=()), GateList(items=())
    gateway.degrades = msgspec.structs.replace(gateway.degrades, items=())
    hidden = "Not shown: 2 masked (--masked) and 3 suppressed (--suppressed)."
    assert " ".join(show("alarm", "list").out.split()) == f"No active alarms. {hidden}"
    assert show("alarm", "list", "--at", "2h").out == "No alarm was active then.\n"
    assert show("alarm", "history").out == "No history is like that.\n"
    assert show("alarm", "suppressions").out == "Nothing is suppressed.\n"
    assert show("alarm", "gates").out == "fm has told of no gate yet.\n"


@pytest.mark.parametrize(
    ("words", "method", "path", "asked"),
    [
        (["ack", ROOT.uuid], "PUT", f"alarms/{ROOT.uuid}/acknowledgement", {"reason": ""}),
        (["unack", "7e19"], "DELETE", f"alarms/{ALONE.uuid}/acknowledgement", {"reason": ""}),
        (
            ["clear", "7e19", "--reason", "gone"],
            "DELETE",
            f"alarms/{ALONE.uuid}",
            {"reason": "gone"},
        ),
        (["comment", "7e19", "on it"], "POST", f"alarms/{ALONE.uuid}/comments", {"text": "on it"}),
        (
            ["unsuppress", "51bb"],
            "DELETE",
            f"suppressions/{SUPPRESSIONS.items[1].id}",
            {"reason": ""},
        ),
        (
            ["suppress", "--entity", "host=a", "--severity", "minor", "--lasting", "2h"],
            "POST",
            "suppressions",
            {
                "alarm_id": "",
                "entity": "host=a",
                "severities": ["minor"],
                "comment": "",
                "expires_at": "2025-11-22T16:03:09Z",
            },
        ),
    ],
)
def test_a_change_says_who_asks_for_it(
    show: Show,
    gateway: Gateway,
    words: list[str],
    method: str,
    path: str,
    asked: dict[str, object],
) -> None:
    assert show("alarm", *words).code == 0
    assert (gateway.last.method, gateway.last.path) == (method, f"/api/v1/{path}")
    body = msgspec.json.decode(gateway.last.body, type=dict[str, object])
    assert len(str(body.pop("operation_id"))) == 32
    assert body == asked | {"author": "grace"}


def test_an_export_is_passed_through_as_it_comes(
    show: Show, gateway: Gateway, tmp_path: Path
) -> None:
    assert show("alarm", "export").out == '{"id":1}\n{"id":2}\n'
    assert gateway.last.query == {"format": "jsonl"}
    path = tmp_path / "history.csv"
    words = ["alarm", "export", "--history", "--format", "csv", "--since", "1d", "--output"]
    assert show(*words, str(path)) == Result(0, "", "")
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n'
    assert gateway.last.path == "/api/v1/alarm-history/export"
    assert gateway.last.query == {"format": "csv", "since": "2025-11-21T14:03:09Z"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("suppress", "Say what to suppress: --alarm-id, --entity or --severity."),
        ("suppress --alarm-id 100.101 --lasting long", "--lasting is a span such as 15min"),
        ("export --since 2h", "--since and --until go with --history."),
        ("list --at yesterday", "--at is no moment: 'yesterday'."),
        ("history --limit 0", "--limit must be from 1 to 200."),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    show: Show, gateway: Gateway, words: str, said: str
) -> None:
    result = show("alarm", *words.split())
    assert result.code == 2
    assert said in result.err
    assert not gateway.seen


def test_json_is_exactly_the_api_s_answer(show: Show, gateway: Gateway) -> None:
    history = show("alarm", "history", "--json").out.encode()
    assert msgspec.json.decode(history, type=HistoryPage) == gateway.history
    both = msgspec.json.decode(show("alarm", "gates", "--json").out)
    assert both.keys() == {"gates", "degrades"}
    assert msgspec.json.decode(show("alarm", "summary", "--json").out)["root_count"] == 1


def test_profile_says_otherwise_than_the_catalogue_or_the_same_again(
    show: Show, gateway: Gateway
) -> None:
    done = show("alarm", "profile", "100.101", "--severity", "minor", "--degrades-from", "none")
    assert done.code == 0, done.err
    assert (gateway.last.method, gateway.last.path) == (
        "PUT",
        "/api/v1/alarm-catalogue/100.101/profile",
    )
    said = msgspec.json.decode(gateway.last.body)
    assert (said["severity"], said["degrade_reach"], said["author"]) == ("minor", "none", "grace")
    show("alarm", "profile", "100.101", "--reset")
    assert msgspec.json.decode(gateway.last.body).get("severity") is None
    for wrong in ((), ("--reset", "--severity", "minor")):
        assert "Say what is otherwise" in show("alarm", "profile", "100.101", *wrong).err


def test_in_a_pipe_every_alarm_has_a_line(show: Show) -> None:
    lines = show("alarm", "list", columns="").out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == [
        alarm.uuid[:8] for alarm in (ROOT, *IMPACTED, ALONE)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("15min", NOW - timedelta(minutes=15)),
        ("14:00", datetime(2025, 11, 22, 14, tzinfo=UTC)),
        ("14:04", datetime(2025, 11, 21, 14, 4, tzinfo=UTC)),  # today's is still to come
        ("2025-11-01 08:30", datetime(2025, 11, 1, 8, 30, tzinfo=UTC)),
        ("2025-11-01T08:30:00+02:00", datetime(2025, 11, 1, 6, 30, tzinfo=UTC)),
        ("2025-11-01", datetime(2025, 11, 1, tzinfo=UTC)),
    ],
)
def test_moments_are_read_as_people_write_them(text: str, found: datetime) -> None:
    session = Session(Options(utc=True), now=lambda: NOW)
    assert parse_moment(text, "--at", session) == found
    assert parse_moment(None, "--at", session) is None


def test_a_bare_time_is_of_the_zone_that_is_shown(show: Show, gateway: Gateway) -> None:
    show("alarm", "list", "--at", "16:00")  # EET is two hours ahead of UTC
    assert gateway.last.query["at"] == "2025-11-22T14:00:00Z"


def test_a_span_needs_a_number_and_a_unit() -> None:
    for wrong in ("", "2", "h", "0h", "2 years", "-1h"):
        with pytest.raises(Usage, match="--lasting is a span"):
            parse_span(wrong, "--lasting")
