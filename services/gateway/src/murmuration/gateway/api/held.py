"""Effects that services hold back, for nobody knows whether they happened: an operator decides."""

import asyncio

from aiohttp import web

from murmuration.gateway.api.context import COMMAND_S, api_of, new_operation_id
from murmuration.gateway.api.hosts import action_reply
from murmuration.gateway.api.parked import ASK_S, named
from murmuration.gateway.ports import SitePort
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.api import ActionRequest, HeldList, HeldView
from murmuration.proto.platform import STATEFUL, ConfirmHeld, DropHeld, GetHeld, HeldEffects
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import json_response, read_json


async def list_held(request: web.Request) -> web.Response:
    """Effects that are held since a database was put back: they may have happened or not."""
    site = api_of(request).site
    answers = await asyncio.gather(*(_ask(site, service) for service in STATEFUL))
    items = tuple(
        HeldView(service=answer.service, effect=effect)
        for answer in answers
        if answer is not None
        for effect in answer.effects
    )
    away = tuple(s for s, answer in zip(STATEFUL, answers, strict=True) if answer is None)
    return json_response(HeldList(items=items, away=away))


async def confirm_held(request: web.Request) -> web.Response:
    """Have a held effect done after all, once."""
    service, number = named(request)
    body = await read_json(request, ActionRequest)
    command = ConfirmHeld(operation_id=body.operation_id or new_operation_id(), id=number)
    accepted = await api_of(request).site.request(
        command, Accepted, timeout_s=COMMAND_S, as_type=f"{service}.held.confirm.v1"
    )
    return json_response(action_reply(accepted))


async def drop_held(request: web.Request) -> web.Response:
    """Have a held effect not done: it counts as failed."""
    service, number = named(request)
    body = await read_json(request, ActionRequest)
    command = DropHeld(operation_id=body.operation_id or new_operation_id(), id=number)
    accepted = await api_of(request).site.request(
        command, Accepted, timeout_s=COMMAND_S, as_type=f"{service}.held.drop.v1"
    )
    return json_response(action_reply(accepted))


async def _ask(site: SitePort, service: str) -> HeldEffects | None:
    """A service's answer; None while it is away."""
    try:
        return await site.request(
            GetHeld(), HeldEffects, timeout_s=ASK_S, as_type=f"{service}.held.get.v1"
        )
    except (Unavailable, DeadlineExceeded):
        return None
