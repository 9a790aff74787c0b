"""BMCs and labels of hosts: declared at sysinv, the password kept by mtce, asked of mtce."""

from aiohttp import web

from murmuration.gateway.api.context import COMMAND_S, api_of, new_operation_id
from murmuration.gateway.api.hosts import action_reply, host_of
from murmuration.proto.api import ActionReply, ActionRequest, BmcRequest, LabelRequest
from murmuration.proto.mtce_bmc import AskBmc, BmcView, SecretKept, SetBmcSecret
from murmuration.proto.sysinv import Accepted, HostBmc, LabelHost, SetHostBmc
from murmuration.web.bodies import json_response, read_json

QUERY_S = 5.0


async def get_bmc(request: web.Request) -> web.Response:
    """The BMC of a host, its sensors, and whether its workload may move."""
    question = AskBmc(host=host_of(request))
    return json_response(await api_of(request).site.request(question, BmcView, timeout_s=QUERY_S))


async def set_bmc(request: web.Request) -> web.Response:
    """Say where the BMC of a host is; a password goes to the secret store alone.

    The password is kept first: repeated after a failure, the request ends in the same state.
    """
    host, body = host_of(request), await read_json(request, BmcRequest)
    operation_id = body.operation_id or new_operation_id()
    if body.password is not None:
        await _keep(request, host, body.password)
    return json_response(await _declare(request, host, body.bmc, operation_id))


async def clear_bmc(request: web.Request) -> web.Response:
    """Say that a host has no BMC, and forget its password."""
    host, body = host_of(request), await read_json(request, ActionRequest)
    reply = await _declare(request, host, None, body.operation_id or new_operation_id())
    await _keep(request, host, "")
    return json_response(reply)


async def label_host(request: web.Request) -> web.Response:
    """Set and remove labels of a host."""
    body = await read_json(request, LabelRequest)
    command = LabelHost(
        operation_id=body.operation_id or new_operation_id(),
        host=host_of(request),
        labels=body.labels,
        removed=body.removed,
    )
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


async def _declare(
    request: web.Request, host: str, bmc: HostBmc | None, operation_id: str
) -> ActionReply:
    command = SetHostBmc(operation_id=operation_id, host=host, bmc=bmc)
    return action_reply(await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S))


async def _keep(request: web.Request, host: str, password: str) -> None:
    command = SetBmcSecret(operation_id=new_operation_id(), host=host, password=password)
    await api_of(request).site.request(command, SecretKept, timeout_s=COMMAND_S)
