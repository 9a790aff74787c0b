"""A monitored process as its file in pmon.d describes it.

The files are StarlingX's: an INI file with one section `[process]`, comments after `;` or `#`. All
keys of that format are understood; what is not one is refused, for a misspelt key that is passed
over is a process that is silently not watched as intended.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from murmuration.kernel.errors import Rejected
from murmuration.proto.fm import Severity

SECTION = "process"
NAME_LENGTH_MAX = 64
RESTARTS_MAX = 1_000
SECONDS_MAX = 86_400.0
SEVERITIES = (Severity.MINOR, Severity.MAJOR, Severity.CRITICAL)


class Style(enum.Enum):
    """How the process is started."""

    LSB = "lsb"  # script start|stop|restart
    OCF = "ocf"  # script start|stop, with OCF's environment
    SYSTEMD = "systemd"  # a unit


class Mode(enum.Enum):
    """How the process is seen to be well."""

    PASSIVE = "passive"  # it lives
    ACTIVE = "active"  # it answers on its port of the loopback
    STATUS = "status"  # a program says so by its exit code
    IGNORE = "ignore"  # it is not looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSpec:
    """One file of pmon.d; seconds throughout."""

    name: str
    style: Style = Style.LSB
    mode: Mode = Mode.PASSIVE
    severity: Severity = Severity.MINOR
    service: str = ""
    script: str = ""
    pidfile: str = ""
    restarts: int = 0
    interval_s: float = 0.0
    debounce_s: float = 0.0
    startup_s: float = 5.0
    quorum: bool = False
    full_init: bool = False
    subfunction: str = ""
    port: int = 0
    period_s: float = 10.0
    timeout_s: float = 5.0
    threshold: int = 3
    start_arg: str = "start"
    status_arg: str = "status"
    status_failure_text: str = ""

    @property
    def unit(self) -> str:
        """The systemd unit: the service's, with its suffix."""
        return self.service if "." in self.service else f"{self.service}.service"


_KEYS: Mapping[str, str] = {
    "process": "name",
    "service": "service",
    "script": "script",
    "pidfile": "pidfile",
    "style": "style",
    "severity": "severity",
    "restarts": "restarts",
    "interval": "interval_s",
    "debounce": "debounce_s",
    "startuptime": "startup_s",
    "mode": "mode",
    "quorum": "quorum",
    "full_init_reqd": "full_init",
    "subfunction": "subfunction",
    "port": "port",
    "period": "period_s",
    "timeout": "timeout_s",
    "threshold": "threshold",
    "start_arg": "start_arg",
    "status_arg": "status_arg",
    "status_failure_text": "status_failure_text",
}
_COMMENT = re.compile(r"(^|\s)[;#].*$")
_FLAGS = {"0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}


def parse(text: str, *, file: str) -> ProcessSpec:
    """The process that the text of `file` describes. Raises Rejected, naming file, key and rule."""
    section = _section(text, file)
    unknown = sorted(key for key in section if key not in _KEYS)
    if unknown:
        raise Rejected(f"{file}: {unknown[0]!r} is not a key of [{SECTION}]")
    try:
        fields = {_KEYS[key]: _value(_KEYS[key], value.strip()) for key, value in section.items()}
        spec = ProcessSpec(**fields)  # type: ignore[arg-type]  # each value was made for its field
    except (TypeError, ValueError) as error:
        raise Rejected(f"{file}: {error}") from error
    _check(spec, file)
    return spec


def _section(text: str, file: str) -> dict[str, str]:
    """Keys and values of the one section, comments left out."""
    values: dict[str, str] = {}
    inside = found = False
    for number, line in enumerate(text.splitlines(), 1):
        plain = _COMMENT.sub("", line).strip()
        if not plain:
            continue
        if plain.startswith("["):
            inside = plain == f"[{SECTION}]"
            found = found or inside
            continue
        key, equals, value = plain.partition("=")
        key = key.strip().lower()
        if not equals or not inside:
            raise Rejected(f"{file}: line {number} is not a key and a value of [{SECTION}]")
        if key in values:
            raise Rejected(f"{file}: {key!r} is there twice")
        values[key] = value.strip()
    if not found:
        raise Rejected(f"{file} has no section [{SECTION}]")
    return values


def _value(field: str, text: str) -> object:
    if field in ("restarts", "port", "threshold"):
        return _number(field, text)
    if field.endswith("_s"):
        return _seconds(field, text)
    if field in ("quorum", "full_init"):
        if text.lower() not in _FLAGS:
            raise ValueError(f"{field} is {text!r}, not 0 or 1")
        return _FLAGS[text.lower()]
    if field == "style":
        return Style(_one_of(field, text, [s.value for s in Style]))
    if field == "mode":
        return Mode(_one_of(field, text, [m.value for m in Mode]))
    if field == "severity":
        return Severity(_one_of(field, text, [s.value for s in SEVERITIES]))
    return text


def _one_of(field: str, text: str, allowed: list[str]) -> str:
    if text.lower() not in allowed:
        raise ValueError(f"{field} is {text[:40]!r}, not one of {', '.join(allowed)}")
    return text.lower()


def _number(field: str, text: str) -> int:
    most = 65_535 if field == "port" else RESTARTS_MAX
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > most:
        raise ValueError(f"{field} is {text[:40]!r}, not a number from 0 to {most}")
    return int(text)


def _seconds(field: str, text: str) -> float:
    if not text.isascii() or not text.replace(".", "", 1).isdecimal() or float(text) > SECONDS_MAX:
        raise ValueError(f"{field.removesuffix('_s')} is {text[:40]!r}, not a number of seconds")
    return float(text)


def _check(spec: ProcessSpec, file: str) -> None:
    if not spec.name or len(spec.name) > NAME_LENGTH_MAX or not spec.name.isprintable():
        raise Rejected(f"{file}: process is no name of 1 to {NAME_LENGTH_MAX} characters")
    if spec.mode is Mode.IGNORE:
        return
    if spec.style is Style.SYSTEMD and not spec.service:
        raise Rejected(f"{file}: style systemd needs a service")
    if spec.service.startswith("-") or "/" in spec.service:
        raise Rejected(f"{file}: {spec.service!r} is not the name of a service")
    for what, path in (("script", spec.script), ("pidfile", spec.pidfile)):
        if path and not path.startswith("/"):
            raise Rejected(f"{file}: {what} {path!r} is not an absolute path")
    if not spec.script and (spec.style is Style.OCF or spec.mode is Mode.STATUS):
        raise Rejected(f"{file}: it needs a script")
    if not spec.script and not spec.service:
        raise Rejected(f"{file}: it needs a script or a service")
    if not spec.pidfile and spec.mode is not Mode.STATUS and spec.style is not Style.SYSTEMD:
        raise Rejected(f"{file}: it needs a pidfile, by which the process is found")
    if spec.mode is Mode.ACTIVE and not (spec.port and spec.period_s and spec.threshold):
        raise Rejected(f"{file}: mode active needs port, period and threshold above 0")


def restart_commands(spec: ProcessSpec, *, systemctl: str) -> tuple[tuple[str, ...], ...]:
    """The argument lists that start the process anew, one after another."""
    if spec.mode is Mode.STATUS:
        return ((spec.script, spec.start_arg),)
    if spec.style is Style.OCF:
        return ((spec.script, "stop"), (spec.script, "start"))
    if spec.style is Style.SYSTEMD or not spec.script:
        return ((systemctl, "restart", "--", spec.unit),)
    return ((spec.script, "restart"),)


def programs_of(spec: ProcessSpec) -> tuple[str, ...]:
    """The files that the monitor runs for the process, which must be trusted."""
    uses_script = spec.script and (spec.style is not Style.SYSTEMD or spec.mode is Mode.STATUS)
    return (spec.script,) if uses_script and spec.mode is not Mode.IGNORE else ()
