"""Every failure as RFC 9457 problem details: whose fault it is, in one sentence.

Invariants: a client never sees a stack trace or the text of an unexpected exception; such an
exception is logged once, here, with a reference that the answer bears too.
"""

import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import ClassVar

import structlog
from aiohttp import web

from murmuration.kernel.errors import MurmurationError, Rejected
from murmuration.proto.api import Problem
from murmuration.proto.envelope import encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 2  # what a client is told when a part is away: services restart in about a second

log = structlog.get_logger()


class Unauthenticated(Rejected):
    """No token, or not the right one."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "unauthenticated"


class Forbidden(Rejected):
    """The request comes from where none may come, whoever sends it."""

    status: ClassVar[int] = 403
    code: ClassVar[str] = "forbidden"


class Gone(Rejected):
    """What the request wants to continue from is no longer kept."""

    status: ClassVar[int] = 410
    code: ClassVar[str] = "gone"


class UnsupportedMediaType(Rejected):
    """A changing request whose body is not declared as JSON."""

    status: ClassVar[int] = 415
    code: ClassVar[str] = "unsupported-media-type"


def problem_of(error: MurmurationError) -> Problem:
    """The problem details of one of our errors."""
    return _problem(error.status, error.code, str(error))


def problem_response(problem: Problem) -> web.Response:
    """The answer that bears a problem."""
    response = web.Response(body=encode(problem), status=problem.status, content_type=PROBLEM_JSON)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="murmuration"'
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: turn whatever a handler raises into a problem."""
    try:
        return await handler(request)
    except MurmurationError as error:
        if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return _unexpected(request, error)
        return problem_response(problem_of(error))
    except web.HTTPException as error:
        return _from_http(error)
    except ConnectionError:
        raise  # the client went: there is nobody to answer
    except Exception as error:
        return _unexpected(request, error)


def _from_http(error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals (no such route, method, size) as problems; redirects stay."""
    if error.status < HTTPStatus.BAD_REQUEST:
        raise error
    phrase = HTTPStatus(error.status).phrase
    response = problem_response(
        _problem(error.status, phrase.lower().replace(" ", "-"), error.reason or phrase)
    )
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _unexpected(request: web.Request, error: Exception) -> web.Response:
    reference = secrets.token_hex(4)
    log.error(
        "http.failed",
        method=request.method,
        path=request.path,
        reference=reference,
        exc_info=error,
    )
    return problem_response(
        _problem(
            500, "bug", f"this is a fault of the server; its log has it under reference {reference}"
        )
    )


def _problem(status: int, code: str, detail: str) -> Problem:
    return Problem(
        type=f"urn:murmuration:problem:{code}",
        title=code.replace("-", " "),
        status=status,
        detail=detail,
    )
