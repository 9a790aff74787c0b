"""Receivers, routes and silences at the gateway: what is asked of fm, and what comes back."""

from services.gateway.tests.gateway_door import a_gateway, a_site

from murmuration.proto.envelope import encode
from murmuration.proto.fm_notify import (
    ExpireSilence,
    GetReceivers,
    GetRouting,
    GetSilences,
    Matcher,
    MatchOperator,
    Receiver,
    ReceiverKind,
    Receivers,
    ReceiverStatus,
    RemoveReceiver,
    RetryDeliveries,
    Route,
    Routing,
    SetReceiver,
    SetRouting,
    Silences,
    TryReceiver,
)
from murmuration.proto.fm_operators import Raised

RECEIVER = Receiver(name="ops", kind=ReceiverKind.WEBHOOK, url="https://example.org/", secret="s")
ROUTING = Routing(
    routes=(
        Route(
            name="all",
            receiver="ops",
            matchers=(Matcher(label="host", operator=MatchOperator.LIKE, value="w-*"),),
        ),
    )
)


async def test_receivers_routes_and_silences_are_asked_of_fm() -> None:
    site = a_site()
    site.queries[GetReceivers] = lambda _: Receivers(
        items=(ReceiverStatus(receiver=RECEIVER, waiting=2, error="HTTP 500"),)
    )
    site.queries[GetRouting] = lambda _: ROUTING
    site.queries[GetSilences] = lambda _: Silences(items=())
    async with a_gateway(site) as door:
        (status,) = (await door.get("/api/v1/receivers"))["items"]
        assert (status["receiver"]["name"], status["waiting"]) == ("ops", 2)
        assert (await door.get("/api/v1/routing"))["routes"][0]["name"] == "all"
        await door.get("/api/v1/silences?expired=true")
        assert site.asked[-1] == GetSilences(expired=True)


async def test_changes_become_commands_of_their_operator() -> None:
    site = a_site()
    async with a_gateway(site) as door:
        body = {"operation_id": "operation-1", "author": "ann"}
        wanted = {"kind": "webhook", "url": "https://example.org/", "secret": "s"}
        await door.change("PUT", "/api/v1/receivers/ops", {**body, **wanted})
        await door.change("POST", "/api/v1/receivers/ops/try", body)
        await door.change("POST", "/api/v1/receivers/ops/retry", body)
        await door.change("DELETE", "/api/v1/receivers/ops", body)
        await door.change("DELETE", "/api/v1/silences/some-id", body)
        ids = {"operation_id": "operation-1", "author": "ann"}
        assert site.commands == [
            SetReceiver(receiver=RECEIVER, **ids),
            TryReceiver(name="ops", **ids),
            RetryDeliveries(name="ops", **ids),
            RemoveReceiver(name="ops", **ids),
            ExpireSilence(id="some-id", **ids),
        ]
        routing = encode({**body, "routing": ROUTING})
        async with door.web.put(
            door.url("/api/v1/routing"),
            data=routing,
            headers={"Content-Type": "application/json"},
        ) as answer:
            assert answer.status == 200
        assert site.commands[-1] == SetRouting(routing=ROUTING, **ids)
        await door.change("DELETE", f"/api/v1/silences/{'x' * 50}", body, status=404)


async def test_silence_is_made_under_an_id_of_its_own() -> None:
    site = a_site()
    site.answer = Raised(
        operation_id="operation-1", service="fm", epoch=1, change=7, reason="silenced", uuid="u"
    )
    async with a_gateway(site) as door:
        body = {
            "matchers": [{"label": "host", "operator": "=", "value": "w-1"}],
            "ends_at": "2030-01-01T00:00:00Z",
        }
        made = await door.change("POST", "/api/v1/silences", body)
        assert made["after"] == "fm:1:7"
        await door.change("POST", "/api/v1/silences", {**body, "matchers": []}, status=400)
