"""The conditions that must hold, each with the instant until which it was last vouched for."""

CONDITIONS_MAX = 32
LEASE_S_MIN = 1.0
LEASE_S_MAX = 3_600.0
NAME_CHARACTERS_MAX = 64
REASON_CHARACTERS_MAX = 500


class Refused(Exception):
    """A request that is not served; the message says why."""


class Leases:
    """The conditions of one host. Instants are seconds of a clock that never steps."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._owner: dict[str, int] = {}

    def hold(self, name: str, lease_s: float, *, owner: int, now: float) -> None:
        """`name` holds for `lease_s` from now on. Raises Refused."""
        check_name(name)
        if not LEASE_S_MIN <= lease_s <= LEASE_S_MAX:
            raise Refused(f"a lease is {LEASE_S_MIN:g} to {LEASE_S_MAX:g} seconds")
        self._own(name, owner)
        if name not in self._until and len(self._until) >= CONDITIONS_MAX:
            raise Refused(f"there are {CONDITIONS_MAX} conditions already")
        self._owner.setdefault(name, owner)
        self._until[name] = now + lease_s

    def drop(self, name: str, *, owner: int) -> None:
        """`name` is no condition any more; one that is none is fine. Raises Refused."""
        self._own(name, owner)
        self._until.pop(name, None)
        self._owner.pop(name, None)

    def fail(self, name: str, *, owner: int, now: float) -> None:
        """`name` does not hold: its lease ends now. Raises Refused."""
        if name not in self._until:
            raise Refused(f"{name[:NAME_CHARACTERS_MAX]} is no condition here")
        self._own(name, owner)
        self._until[name] = min(self._until[name], now)

    def lapsed(self, now: float) -> str:
        """Which conditions no longer hold, as one clause; empty when all do."""
        late = [
            f"{name} (by {now - until:.1f} s)" for name, until in self._until.items() if until < now
        ]
        return f"not renewed in time: {', '.join(late)}" if late else ""

    def shown(self, now: float) -> str:
        """Every condition and the seconds left of it."""
        return ",".join(f"{name}:{until - now:.1f}" for name, until in sorted(self._until.items()))

    def _own(self, name: str, owner: int) -> None:
        known = self._owner.get(name, owner)
        if owner not in (known, 0):
            raise Refused(f"{name} belongs to user {known}")


def check_name(name: str) -> None:
    """Raise Refused unless `name` is a word of letters, digits, - and _."""
    plain = name.replace("-", "").replace("_", "")
    if not (plain.isascii() and plain.isalnum()) or len(name) > NAME_CHARACTERS_MAX:
        raise Refused(f"a condition's name is 1 to {NAME_CHARACTERS_MAX} letters, digits, - and _")
