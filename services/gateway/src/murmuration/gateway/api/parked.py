"""What the services have set aside: asked of each when it is asked for, never kept here."""

import asyncio

from aiohttp import web

from murmuration.gateway.api.context import COMMAND_S, api_of, new_operation_id
from murmuration.gateway.api.hosts import action_reply
from murmuration.gateway.ports import SitePort
from murmuration.kernel.errors import DeadlineExceeded, NotFound, Unavailable
from murmuration.proto.api import ActionRequest, ParkedList, ParkedView
from murmuration.proto.platform import (
    STATEFUL,
    DropParked,
    GetParked,
    ParkedMessages,
    RetryParked,
)
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import json_response, read_json

ASK_S = 2.0  # a service that is away is listed as such
NUMBER_DIGITS_MAX = 18


async def list_parked(request: web.Request) -> web.Response:
    """Messages that services set aside because they could not be decoded or applied."""
    site = api_of(request).site
    answers = await asyncio.gather(*(_ask(site, service, GetParked()) for service in STATEFUL))
    items = tuple(
        ParkedView(service=answer.service, message=message)
        for answer in answers
        if answer is not None
        for message in answer.messages
    )
    away = tuple(s for s, answer in zip(STATEFUL, answers, strict=True) if answer is None)
    return json_response(ParkedList(items=items, away=away))


async def get_parked(request: web.Request) -> web.Response:
    """One message that was set aside, with its headers and body."""
    service, number = named(request)
    answer = await _ask(api_of(request).site, service, GetParked(id=number))
    if answer is None:
        raise Unavailable(f"{service} is away")
    return json_response(ParkedView(service=service, message=answer.messages[0]))


async def retry_parked(request: web.Request) -> web.Response:
    """Apply a message that was set aside, unless something newer of its entity has been."""
    service, number = named(request)
    body = await read_json(request, ActionRequest)
    command = RetryParked(operation_id=body.operation_id or new_operation_id(), id=number)
    accepted = await api_of(request).site.request(
        command, Accepted, timeout_s=COMMAND_S, as_type=f"{service}.parked.retry.v1"
    )
    return json_response(action_reply(accepted))


async def drop_parked(request: web.Request) -> web.Response:
    """Forget a message that was set aside, for good."""
    service, number = named(request)
    body = await read_json(request, ActionRequest)
    command = DropParked(operation_id=body.operation_id or new_operation_id(), id=number)
    accepted = await api_of(request).site.request(
        command, Accepted, timeout_s=COMMAND_S, as_type=f"{service}.parked.drop.v1"
    )
    return json_response(action_reply(accepted))


async def _ask(site: SitePort, service: str, ask: GetParked) -> ParkedMessages | None:
    """A service's answer; None while it is away."""
    try:
        return await site.request(
            ask, ParkedMessages, timeout_s=ASK_S, as_type=f"{service}.parked.get.v1"
        )
    except (Unavailable, DeadlineExceeded):
        return None


def named(request: web.Request) -> tuple[str, int]:
    """The service and the number in the path, of a parked message or a held effect.

    Raises NotFound.
    """
    service, number = request.match_info["service"], request.match_info["number"]
    if service not in STATEFUL:
        raise NotFound(f"{service[:40]!r} sets nothing aside: it is one of {', '.join(STATEFUL)}")
    if not (number.isascii() and number.isdigit() and len(number) <= NUMBER_DIGITS_MAX):
        raise NotFound(f"{number[:40]!r} is not the number of anything set aside")
    if int(number) == 0:
        raise NotFound("what is set aside is counted from 1")
    return service, int(number)
