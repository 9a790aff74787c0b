"""Writes the small TOML that this program hands to others (the standard library only reads it)."""

import json
from collections.abc import Mapping, Sequence

Value = str | int | float | bool | Sequence[str]


def toml_text(tables: Mapping[str, Mapping[str, Value]]) -> str:
    """Tables of simple keys as TOML 1.0; a table name in brackets is one of an array of tables."""
    lines: list[str] = []
    for name, values in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in values.items()]
        lines.append("")
    return "\n".join(lines)


def _value(value: Value) -> str:
    # JSON's strings, numbers, booleans and arrays are TOML's, but for a bare DEL and surrogates.
    plain = value if isinstance(value, (str, int, float)) else list(value)
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")
