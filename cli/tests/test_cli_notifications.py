"""`mur receiver` and `mur silence`: what is shown, and what is asked for."""

from pathlib import Path

import msgspec
import pytest

from murmuration.proto.api import ReceiverRequest, RoutingRequest, SilenceRequest
from murmuration.proto.fm_notify import Matcher, MatchOperator, ReceiverKind, Receivers

from .conftest import Gateway, Mur
from .notification_answers import EMPTY, NOTIFICATIONS, SILENCE_ID
from .test_cli_commands import check_golden


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("receiver-list", "receiver list"),
        ("receiver-routes", "receiver routes"),
        ("silence-list", "silence list"),
    ],
)
def test_a_view_of_notifications_reads_as_it_always_did(mur: Mur, name: str, words: str) -> None:
    shown = mur(*words.split(), COLUMNS="80")
    assert shown.code == 0, shown.err
    check_golden(name, shown.out)


def test_empty_lists_of_notifications_are_sentences(mur: Mur, gateway: Gateway) -> None:
    gateway.notifications = dict(EMPTY)
    assert mur("receiver", "list").out.startswith("Nobody is told of alarms")
    assert mur("receiver", "routes").out.startswith("There are no routes")
    assert mur("silence", "list", "--expired").out == "Nothing is silenced.\n"


def test_json_is_exactly_what_the_site_answers(mur: Mur) -> None:
    shown = mur("receiver", "list", "--json")
    assert msgspec.json.decode(shown.out, type=Receivers) == NOTIFICATIONS["receivers"]


def test_receiver_is_set_tried_and_removed(mur: Mur, gateway: Gateway) -> None:
    url = "https://example.org/hook"
    done = mur("receiver", "set", "ops", url, "--only-firing")
    assert done.code == 0, done.err
    body = msgspec.json.decode(gateway.last.body, type=ReceiverRequest)
    assert (body.kind, body.url, body.send_resolved) == (ReceiverKind.WEBHOOK, url, False)
    for verb in ("try", "retry", "remove"):
        assert mur("receiver", verb, "ops").code == 0
    assert mur("receiver", "try", "nobody").code != 0


def test_silence_is_added_from_conditions_and_ended_by_the_end_of_its_id(
    mur: Mur, gateway: Gateway
) -> None:
    conditions = "alarm_id=~800.*|801.*,severity!=critical,host="
    assert mur("silence", "add", conditions, "--lasting", "2h").code == 0
    body = msgspec.json.decode(gateway.last.body, type=SilenceRequest)
    assert body.matchers == (
        Matcher(label="alarm_id", operator=MatchOperator.LIKE, value="800.*|801.*"),
        Matcher(label="severity", operator=MatchOperator.DIFFERENT, value="critical"),
        Matcher(label="host", operator=MatchOperator.EQUAL, value=""),
    )
    assert "is no condition" in mur("silence", "add", "nothing", "--lasting", "2h").err
    assert mur("silence", "end", SILENCE_ID[-8:]).code == 0


def test_routes_are_replaced_from_a_file(mur: Mur, gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[[routes]]\nname = "all"\nreceiver = "ops"\ngroup_wait_s = 5\n')
    assert mur("receiver", "routes", "--file", str(file)).code == 0
    body = msgspec.json.decode(gateway.last.body, type=RoutingRequest)
    assert body.routing.routes[0].group_wait_s == 5
    file.write_text("[[routes]]\nname = 7\n")
    assert "is no routing" in mur("receiver", "routes", "--file", str(file)).err
    assert "Cannot read" in mur("receiver", "routes", "--file", str(tmp_path / "no")).err
