"""What the make-believe gateway answers about receivers, routes and silences."""

from datetime import timedelta

import msgspec

from murmuration.proto.fm_notify import (
    Matcher,
    MatchOperator,
    Receiver,
    ReceiverKind,
    Receivers,
    ReceiverStatus,
    Route,
    Routing,
    Silence,
    Silences,
    SilenceState,
)

from .alarm_answers import NOW, before

SILENCE_ID = "0192f3a1-0000-7000-8000-00005eed0001"
HOST = Matcher(label="host", operator=MatchOperator.LIKE, value="worker-*")
CRITICAL = Matcher(label="severity", operator=MatchOperator.EQUAL, value="critical")

NOTIFICATIONS: dict[str, msgspec.Struct] = {
    "receivers": Receivers(
        items=(
            ReceiverStatus(
                receiver=Receiver(
                    name="ops", kind=ReceiverKind.WEBHOOK, url="https://example.org/hook"
                ),
                delivered_at=before(minutes=3),
            ),
            ReceiverStatus(
                receiver=Receiver(name="noc", kind=ReceiverKind.SNMP, url="snmp://192.0.2.7:162"),
                waiting=12,
                dead=1,
                failed_at=before(minutes=1),
                error="Name or service not known",
            ),
        )
    ),
    "routing": Routing(
        routes=(
            Route(name="all", receiver="ops"),
            Route(name="hard", parent="all", receiver="noc", matchers=(CRITICAL,)),
        )
    ),
    "silences": Silences(
        items=(
            Silence(
                id=SILENCE_ID,
                matchers=(HOST, CRITICAL),
                starts_at=before(hours=1),
                ends_at=NOW + timedelta(hours=5),
                author="ann",
                comment="new disks",
                created_at=before(hours=1),
                state=SilenceState.ACTIVE,
            ),
        )
    ),
}
EMPTY: dict[str, msgspec.Struct] = {
    "receivers": Receivers(items=()),
    "routing": Routing(),
    "silences": Silences(items=()),
}
