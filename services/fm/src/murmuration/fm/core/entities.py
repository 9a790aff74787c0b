"""What correlation asks of an entity's components."""

HOST = "host"


def component(path: tuple[str, ...], key: str) -> str:
    """The first component of this key, `key=value`; empty when there is none."""
    start = f"{key}="
    return next((part for part in path if part.startswith(start)), "")


def value(path: tuple[str, ...], key: str) -> str:
    """The value of the first component of this key; empty when there is none."""
    return component(path, key)[len(key) + 1 :]


def is_below(path: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    """Whether `path` is `outer` itself or lies inside it."""
    return path[: len(outer)] == outer
