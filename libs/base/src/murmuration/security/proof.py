"""What a host and who takes it in must write the same, without the libraries of an issuer."""

from murmuration.kernel.errors import Rejected
from murmuration.runtime.config import BusCredentials

PREFIX = "mur-join-1."
TOKEN_LENGTH_MAX = 4_096  # a seed of 58 and a JWT of about 700 letters


def proof_text(host: str, node_nkey: str) -> bytes:
    """What a token's key signs: that this token is used for this key of this host."""
    return f"join {host} {node_nkey}".encode()


def token_text(login: BusCredentials) -> str:
    """A token as it is handed over: one line."""
    return f"{PREFIX}{login.seed}.{login.jwt}"


def parse_token(text: str) -> BusCredentials:
    """A token as its holder logs in with it. Raises Rejected."""
    if len(text) > TOKEN_LENGTH_MAX:
        raise Rejected("a join token is longer than any of ours")
    seed, _, user = text.strip().removeprefix(PREFIX).partition(".")
    if not text.startswith(PREFIX) or not user or not seed.isalnum():
        raise Rejected("this is not a join token")
    return BusCredentials(jwt=user, seed=seed)
