"""The console's built files: read once, served from memory, so that no path leads elsewhere.

Files under `assets/` bear a digest of their content in their names and may be kept for ever;
everything else is asked for again and answered with 304 where it has not changed.
"""

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import structlog
from aiohttp import web

from murmuration.kernel.errors import NotFound

INDEX = "index.html"
FOREVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"
BYTES_MAX = 8 * 2**20  # all files together; a console of more is a mistake in its build
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is answered."""

    body: bytes
    kind: str
    cache: str
    etag: str


def read_console() -> dict[str, StaticFile]:
    """The files of the package's `static` folder by path; empty when there is no build."""
    root = resources.files("murmuration.gateway") / "static"
    found: dict[str, StaticFile] = {}
    if root.is_dir():
        _read(root, "", found)
    size_bytes = sum(len(file.body) for file in found.values())
    if size_bytes > BYTES_MAX:
        raise ValueError(f"the console has {size_bytes} bytes, the limit is {BYTES_MAX}")
    if INDEX not in found:
        log.warning("console.missing", reason="the package holds no built console")
    return found


def _read(folder: Traversable, prefix: str, found: dict[str, StaticFile]) -> None:
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            _read(entry, f"{path}/", found)
        elif not entry.name.startswith("."):
            body = entry.read_bytes()
            found[path] = StaticFile(
                body=body,
                kind=_kind(entry.name),
                cache=FOREVER if path.startswith("assets/") else ASK_AGAIN,
                etag=hashlib.sha256(body).hexdigest()[:32],
            )


def _kind(name: str) -> str:
    suffix = "." + name.rpartition(".")[2]
    return TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def add_console(app: web.Application, files: dict[str, StaticFile]) -> None:
    """Serve the files; `/` is the page itself."""

    async def get_file(request: web.Request) -> web.Response:
        path = request.match_info.get("path", "") or INDEX
        file = files.get(path)
        if file is None:
            missing = "the console is not built" if path == INDEX else f"no such page: {path[:80]}"
            raise NotFound(missing)
        headers = {"Cache-Control": file.cache, "ETag": f'"{file.etag}"'}
        if any(tag.value == file.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers=headers | {"Content-Type": file.kind})

    app.router.add_get("/", get_file)
    app.router.add_get("/{path:(?!api/).+}", get_file)
