"""Trace files: bounded, private, and never in the way."""

from pathlib import Path

import pytest

from murmuration.kernel.errors import Rejected
from murmuration.runtime.trace import TraceFile


def test_full_file_becomes_the_older_one_and_no_third_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    trace = TraceFile(path, bytes_max=8)
    for line in (b"one\n", b"two\n", b"three\n", b"four\n"):
        trace.write(line)
    assert (path.with_name("trace.1").read_bytes(), path.read_bytes()) == (b"three\n", b"four\n")
    assert path.stat().st_mode & 0o777 == 0o600
    TraceFile(path, bytes_max=100).write(b"five\n")
    assert path.read_bytes() == b"four\nfive\n"


def test_trace_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="cannot write the trace"):
        TraceFile(tmp_path / "none" / "trace")


def test_disk_that_fails_ends_the_trace_alone() -> None:
    trace = TraceFile(Path("/dev/full"))
    trace.write(b"one\n")
    trace.write(b"two\n")
