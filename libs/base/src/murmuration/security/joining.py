"""How a host gets credentials of its own: join tokens, and who checks and issues.

A token lets its holder log in as `join@<host>` and do one thing: ask for that host's credentials.
It is good for one host, until it expires, and for one key: who checks it remembers which. The
host's private keys are made on the host and never leave it; what travels is a public key there, and
a JWT back.

Invariant: a token is nothing that the issuer must remember before it is used; so any holder of the
role's signing key may issue, and a restored database forgets only which tokens were used.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from murmuration.kernel.errors import Rejected
from murmuration.proto.permissions import zone_of
from murmuration.proto.sysinv import JoinHost
from murmuration.runtime.config import SigningKeys
from murmuration.security import jwt
from murmuration.security.authority import Authority, open_authority, user_jwt
from murmuration.security.proof import proof_text, token_text

TOKEN_TTL_S = 3_600


@dataclass(frozen=True, slots=True)
class Shown:
    """A good token as the checker remembers it."""

    token_id: str
    host: str
    node_nkey: str


def issue_token(folder: Path, host: str, *, ttl_s: int = TOKEN_TTL_S) -> str:
    """A join token for one host, from the authority in `folder`. Raises Rejected."""
    with open_authority(folder) as authority:
        made = authority.login(f"join@{host}", expires_at=int(time.time()) + ttl_s)
    return token_text(made)


class Issuer:
    """Checks tokens, and signs the credentials of hosts. Who holds it can make agents only."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._node = jwt.key_of(keys.node)
        self._pulse = jwt.key_of(keys.pulse)

    def check(self, request: JoinHost, *, now_s: float) -> Shown:
        """The token of a request, if it is good for that host and proven. Raises Rejected."""
        claims = jwt.decode(request.token_jwt)
        if claims.get("iss") != self._keys.join_public:
            raise Rejected("this is not a join token of this site")
        if float(claims.get("exp", 0)) <= now_s:
            raise Rejected("the join token has expired: ask for another")
        if claims.get("name") != f"join@{request.host}":
            raise Rejected(f"the join token is not for {request.host}")
        try:
            proof = bytes.fromhex(request.proof)
        except ValueError as error:
            raise Rejected("the proof is not hexadecimal") from error
        said = proof_text(request.host, request.node_nkey)
        if not jwt.verify(str(claims.get("sub")), said, proof):
            raise Rejected("the proof is not of the join token's key")
        return Shown(str(claims.get("jti")), request.host, request.node_nkey)

    def node_jwt(self, host: str, nkey: str) -> str:
        """Credentials of a host's agent. Raises Rejected."""
        return user_jwt(self._node, self._keys.hosts_account, f"node@{host}", nkey)

    def pulse_jwt(self, host: str, index: int, nkey: str) -> str:
        """Credentials of a host's heartbeat sender, good for its index alone. Raises Rejected."""
        return user_jwt(self._pulse, self._keys.hosts_account, f"pulse@{host}", nkey, index=index)


def signing_keys_of(authority: Authority) -> SigningKeys:
    """What the inventory needs of the authority: no more than to make agents."""
    return SigningKeys(
        hosts_account=authority.accounts[zone_of("node")].public,
        node=authority.scopes["node"].seed,
        pulse=authority.scopes["pulse"].seed,
        join_public=authority.scopes["join"].public,
    )
