"""HTTP to one Redfish service (DMTF DSP0266): sessions, ETags, tasks, limits.

Invariants
- The password goes to the origin that was configured and nowhere else: no link or redirect leads
  away from it, and nothing is said before the certificate is the trusted one.
- Every answer has a size and a deadline. What is not JSON of the expected shape is BmcUnreadable.
- A request that changes something is sent once. If no answer came it is BmcSilent, never repeated.
- A BMC has few sessions: one is opened, used until it is refused, and given back at the end.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
import msgspec
from msgspec import field
from yarl import URL

from murmuration.bmc.errors import (
    BmcAway,
    BmcLogin,
    BmcRefused,
    BmcSilent,
    BmcUnreadable,
    BmcUntrusted,
)
from murmuration.bmc.model import Secret, Target, Trust, plain
from murmuration.kernel.errors import Rejected

ANSWER_BYTES_MAX: Final = 2 * 2**20  # the largest real answer is a log of some hundred kB
ANSWER_S: Final = 8.0  # slow BMCs take 3 to 5 s for a first answer
TASK_S: Final = 25.0  # below the 30 s that an effect may take
TASK_POLL_S: Final = 0.5
REDIRECTS_MAX: Final = 2  # some services redirect for a slash at the end
ETAG_TRIES: Final = 3
ROOT: Final = "/redfish/v1/"
_TASK_RUNS = frozenset({"New", "Starting", "Running", "Pending", "Service", "Stopping"})
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,511}")

T = TypeVar("T", bound=msgspec.Struct)


class Link(msgspec.Struct):
    """A reference to another resource."""

    path: str = field(name="@odata.id")


class SessionLinks(msgspec.Struct):
    """Where sessions are made."""

    sessions: Link | None = field(name="Sessions", default=None)


class Root(msgspec.Struct, rename="pascal"):
    """The service root; readable without a login."""

    redfish_version: str
    systems: Link | None = None
    chassis: Link | None = None
    managers: Link | None = None
    links: SessionLinks = msgspec.field(default_factory=SessionLinks)
    session_service: Link | None = None


class _Task(msgspec.Struct, rename="pascal"):
    task_state: str = ""
    task_status: str = ""


class _ErrorBody(msgspec.Struct):
    message: str = ""


class _Error(msgspec.Struct):
    error: _ErrorBody = msgspec.field(default_factory=_ErrorBody)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer within the limits."""

    status: int
    body: bytes
    etag: str
    location: str
    token: str


class RedfishHttp:
    """Requests to one BMC. Not for several tasks at once: the adapter takes turns."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        target: Target,
        secret: Secret,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._session = session
        self._answer_s = answer_s
        self._target = target
        self._secret = secret
        scheme = "http" if target.trust is Trust.PLAINTEXT else "https"
        try:
            self.origin = URL.build(scheme=scheme, host=target.address, port=target.redfish_port)
        except ValueError as error:
            raise Rejected(f"{target.address[:80]!r} is no address") from error
        self._ssl = trusted(target)
        self._token = ""
        self._session_path = ""
        self._basic = ""
        self._root: Root | None = None

    async def root(self) -> Root:
        """The service root, read once, without a login."""
        if self._root is None:
            answer = await self._send("GET", ROOT)
            self._root = self._decode(ROOT, answer, Root)
        return self._root

    async def get(self, path: str, kind: type[T]) -> T:
        """One resource."""
        return self._decode(path, await self._get(path), kind)

    async def post(self, path: str, body: msgspec.Struct) -> None:
        """Carry out an action and wait for its task, if it becomes one. Sent once."""
        path = self._inside(path)
        await self._finished(path, await self._authorised("POST", path, msgspec.json.encode(body)))

    async def patch(self, path: str, body: msgspec.Struct) -> None:
        """Change a resource as it was read: If-Match where it has an ETag, anew when it moved on.

        A PATCH that was refused for its ETag changed nothing, so it may be sent again.
        """
        path, data = self._inside(path), msgspec.json.encode(body)
        for _ in range(ETAG_TRIES):
            etag = (await self._get(path)).etag
            answer = await self._authorised("PATCH", path, data, etag=etag)
            if answer.status not in (412, 428):
                await self._finished(path, answer)
                return
        raise BmcRefused(f"{path} changed under each of {ETAG_TRIES} tries")

    async def close(self) -> None:
        """Give the session back; what fails here is the BMC's session time-out's to mend."""
        path, token, self._token, self._session_path = self._session_path, self._token, "", ""
        if path and token:
            try:
                await self._send("DELETE", path, headers={"X-Auth-Token": token})
            except (BmcAway, BmcSilent, BmcUnreadable, Rejected):
                return

    async def _get(self, path: str) -> Answer:
        path = self._inside(path)
        for _ in range(REDIRECTS_MAX + 1):
            answer = await self._authorised("GET", path, None)
            if answer.status not in (301, 302, 303, 307, 308):
                return self._good(path, answer)
            path = self._inside(answer.location)
        raise BmcUnreadable(f"{path} redirects in circles")

    async def _authorised(
        self, method: str, path: str, data: bytes | None, *, etag: str = ""
    ) -> Answer:
        """With a login; a token that ran out is renewed once, for a 401 says nothing was done."""
        for fresh in (False, True):
            await self._log_in(fresh=fresh)
            headers = {"Authorization": self._basic}
            if self._token:
                headers = {"X-Auth-Token": self._token}
            if etag:
                headers["If-Match"] = etag
            answer = await self._send(method, path, data=data, headers=headers)
            if answer.status != 401 or not self._token:
                break
        if answer.status in (401, 403):
            raise BmcLogin(f"user {self._target.user[:40]!r} may not {method} {path}")
        return answer

    async def _log_in(self, *, fresh: bool) -> None:
        if fresh:
            self._token = ""
        if self._token or self._basic:
            return
        root = await self.root()
        sessions = root.links.sessions
        if sessions is None and root.session_service is not None:
            sessions = Link(f"{root.session_service.path.rstrip('/')}/Sessions")
        if sessions is not None and await self._open_session(self._inside(sessions.path)):
            return
        self._basic = aiohttp.encode_basic_auth(self._target.user, self._secret.password)

    async def _open_session(self, path: str) -> bool:
        """Make a session; False where the service has none after all."""
        login = {"UserName": self._target.user, "Password": self._secret.password}
        answer = await self._send("POST", path, data=msgspec.json.encode(login))
        if answer.status in (404, 405, 501):
            return False
        if answer.status in (400, 401, 403):
            raise BmcLogin(f"it refuses user {self._target.user[:40]!r} or the password")
        if answer.status == 503:
            raise BmcAway("it has no session left, or is starting")
        self._good(path, answer)
        if not answer.token:
            raise BmcUnreadable("it made a session without a token")
        self._token = answer.token
        self._session_path = self._inside(answer.location) if answer.location else ""
        return True

    async def _finished(self, path: str, answer: Answer) -> None:
        """Wait for a 202's task monitor (DSP0266 12.2)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TASK_S
        self._good(path, answer)
        if answer.status != 202 or not answer.location:
            return
        monitor = self._inside(answer.location)
        while True:
            answer = await self._authorised("GET", monitor, None)
            if answer.status in (404, 410):
                return  # finished and forgotten; whoever asked looks at the effect
            self._good(monitor, answer)
            task = _lenient(answer.body)
            if answer.status != 202 and task.task_state not in _TASK_RUNS:
                if task.task_state not in ("", "Completed") or task.task_status == "Critical":
                    raise BmcRefused(f"its task ended as {plain(task.task_state)[:40]}")
                return
            if loop.time() > deadline:
                raise BmcSilent(f"its task still runs after {TASK_S:g} s")
            await asyncio.sleep(TASK_POLL_S)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One exchange. What broke before a byte went out is BmcAway, after that BmcSilent."""
        changes = method != "GET"
        sent = {"Accept": "application/json", "OData-Version": "4.0", **(headers or {})}
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(self._answer_s),
                self._session.request(
                    method,
                    self.origin.join(URL(path, encoded=True)),
                    data=data,
                    headers=sent,
                    ssl=self._ssl,
                    allow_redirects=False,
                ) as response,
            ):
                return Answer(
                    status=response.status,
                    body=await _limited(response),
                    etag=response.headers.get("ETag", ""),
                    location=response.headers.get("Location", ""),
                    token=response.headers.get("X-Auth-Token", ""),
                )
        except aiohttp.ServerFingerprintMismatch as error:
            raise BmcUntrusted("its certificate is not the pinned one") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise BmcUntrusted(
                f"its certificate is not trusted: {error.certificate_error}"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise BmcAway(f"no connection to {self.origin}: {error.strerror or error}") from error
        except TimeoutError as error:
            kind = BmcSilent if changes else BmcAway
            raise kind(f"no answer to {method} {path} within {self._answer_s:g} s") from error
        except (aiohttp.ClientError, ValueError, OSError) as error:
            kind = BmcSilent if changes else BmcUnreadable
            raise kind(f"{method} {path} broke: {type(error).__name__}") from error

    def _inside(self, location: str) -> str:
        """The path of a link, if it leads to this BMC. Raises BmcUnreadable."""
        try:
            found = URL(location, encoded=True)
            if found.absolute and found.origin() != self.origin.origin():
                raise BmcUnreadable("it points to another host")
        except ValueError as error:
            raise BmcUnreadable(f"{location[:80]!r} is no address") from error
        path = (str(found.relative()) if found.absolute else location).partition("#")[0]
        if path.startswith("//") or not _PATH.fullmatch(path):
            raise BmcUnreadable(f"{path[:80]!r} is no path")
        return path

    def _good(self, path: str, answer: Answer) -> Answer:
        if answer.status < 300:
            return answer
        said = _said(answer.body)
        words = f"it answers {answer.status} to {path}{': ' if said else ''}{said}"
        if answer.status in (429, 503):
            raise BmcAway(words)
        raise (
            BmcRefused(words)
            if 400 <= answer.status < 500 or answer.status == 501
            else (BmcUnreadable(words))
        )

    def _decode(self, path: str, answer: Answer, kind: type[T]) -> T:
        self._good(path, answer)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BmcUnreadable(f"{path} is not what Redfish says: {str(error)[:120]}") from error


def trusted(target: Target) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
    """What aiohttp checks a certificate by. Raises Rejected for a pin that is none."""
    if target.trust is Trust.PIN:
        try:
            return aiohttp.Fingerprint(bytes.fromhex(target.pin.replace(":", "")))
        except ValueError as error:
            raise Rejected("a pin is the SHA-256 of the certificate: 64 hex digits") from error
    return target.trust is Trust.CA


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            raise aiohttp.ClientPayloadError("the answer is too large")
    return bytes(body)


def _lenient(body: bytes) -> _Task:
    """A task where the body is one; a finished monitor answers with the action's own result."""
    try:
        return msgspec.json.decode(body, type=_Task) if body else _Task()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Task()


def _said(body: bytes) -> str:
    try:
        return plain(msgspec.json.decode(body, type=_Error).error.message)[:160]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
