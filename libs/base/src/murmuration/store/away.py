"""Which exceptions of the database client say that PostgreSQL is away rather than that we err."""

import asyncpg

AWAY = (asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError, OSError)
AWAY_SQLSTATE = (
    "08",  # connection
    "25P03",  # the server ended a transaction that lay idle: this process was frozen
    "28",  # the login is refused, or the database not there (3D): both change hands while we run
    "3D",
    "40",  # rolled back: deadlock, serialisation
    "53",  # out of resources: disk, memory, connections
    "55P03",  # a lock was not to be had in time
    "57",  # operator intervention: shut down, crashed, starting, session ended
    "58",  # the system below it: I/O
)


def away(error: BaseException) -> bool:
    """Whether PostgreSQL is away, full, shutting down or undid it for others: try later."""
    if isinstance(error, asyncpg.PostgresError):
        return str(getattr(error, "sqlstate", "") or "").startswith(AWAY_SQLSTATE)
    return isinstance(error, AWAY)
