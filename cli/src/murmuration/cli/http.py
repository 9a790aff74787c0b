"""HTTP to the gateway, over the standard library: starts fast, one connection at a time.

Invariants: every wait has an end; a change carries an operation id, so that asking again after a
lost answer returns the first answer and never does the work twice; an answer that is not 2xx
becomes a Failure with the problem's own sentence.
"""

import http.client
import ssl
import sys
import time
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import msgspec

from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed, Failure, NotReachable, Usage
from murmuration.cli.progress import say, waiting
from murmuration.cli.sites import Site
from murmuration.proto.api import (
    ActionRequest,
    BmcRequest,
    CommentRequest,
    HostActionRequest,
    LabelRequest,
    OperatorRequest,
    Problem,
    ProfileRequest,
    ReceiverRequest,
    RoutingRequest,
    SilenceRequest,
    SuppressionRequest,
)

ANSWER_BYTES_MAX = 64 * 2**20  # a page of hosts with all their links is a few MB
CHUNK_BYTES = 1 << 16
PAGES_MAX = 1_000  # a site that never ends its list is stopped here
CHANGE_ATTEMPTS_MAX = 3
CHANGE_PAUSE_S = 0.5  # times the attempt: a gateway that is restarted is there again by then

Change = (
    ActionRequest
    | BmcRequest
    | CommentRequest
    | HostActionRequest
    | LabelRequest
    | OperatorRequest
    | ProfileRequest
    | ReceiverRequest
    | RoutingRequest
    | SilenceRequest
    | SuppressionRequest
)
Query = dict[str, str | int | None]


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of any list; items are passed on as they came."""

    items: list[msgspec.Raw]
    next: str | None = None


class Client:
    """Requests to one site, each answered within `timeout_s` or NotReachable."""

    def __init__(self, site: Site, *, timeout_s: float) -> None:
        self.site = site
        self.timeout_s = timeout_s

    def get(self, path: str, query: Query | None = None, *, hint: str = "") -> bytes:
        """The body that `path` answers; `hint` says what to do when there is no such thing."""
        with waiting("Asking the site"):
            return self._exchange("GET", with_query(path, query), b"", hint)

    def get_all(self, path: str, query: Query | None = None) -> bytes:
        """All pages of a list as one body: the site's own bytes when it is one page."""
        given = dict(query or {})
        body = self.get(path, given)
        page = decode(body, _Page)
        if page.next is None:
            return body
        items = list(page.items)
        for _ in range(PAGES_MAX):
            page = decode(self.get(path, given | {"after": page.next}), _Page)
            items += page.items
            if page.next is None:
                return msgspec.json.encode(_Page(items=items, next=None))
        raise Failed(f"The list has more than {PAGES_MAX} pages.", "Ask for a part of it.")

    def change(self, method: str, path: str, body: Change, *, hint: str = "") -> bytes:
        """Ask for a change, again and again under one operation id if the answer is lost."""
        data = msgspec.json.encode(body)
        lost: NotReachable | None = None
        for attempt in range(CHANGE_ATTEMPTS_MAX):
            if attempt:
                say("mur: no answer; asking again with the same operation id …")
                time.sleep(CHANGE_PAUSE_S * attempt)
            try:
                with waiting("Asking the site"):
                    return self._exchange(method, path, data, hint)
            except NotReachable as error:
                if lost is None and not isinstance(error, LostAnswer):
                    raise  # it was never sent
                lost = error
        assert lost is not None
        raise NotReachable(
            f"{lost.sentence} What became of the request is not known.",
            f"Ask again with --operation-id {body.operation_id}: it is done at most once.",
        ) from lost

    def download(self, path: str, query: Query, write: Callable[[bytes], object]) -> None:
        """Hand a file to `write`, chunk by chunk. Raises Failed when it broke off."""
        connection = self._connect()
        try:
            response = self._send(connection, "GET", with_query(path, query), b"", {})
            if response.status != 200:
                raise self._refusal(response, self._body(response), "")
            while chunk := response.read1(CHUNK_BYTES):
                write(chunk)
        except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
            raise Failed(
                f"The file broke off: {str(error) or 'the site ended it'}.",
                "It is not whole; ask again.",
            ) from error
        finally:
            connection.close()

    def open_stream(
        self, path: str, *, headers: dict[str, str], silence_s: float
    ) -> http.client.HTTPResponse:
        """Open an event stream; a read of it times out after `silence_s` without a byte."""
        connection = self._connect()
        response = self._send(connection, "GET", path, b"", headers)
        if response.status != 200:
            raise self._refusal(response, self._body(response), "")
        if connection.sock is not None:
            connection.sock.settimeout(silence_s)
        return response

    def _exchange(self, method: str, path: str, data: bytes, hint: str) -> bytes:
        connection = self._connect()
        try:
            response = self._send(connection, method, path, data, {})
            try:
                body = self._body(response)
            except (OSError, http.client.HTTPException) as error:
                raise LostAnswer(self.site.url, error, self.timeout_s) from error
            if not 200 <= response.status < 300:
                raise self._refusal(response, body, hint)
            if response.headers.get_content_type() != "application/json":
                raise Failed(
                    f"{self.site.url} is not a Murmuration site: it answered "
                    f"{response.headers.get_content_type()}.",
                    "Check --url or MUR_URL.",
                )
            return body
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.site.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = secured(self.site.ca)
            connection = http.client.HTTPSConnection(
                host, port, timeout=self.timeout_s, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise _unreachable(self.site, error) from error
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        data: bytes,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        sent = {"Accept": "application/json, application/problem+json", "User-Agent": "mur"}
        if self.site.token:
            sent["Authorization"] = f"Bearer {self.site.token}"
        if data:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=data or None, headers=sent | headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise LostAnswer(self.site.url, error, self.timeout_s) from error

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """Read all of an answer, in no more than `timeout_s` and ANSWER_BYTES_MAX."""
        deadline = time.monotonic() + self.timeout_s
        parts: list[bytes] = []
        size = 0
        while chunk := response.read1(CHUNK_BYTES):
            size += len(chunk)
            parts.append(chunk)
            if size > ANSWER_BYTES_MAX:
                raise Failed(f"The answer is larger than {ANSWER_BYTES_MAX >> 20} MiB.")
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")
        if response.length:  # the connection ended before the promised end
            raise http.client.IncompleteRead(b"", response.length)
        return b"".join(parts)

    def _refusal(
        self, response: http.client.HTTPResponse, body: bytes, not_found_hint: str
    ) -> Failure:
        """What an answer that is not 2xx says, and what to do about it."""
        status = response.status
        try:
            problem = msgspec.json.decode(body, type=Problem)
        except msgspec.DecodeError:
            problem = Problem(type="about:blank", title=response.reason or "", status=status)
        sentence = problem.detail or problem.title or f"The site answered with status {status}"
        if sentence[-1] not in ".!?":
            sentence += "."
        if status == 401:
            return Failed(
                "The site does not accept this token." if self.site.token else sentence,
                "Set MUR_TOKEN to the token in the URL that `up` printed.",
                problem=problem,
            )
        hint = {
            404: not_found_hint,
            502: "Try again in a moment.",
            503: "Try again in a moment; `mur health` shows what is away.",
            504: "Try again in a moment; `mur health` shows what lags.",
        }.get(status, "")
        return Failed(sentence, hint, problem=problem)


class LostAnswer(NotReachable):
    """The request may have reached the site, but no whole answer came back."""

    def __init__(self, url: str, error: Exception, timeout_s: float) -> None:
        if isinstance(error, TimeoutError):
            super().__init__(
                f"{url} did not answer within {timeout_s:g} s.",
                "Try again, or wait longer with --timeout.",
            )
        else:
            super().__init__(
                f"{url} broke off the connection before it had answered.", "Try again in a moment."
            )


def secured(authorities: str) -> ssl.SSLContext:
    """What checks the site's certificate and name. Raises Usage for a file that is of no use."""
    try:
        return ssl.create_default_context(cafile=authorities or None)
    except OSError as error:
        raise Usage(
            f"The authorities in {authorities} cannot be used: {error.strerror or error}.",
            "Check MUR_CA; `mur site certs ca` prints them where the site runs.",
        ) from error


def with_query(path: str, query: Query | None) -> str:
    """`path` and those of `query` that are given."""
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _unreachable(site: Site, error: OSError) -> NotReachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return NotReachable(
            f"{site.url} cannot be trusted: {error.verify_message}.",
            "Name the site's authorities with MUR_CA (`mur site certs ca` prints them there).",
        )
    if isinstance(error, TimeoutError):
        reason = "it does not take the connection in time"
    elif isinstance(error, ConnectionRefusedError):
        reason = "nothing listens there"
    else:
        reason = (error.strerror or str(error)).lower()
    if site.pid and not _is_running(site.pid):
        reason += ", and its supervisor is not running"
    hint = "Start the site with `./just up`." if site.pid else "Check --url or MUR_URL."
    return NotReachable(f"{site.url} cannot be reached: {reason}.", hint)


def _is_running(pid: int) -> bool:
    if sys.platform == "win32":
        return True
    import os

    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
