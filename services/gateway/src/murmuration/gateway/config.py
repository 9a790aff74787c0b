"""The gateway's own section of the site's configuration, and its secret."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from murmuration.kernel.errors import Rejected
from murmuration.runtime.config import Section, ServiceConfig

TOKEN_LENGTH_MIN = 16  # shorter ones can be guessed


class GatewaySection(Section, frozen=True, kw_only=True):
    """[gateway]"""

    listen: Annotated[str, Meta(description="HTTP, on loopback alone")] = "127.0.0.1:8780"
    tls_listen: Annotated[str, Meta(description="HTTPS, anywhere; empty: none")] = ""
    names: Annotated[
        tuple[str, ...],
        Meta(description="further Host values to answer to, as name:port, e.g. of a proxy"),
    ] = ()


def read_token(config: ServiceConfig) -> str:
    """The token that opens the door. Raises Rejected."""
    path = Path(config.site.credentials_dir) / "gateway.token"
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise Rejected(f"cannot read the token {path}: {error.strerror}") from error
    if len(token) < TOKEN_LENGTH_MIN:
        raise Rejected(f"the token in {path} has fewer than {TOKEN_LENGTH_MIN} characters")
    return token
