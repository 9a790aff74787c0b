"""One TOML file for a site, with a section per part; the environment overrides single keys.

`MUR_CONFIG` names the file; `MUR_<SECTION>_<KEY>` overrides a key. Every key has its unit and
reason where its Struct declares it. What is wrong is said in one sentence that names the key.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from murmuration.kernel.errors import Rejected

T = TypeVar("T", bound=msgspec.Struct)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: a misspelt key is refused, not ignored."""


class SiteSection(Section, frozen=True, kw_only=True):
    """What all parts of one site share."""

    name: Annotated[str, Meta(min_length=1, max_length=63)] = "murmuration"
    credentials_dir: Annotated[str, Meta(description="folder with a file per identity, 0700")] = ""


class BusSection(Section, frozen=True, kw_only=True):
    """Where NATS is, and how fast a dead or frozen server is noticed."""

    url: str = "nats://127.0.0.1:4222"  # several of one cluster: with a comma between
    ca: Annotated[str, Meta(description="authorities to trust, PEM; empty: without TLS")] = ""
    ping_interval_s: Annotated[float, Meta(gt=0, le=60)] = 0.5  # two unanswered: frozen
    reconnect_wait_s: Annotated[float, Meta(gt=0, le=10)] = 0.2
    request_timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    replicas: Annotated[
        int,
        Meta(ge=1, le=5, description="copies of each stream that the provisioner makes"),
    ] = 1


class StoreSection(Section, frozen=True, kw_only=True):
    """Where PostgreSQL is: a folder holds its socket, anything else is a host name.

    By name it is spoken to with TLS alone; the name must stand in its certificate.
    """

    host: str = "/var/run/postgresql"
    ca: Annotated[str, Meta(description="authorities to trust, PEM; needed with a host name")] = ""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 5432
    pool_size_max: Annotated[int, Meta(ge=3, le=100)] = 6
    statement_timeout_s: Annotated[float, Meta(gt=0, le=600)] = 30.0


class TelemetrySection(Section, frozen=True, kw_only=True):
    """What is written and exported; OTLP itself is set by the standard OTEL_ variables."""

    log_level: str = "info"
    log_format: Annotated[str, Meta(description="json or console")] = "json"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of one identity, as its file holds them."""

    bus: "BusCredentials"
    database: "DatabaseCredentials | None" = None
    signing: "SigningKeys | None" = None


class BusCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """How an identity logs in to NATS: a JWT, which is public, and the seed of its key."""

    jwt: str
    seed: str

    def __repr__(self) -> str:
        return "BusCredentials(…)"


class SigningKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What the inventory issues a host's credentials with: two roles' signing keys."""

    hosts_account: str
    node: str
    pulse: str
    join_public: str

    def __repr__(self) -> str:
        return "SigningKeys(…)"


class DatabaseCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """How a service logs in to its own database."""

    name: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"DatabaseCredentials(name={self.name!r}, user={self.user!r})"


def read_file(path: Path) -> dict[str, dict[str, Any]]:
    """The sections of a TOML file. Raises Rejected, saying what is wrong with the file."""
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise Rejected(f"cannot read the configuration {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise Rejected(f"{path} is not valid TOML: {error}") from error
    sections = {key: value for key, value in found.items() if isinstance(value, dict)}
    if len(sections) != len(found):
        loose = sorted(found.keys() - sections.keys())
        raise Rejected(f"{path}: {loose[0]!r} stands outside a section")
    return sections


def decode_section(
    kind: type[T], name: str, sections: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str]
) -> T:
    """One section as its Struct, environment applied. Raises Rejected, naming section and key."""
    values: dict[str, Any] = dict(sections.get(name, {}))
    for field in kind.__struct_fields__:
        override = environ.get(f"MUR_{name}_{field}".upper())
        if override is not None:
            values[field] = override
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Rejected(f"configuration section [{name}]: {error}") from error


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What every service is given; a service's own section is decoded by its own Struct."""

    identity: str
    site: SiteSection
    bus: BusSection
    store: StoreSection
    telemetry: TelemetrySection
    sections: dict[str, dict[str, Any]]

    def own(self, kind: type[T]) -> T:
        """The service's own section, e.g. [mtce]. Raises Rejected."""
        return decode_section(kind, self.identity, self.sections, os.environ)

    def credentials(self, identity: str | None = None) -> Credentials:
        """The secrets of this service (or of another identity it may act for). Raises Rejected."""
        return read_credentials(Path(self.site.credentials_dir), identity or self.identity)

    def secret(self, name: str) -> bytes:
        """A shared secret of the site, stored as hex. Raises Rejected."""
        path = Path(self.site.credentials_dir) / name
        try:
            return bytes.fromhex(path.read_text().strip())
        except (OSError, ValueError) as error:
            raise Rejected(f"cannot read the secret {path}: {error}") from error


def read_credentials(folder: Path, identity: str) -> Credentials:
    """The secrets file of one identity. Raises Rejected."""
    path = folder / f"{identity}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except (OSError, msgspec.DecodeError) as error:
        raise Rejected(f"cannot read the credentials {path}: {error}") from error


def load_config(identity: str, path: Path | None = None) -> ServiceConfig:
    """The configuration of one identity from `path` or MUR_CONFIG. Raises Rejected."""
    named = path or (Path(os.environ["MUR_CONFIG"]) if "MUR_CONFIG" in os.environ else None)
    sections = read_file(named) if named else {}
    environ = os.environ
    return ServiceConfig(
        identity=identity,
        site=decode_section(SiteSection, "site", sections, environ),
        bus=decode_section(BusSection, "bus", sections, environ),
        store=decode_section(StoreSection, "store", sections, environ),
        telemetry=decode_section(TelemetrySection, "telemetry", sections, environ),
        sections=sections,
    )
