"""The routes of notifications: receivers, routing, silences."""

from murmuration.gateway.api.notifications import (
    add_silence,
    expire_silence,
    get_routing,
    list_receivers,
    list_silences,
    remove_receiver,
    retry_receiver,
    set_receiver,
    set_routing,
    try_receiver,
)
from murmuration.gateway.api.route import COMMAND_PROBLEMS, READ_PROBLEMS, Parameter, Route
from murmuration.proto.api import (
    ActionReply,
    MadeReply,
    OperatorRequest,
    ReceiverRequest,
    RoutingRequest,
    SilenceRequest,
)
from murmuration.proto.fm_notify import Receivers, Routing, Silences

EXPIRED = Parameter(
    name="expired",
    description="The silences that ended within the last day too.",
    schema={"type": "string", "enum": ["true", "false"]},
)
_TAG = "notifications"

NOTIFICATION_ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/receivers",
        handler=list_receivers,
        tag=_TAG,
        reply=Receivers,
        problems=READ_PROBLEMS,
    ),
    Route(
        method="PUT",
        path="/receivers/{name}",
        handler=set_receiver,
        tag=_TAG,
        reply=ActionReply,
        body=ReceiverRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="DELETE",
        path="/receivers/{name}",
        handler=remove_receiver,
        tag=_TAG,
        reply=ActionReply,
        body=OperatorRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="POST",
        path="/receivers/{name}/try",
        handler=try_receiver,
        tag=_TAG,
        reply=ActionReply,
        body=OperatorRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="POST",
        path="/receivers/{name}/retry",
        handler=retry_receiver,
        tag=_TAG,
        reply=ActionReply,
        body=OperatorRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/routing",
        handler=get_routing,
        tag=_TAG,
        reply=Routing,
        problems=READ_PROBLEMS,
    ),
    Route(
        method="PUT",
        path="/routing",
        handler=set_routing,
        tag=_TAG,
        reply=ActionReply,
        body=RoutingRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/silences",
        handler=list_silences,
        tag=_TAG,
        reply=Silences,
        parameters=(EXPIRED,),
        problems=READ_PROBLEMS,
    ),
    Route(
        method="POST",
        path="/silences",
        handler=add_silence,
        tag=_TAG,
        reply=MadeReply,
        body=SilenceRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="DELETE",
        path="/silences/{id}",
        handler=expire_silence,
        tag=_TAG,
        reply=ActionReply,
        body=OperatorRequest,
        problems=COMMAND_PROBLEMS,
    ),
)
