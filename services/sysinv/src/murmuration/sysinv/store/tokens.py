"""Join tokens that were used, and by which key."""

from datetime import datetime

import asyncpg

from murmuration.security.joining import Shown

USE = """
insert into join_token (id, host, node_nkey, used_at) values ($1, $2, $3, $4)
on conflict (id) do update set host = join_token.host
returning node_nkey
"""


async def use(connection: asyncpg.Connection, shown: Shown, now: datetime) -> str:
    """Note the use of a token; the key that used it first."""
    return str(await connection.fetchval(USE, shown.token_id, shown.host, shown.node_nkey, now))
