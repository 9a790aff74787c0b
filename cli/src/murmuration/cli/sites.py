"""Finding the site: where it listens and the token it asks for.

A running site leaves `site.json` in its state folder; MUR_URL and MUR_TOKEN, or --url and --token,
override it. Invariant: a token from the file is only ever sent to the origin the file names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec

from murmuration.cli.errors import Usage

SITE_FILE_BYTES_MAX = 1 << 20  # a site's hosts by name, with room


class SiteFile(msgspec.Struct, frozen=True, kw_only=True):
    """The part of `site.json` that mur reads."""

    url: str
    token: str
    api: str = ""
    ca: str = ""
    control: str = ""
    name: str = ""
    pid: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where to speak to. `pid` is the supervisor's, 0 when only a URL is known.

    `ca` is a file of the authorities that vouch for it, empty: those of this machine; `console` is
    where a browser on this machine goes.
    """

    url: str
    token: str
    ca: str = ""
    console: str = ""
    pid: int = 0


def state_path(site: str | None, environ: Mapping[str, str]) -> Path:
    """The path of site.json: `site` (a state folder, or the file), $MUR_STATE_DIR, or XDG's."""
    if site is not None:
        path = Path(site).expanduser()
        return path if path.suffix == ".json" else path / "site.json"
    if folder := environ.get("MUR_STATE_DIR"):
        return Path(folder) / "site.json"
    base = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "~") / ".local" / "state"
    return Path(base).expanduser() / "murmuration" / "site.json"


def read_file(path: Path) -> SiteFile:
    """Read site.json. Raises Usage, saying what to do, when it is absent or not readable."""
    try:
        with path.open("rb") as file:
            body = file.read(SITE_FILE_BYTES_MAX)
        return msgspec.json.decode(body, type=SiteFile)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Usage(
            f"No site found: there is no {path}.",
            "Start one with `./just up`, or name one with --site or --url.",
        ) from error
    except PermissionError as error:
        raise Usage(
            f"{path} belongs to another user.",
            "Run mur as the user who started the site, or set MUR_URL and MUR_TOKEN.",
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise Usage(
            f"{path} cannot be read: {error}.", "Start the site again, or use --url and --token."
        ) from error


def find(
    *, site: str | None, url: str | None, token: str | None, environ: Mapping[str, str]
) -> Site:
    """The site to speak to: `url`, or `site`, or MUR_URL, or the site.json that is found.

    A URL may hold the token as `?token=…`, as `up` prints it. Raises Usage when there is no site,
    or a URL is not http(s).
    """
    if site is None:
        token = token or environ.get("MUR_TOKEN")
        url = url or environ.get("MUR_URL")
    if not url:
        found = read_file(state_path(site, environ))
        base, _ = _split(found.api or found.url)
        return Site(
            url=base,
            token=token or found.token,
            ca=found.ca,
            console=_split(found.url)[0],
            pid=found.pid,
        )
    base, in_url = _split(url)
    known = _known_as(base, site, environ)
    return Site(
        url=base,
        token=token or in_url or known.token,
        ca=environ.get("MUR_CA") or known.ca,
        console=base,
    )


def control_socket(site: str | None, environ: Mapping[str, str]) -> str:
    """The path of the supervisor's control socket. Raises Usage when there is no site here."""
    found = read_file(state_path(site, environ))
    if not found.control:
        raise Usage(
            "This site has no control socket.", "This needs a site started with `./just up`."
        )
    return found.control


def authorities(site: str | None, environ: Mapping[str, str]) -> str:
    """The path of the authorities that vouch for the site here. Raises Usage when there is none."""
    found = read_file(state_path(site, environ))
    if not found.ca:
        raise Usage("This site has no certificates.", "This needs a site started with `./just up`.")
    return found.ca


def _split(url: str) -> tuple[str, str]:
    """(origin, token) of a URL as `up` prints it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Usage(f"{url!r} is not a URL of a site.", "It looks like http://127.0.0.1:8780.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return base, parse_qs(parts.query).get("token", [""])[0]


def _known_as(base: str, site: str | None, environ: Mapping[str, str]) -> SiteFile:
    """The local site when `base` is that site, else one of which nothing is known."""
    try:
        found = read_file(state_path(site, environ))
        if base in (_split(found.url)[0], _split(found.api or found.url)[0]):
            return found
    except Usage:
        pass
    return SiteFile(url=base, token="")
