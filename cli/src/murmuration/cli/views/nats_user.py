"""NATS users that were made, and how each stands."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.commands.nats_user import NatsUser
from murmuration.cli.render import age, plain, table
from murmuration.cli.session import Session


def user_table(users: Sequence[NatsUser], *, session: Session) -> Iterable[RenderableType]:
    """The list, or one sentence when there is nothing."""
    if not users:
        return [Text("No NATS users were made for anybody outside.")]
    rows = table("NAME", "ROLE", "MADE", "STATE", "PUBLIC KEY", flexible=("PUBLIC KEY",))
    now = session.now()
    for user in users:
        made = age(datetime.fromtimestamp(user.created_at, UTC), now)
        rows.add_row(
            plain(user.name),
            plain(user.role),
            plain(f"{made} ago"),
            _state(user, now.timestamp()),
            plain(user.public),
        )
    return [rows]


def _state(user: NatsUser, now_s: float) -> Text:
    if user.revoked_at:
        return Text("revoked", style="dim")
    if user.expires_at and user.expires_at <= now_s:
        return Text("expired", style="dim")
    return Text("good", style="green")
