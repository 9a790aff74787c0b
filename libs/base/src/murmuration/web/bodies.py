"""JSON in and out of a request: decoded into Structs at the edge, encoded once."""

from typing import TypeVar

import msgspec
from aiohttp import web

from murmuration.kernel.errors import Rejected
from murmuration.proto.envelope import encode

T = TypeVar("T", bound=msgspec.Struct)

JSON = "application/json"


async def read_json(request: web.Request, kind: type[T]) -> T:
    """The request's body as a Struct; an empty body stands for `{}`. Raises Rejected."""
    body = await request.read()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"the body does not fit: {error}") from error


def json_response(payload: msgspec.Struct, *, status: int = 200) -> web.Response:
    """A Struct as a JSON answer."""
    return json_bytes(encode(payload), status=status)


def json_bytes(body: bytes, *, status: int = 200) -> web.Response:
    """Already encoded JSON as an answer."""
    return web.Response(body=body, status=status, content_type=JSON)
