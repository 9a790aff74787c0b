"""What a producer has said and fm has not confirmed yet: a bounded file on the producer's own disk.

SQLite in WAL mode, synced at every commit. Invariants: what `append` returned survives a crash; n
grows without gaps within an incarnation; an incarnation only grows; what still holds is known
without the messages that said it.

Every method raises Unavailable when the file or its disk fails. A file that is damaged is set aside
at the next start, under another name, and a new one begun: its producer says again what it finds.

Every call blocks (a commit is a disk sync): the client makes them in a thread of its own.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from murmuration.kernel.errors import Unavailable
from murmuration.proto.entities import path_of

ASSERT = "assert"
MESSAGES_MAX = 100_000  # about 50 MB: hours of a storm, months of a quiet site
SCHEMA = """
create table if not exists life (
    only_row integer primary key check (only_row = 1),
    incarnation integer not null,
    n integer not null
);
create table if not exists message (n integer primary key, verb text not null, body blob not null);
create table if not exists held (key text primary key, body blob not null);
"""


log = structlog.get_logger()


class Said(NamedTuple):
    """One thing to say: `verb` of the intake, `key` (alarm id / entity), `body` the payload.

    `holds`: it is asserted again until it is cleared. The verb `assert` says again what `key` still
    holds, and nothing if it was cleared meanwhile.
    """

    verb: str
    key: str
    body: bytes = b""
    holds: bool = False


class Spooled(NamedTuple):
    """A message as it waits."""

    n: int
    verb: str
    body: bytes


class Spool:
    """One producer's spool file."""

    def __init__(self, path: Path, *, fresh_incarnation: int, messages_max: int = MESSAGES_MAX):
        """Open or make it; `fresh_incarnation` (ns clock) is used when the file is new."""
        self._messages_max = messages_max
        with _unavailable("opened"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._db = _open(path, fresh_incarnation)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                _set_aside(path, f"damaged-{fresh_incarnation}")
                log.error("spool.damaged", path=str(path), reason=str(error))
                self._db = _open(path, fresh_incarnation)
            found = self._db.execute("select incarnation, n from life").fetchone()
            self.incarnation, self.last_n = found
            self.count = int(self._db.execute("select count(*) from message").fetchone()[0])

    @property
    def first_n(self) -> int:
        """The n of the oldest message kept, or of the next one when none is."""
        return self.last_n - self.count + 1

    def append(self, batch: Sequence[Said]) -> list[int]:
        """Store a batch in one commit; returns the n of each (of one that says nothing: the last).

        Raises Unavailable when the spool or its disk is full: nothing of the batch is stored.
        """
        if self.count + len(batch) > self._messages_max:
            raise Unavailable(f"the alarm spool holds {self.count} messages and is full")
        numbers: list[int] = []
        n = self.last_n
        with _unavailable("written"), self._transaction():
            for said in batch:
                body = self._settled(said)
                if body is not None:
                    n += 1
                    verb = "raise" if said.verb == ASSERT else said.verb
                    self._db.execute("insert into message values (?, ?, ?)", (n, verb, body))
                numbers.append(n)
            self._db.execute("update life set n = ?", (n,))
        self.count += n - self.last_n
        self.last_n = n
        return numbers

    def _settled(self, said: Said) -> bytes | None:
        """The body to send, when what is held was brought up to it; None: nothing to say."""
        match said.verb:
            case "raise" if said.holds:
                self._db.execute("insert or replace into held values (?, ?)", (said.key, said.body))
            case "raise" | "clear":
                self._db.execute("delete from held where key = ?", (said.key,))
            case "clear_below":
                self._release_below(said.key)
            case verb if verb == ASSERT:
                row = self._db.execute("select body from held where key = ?", (said.key,))
                found = row.fetchone()
                return None if found is None else found[0]
            case _:
                pass
        return said.body

    def _release_below(self, key: str) -> None:
        alarm_id, _, entity = key.partition("/")
        path = path_of(entity)
        for (held,) in self._db.execute("select key from held").fetchall():
            held_id, _, held_entity = held.partition("/")
            if alarm_id in ("", held_id) and path_of(held_entity).startswith(path):
                self._db.execute("delete from held where key = ?", (held,))

    def after(self, n: int, limit: int) -> list[Spooled]:
        """Messages behind n, in order."""
        with _unavailable("read"):
            rows = self._db.execute(
                "select n, verb, body from message where n > ? order by n limit ?", (n, limit)
            )
            return [Spooled(*row) for row in rows]

    def trim(self, n: int) -> None:
        """Forget what is confirmed: everything up to and with n."""
        with _unavailable("trimmed"), self._transaction():
            gone = self._db.execute("delete from message where n <= ?", (n,)).rowcount
        self.count -= gone

    def held(self) -> list[tuple[str, bytes]]:
        """(key, payload) of what was raised and not cleared."""
        with _unavailable("read"):
            return list(self._db.execute("select key, body from held order by key"))

    def begin_incarnation(self, incarnation: int) -> None:
        """Start numbering anew, with only what still holds: for a spool older than fm's mark."""
        with _unavailable("written"), self._transaction():
            self._db.execute("delete from message")
            held = self._db.execute("select body from held order by key").fetchall()
            for place, (body,) in enumerate(held, 1):
                self._db.execute("insert into message values (?, 'raise', ?)", (place, body))
            self._db.execute("update life set incarnation = ?, n = ?", (incarnation, len(held)))
        self.incarnation, self.last_n, self.count = incarnation, len(held), len(held)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


@contextlib.contextmanager
def _unavailable(done: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"the alarm spool cannot be {done}: {error}") from error


def _open(path: Path, fresh_incarnation: int) -> sqlite3.Connection:
    """The file with its tables. Raises DatabaseError when it is no database, or a damaged one."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.executescript(SCHEMA)
        db.execute("insert or ignore into life values (1, ?, 0)", (fresh_incarnation,))
        _examine(db)
        path.chmod(0o600)
    except BaseException:
        db.close()
        raise
    return db


def _examine(db: sqlite3.Connection) -> None:
    (said,) = db.execute("pragma quick_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(said)


def _set_aside(path: Path, name: str) -> None:
    for part in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + part).rename(path.with_name(f"{path.name}.{name}{part}"))


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("begin immediate")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._db.execute("commit" if kind is None else "rollback")
