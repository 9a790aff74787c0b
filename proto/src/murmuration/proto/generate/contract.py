"""The contract as one page for people: every subject, stream and bucket in a table."""

from collections.abc import Iterable

from murmuration.proto.registry import BUCKETS, CHANNELS, STREAMS

NOTE = "Generated from the registry by `python -m murmuration.proto.generate`; do not edit."


def page() -> str:
    """The text of contract.md."""
    return "\n".join(
        [
            "# The contract",
            "",
            NOTE,
            "",
            "## Messages",
            "",
            *_table(
                ("subject", "kind", "type", "publishers", "subscribers", "stream", "what it says"),
                (
                    (
                        f"`{c.subject}`",
                        c.kind.value,
                        f"`{c.type}`",
                        _names(c.publishers),
                        _names(c.subscribers),
                        c.stream or "",
                        c.summary,
                    )
                    for c in sorted(CHANNELS.values(), key=lambda c: (c.service, c.subject))
                ),
            ),
            "",
            "## Streams",
            "",
            *_table(
                ("stream", "owner", "subjects", "when full", "MiB", "hours kept", "what it holds"),
                (
                    (
                        s.name,
                        s.owner,
                        ", ".join(f"`{subject}`" for subject in s.subjects),
                        "refuses the newest" if s.permanence == "intake" else "drops the oldest",
                        f"{s.size_bytes_max / 2**20:g}",
                        f"{s.age_s_max / 3600:g}",
                        s.summary,
                    )
                    for s in sorted(STREAMS.values(), key=lambda s: s.name)
                ),
            ),
            "",
            "## Buckets",
            "",
            *_table(
                ("bucket", "owner", "value", "readers", "what it holds"),
                (
                    (b.name, b.owner, b.payload.__name__, _names(b.readers), b.summary)
                    for b in sorted(BUCKETS.values(), key=lambda b: b.name)
                ),
            ),
            "",
        ]
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(names))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield _row(head)
    yield _row(("---",) * len(head))
    yield from map(_row, rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
