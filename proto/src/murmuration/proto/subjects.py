"""Subjects and patterns of them, as NATS matches them: `*` is one token, a last `>` one or more."""

from collections.abc import Mapping


def fill(template: str, tokens: Mapping[str, str], *, otherwise: str) -> str:
    """The subject with each `{placeholder}` replaced by its token, or by `otherwise`."""
    return ".".join(
        tokens.get(part[1:-1], otherwise) if part.startswith("{") else part
        for part in template.split(".")
    )


def covers(pattern: str, subject: str) -> bool:
    """Whether every subject that `subject`, itself perhaps a pattern, stands for fits `pattern`."""
    wide, narrow = pattern.split("."), subject.split(".")
    for position, part in enumerate(wide):
        if part == ">":
            return len(narrow) > position
        if position >= len(narrow) or narrow[position] == ">":
            return False
        if part not in ("*", narrow[position]):
            return False
    return len(wide) == len(narrow)


def overlap(one: str, other: str) -> bool:
    """Whether some subject fits both patterns."""
    left, right = one.split("."), other.split(".")
    for a, b in zip(left, right, strict=False):
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return len(left) == len(right)
