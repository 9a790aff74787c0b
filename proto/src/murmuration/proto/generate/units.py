"""The unit a number has, read from the end of its field's name: `silent_ms`, `offset_ns_max`."""

UNITS = {
    "ns": "nanosecond",
    "us": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "bytes": "byte",
    "bits": "bit",
    "mbps": "megabit per second",
    "percent": "percent",
    "ppb": "part per billion",
    "celsius": "degree Celsius",
    "rpm": "revolution per minute",
    "w": "watt",
    "v": "volt",
    "count": "count",
}
QUALIFIERS = ("max", "min", "mean", "p50", "p99")  # may follow the unit


def unit_of(field: str) -> str | None:
    """The unit of a field, or None when its name bears none."""
    words = field.split("_")
    while len(words) > 1 and words[-1] in QUALIFIERS:
        words.pop()
    return UNITS.get(words[-1]) if len(words) > 1 else None
