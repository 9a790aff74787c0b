"""Trace files: bounded, private, and never in the way."""

import resource
import signal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

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


def test_disk_that_is_full_ends_the_trace_alone(tmp_path: Path) -> None:
    (tmp_path / "trace").symlink_to("/dev/full")
    trace = TraceFile(tmp_path / "trace")
    with capture_logs() as said:
        trace.write(b"one\n")
        trace.write(b"two\n")
    assert [entry["event"] for entry in said] == ["trace.ended"]


def test_line_that_does_not_fit_whole_is_not_left_behind(tmp_path: Path) -> None:
    trace = TraceFile(tmp_path / "trace")
    trace.write(b"one\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6, before[1]))  # the file may have two bytes more
    try:
        with capture_logs() as said:
            trace.write(b"two\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    trace.write(b"six\n")
    assert (tmp_path / "trace").read_bytes() == b"one\n"
    assert [entry["event"] for entry in said] == ["trace.ended"]
