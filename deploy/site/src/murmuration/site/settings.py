"""What an operator may choose, on the command line or in an optional file; every key with its unit.

Order: command line, then the file, then the default. A key that is not in the table is refused, for
a misspelt key that is ignored is a setting that silently does not hold.
"""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from murmuration.site.errors import Refused
from murmuration.site.hosts import DEFAULT_HOSTS, parse_hosts
from murmuration.site.network import PREFIX

READY_S = 60.0  # ten times what it takes on two cores
LOG_LEVELS = ("debug", "info", "warning", "error")
SERVER_NAME = re.compile(r"[A-Za-z0-9.:-]{1,253}")  # a DNS name, or an address of either kind
ACCEPT = ("automatic", "manual")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text that is not empty")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - one error for every bad value
    return value


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65_525:
        raise ValueError("a port, 1 to 65525, or 0 for any that is free")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 3600:
        raise ValueError("seconds, 1 to 3600")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise ValueError("a number, 1 to 100")
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 65_536:
        raise ValueError("bytes, 65536 or more")
    return value


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return cast(str, value)

    return check


def _hosts(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return parse_hosts(",".join(str(name) for name in cast(list[object], value)))
    return parse_hosts(str(value))


def _address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(_text(value)))
    except ValueError as error:
        raise ValueError("a numeric address; 0.0.0.0 or :: for all of this machine") from error


def _endpoint(value: Any) -> str:
    host, separator, port = _text(value).rpartition(":")
    if not separator or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("address:port")
    _address(host.strip("[]"))
    return f"{host}:{port}"


def _names(value: Any) -> tuple[str, ...]:
    given = cast(list[Any], value if isinstance(value, list) else [value])
    if not all(isinstance(name, str) and SERVER_NAME.fullmatch(name) for name in given):
        raise ValueError("names or addresses by which this machine is reached")
    return tuple(given)


def _prefix(value: Any) -> str:
    text = _text(value)
    plain = text.replace("-", "").isalnum() and text.isascii() and text.islower()
    if not (plain and text.startswith(PREFIX) and not text.endswith("-") and len(text) <= 32):
        raise ValueError(f"lower-case letters, digits and hyphens, beginning with {PREFIX}")
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The choices of one `up`."""

    name: str = "murmuration"
    hosts: tuple[str, ...] = field(default_factory=lambda: parse_hosts(DEFAULT_HOSTS))
    simulated: bool = False  # True: no namespaces, even with the rights for them
    compact: bool = False  # all services in one process
    prefix: str | None = None  # of the namespaces; None: `mur`, or another where that is taken
    ready_timeout_s: float = READY_S
    port: int = 8780  # of the gateway; the other services' follow it
    tls_address: str = "127.0.0.1"  # where the gateway speaks HTTPS; elsewhere it never does HTTP
    tls_names: tuple[str, ...] = ()  # what certificates stand for, besides this machine's own
    postgres_listen: str = ""  # address:port for TCP with TLS; empty: its socket alone
    postgres_binaries: str = ""  # folder of another PostgreSQL's programs, than the embedded one's
    accept: str = "automatic"  # whether a new host waits for an operator
    log_level: str = "info"
    log_bytes_max: int = 8 * 2**20  # per log file
    log_older_count: int = 3  # files kept besides


# (section, key) of the file: (field, what makes its value or says what it must be)
KEYS: Mapping[tuple[str, str], tuple[str, Callable[[Any], Any]]] = {
    ("site", "name"): ("name", _text),
    ("site", "hosts"): ("hosts", _hosts),
    ("site", "simulated"): ("simulated", _flag),
    ("site", "compact"): ("compact", _flag),
    ("site", "prefix"): ("prefix", _prefix),
    ("site", "ready_timeout_s"): ("ready_timeout_s", _seconds),
    ("gateway", "port"): ("port", _port),
    ("gateway", "tls_address"): ("tls_address", _address),
    ("site", "tls_names"): ("tls_names", _names),
    ("postgres", "listen"): ("postgres_listen", _endpoint),
    ("postgres", "binaries"): ("postgres_binaries", _text),
    ("sysinv", "accept"): ("accept", _one_of(*ACCEPT)),
    ("telemetry", "log_level"): ("log_level", _one_of(*LOG_LEVELS)),
    ("logs", "size_bytes_max"): ("log_bytes_max", _bytes),
    ("logs", "older_count"): ("log_older_count", _count),
}
CHECKS: Mapping[str, Callable[[Any], Any]] = dict(KEYS.values())


def read_file(path: Path, *, must_exist: bool) -> dict[str, Any]:
    """The choices in an operator's file, by field. Raises Refused, naming the key."""
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if not must_exist:
            return {}
        raise Refused(f"There is no {path}.", "Write it, or leave out --config.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"Cannot read {path}: {error}.", "Mend it, or remove it.") from error
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path} is not TOML: {error}.", "Mend that line.") from error
    choices: dict[str, Any] = {}
    for section, table in found.items():
        if not isinstance(table, dict):
            raise Refused(f"{path}: {section!r} stands outside a section.", _known_keys())
        for key, value in cast(dict[str, Any], table).items():
            if (section, key) not in KEYS:
                raise Refused(f"{path}: there is no key {key!r} in [{section}].", _known_keys())
            name, check = KEYS[section, key]
            choices[name] = _checked(check, value, f"{path}: [{section}] {key}")
    return choices


def _known_keys() -> str:
    return "Known are " + ", ".join(f"{section}.{key}" for section, key in KEYS) + "."


def _checked(check: Callable[[Any], Any], value: Any, what: str) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise Refused(f"{what} is {value!r}.", f"It must be {error}.") from error


def decide(options: Mapping[str, Any], file: Path, *, file_must_exist: bool) -> Settings:
    """The settings from options (None: not given) and the file. Raises Refused."""
    given = {
        name: _checked(CHECKS[name], value, f"--{name.replace('_', '-')}")
        for name, value in options.items()
        if value is not None
    }
    known = {each.name for each in fields(Settings)}
    merged = {**read_file(file, must_exist=file_must_exist), **given}
    return Settings(**{name: value for name, value in merged.items() if name in known})
