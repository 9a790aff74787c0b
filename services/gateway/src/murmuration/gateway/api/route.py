"""What a route under /api/v1 is, and the parameters that many have."""

from dataclasses import dataclass

from murmuration.gateway.core.paging import LIMIT_DEFAULT, LIMIT_MAX
from murmuration.proto.envelope import Payload
from murmuration.proto.fm_vocabulary import Severity
from murmuration.web.problems import Handler

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter, described once for people and programs."""

    name: str
    description: str
    schema: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. `reply` None: a stream, of the kinds in `media`."""

    method: str
    path: str
    handler: Handler
    tag: str
    reply: type[Payload] | None
    body: type[Payload] | None = None
    media: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]

    @property
    def operation_id(self) -> str:
        """The handler's name."""
        return getattr(self.handler, "__name__", "operation")


LIMIT = Parameter(
    name="limit",
    description="Items on a page.",
    schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
)
AFTER = Parameter(
    name="after",
    description="The `next` of the page before: an opaque cursor.",
    schema={"type": "string", "maxLength": 300},
)
WAIT = Parameter(
    name="wait",
    description="Wait (5 s at most) until this change is visible: the `after` of an ActionReply.",
    schema={"type": "string", "pattern": "^(fm|mtce|sysinv):[0-9]+:[0-9]+$"},
)
SEVERITY = Parameter(
    name="severity",
    description="Only alarms of this severity.",
    schema={"type": "string", "enum": [each.value for each in Severity]},
)
ENTITY = Parameter(
    name="entity",
    description="Only alarms whose entity path has all these components, e.g. `host=worker-1`.",
    schema={"type": "string", "maxLength": 255},
)
CURSOR = Parameter(
    name="after",
    description="Only events behind this `cursor` of an event.",
    schema={"type": "string", "maxLength": 300},
)
TYPE = Parameter(
    name="type",
    description="Only events of this type, e.g. `fm.alarm.raised.v1`.",
    schema={"type": "string", "maxLength": 100},
)
COMMAND_PROBLEMS = (400, 404, 409, 413, 415, 503, 504)
READ_PROBLEMS = (400, 503, 504)
