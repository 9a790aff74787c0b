"""With MUR_NO_SKIPS=1, as `./just test` sets it, what is skipped or expected to fail has failed.

A test that silently did not run is worse than one that fails: whoever lacks what a test needs is
told by name what to install (`./just setup-tests`).
"""

import os
from collections.abc import Generator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

LIVE = "tests/e2e/live/"
pytest_plugins = ["murmuration.testkit.plugin", "murmuration.testkit.bmc"]
NO_SKIPS = os.environ.get("MUR_NO_SKIPS") == "1"


class ByFile(LoadFileScheduling):
    """A file's tests stay together, and so do all tests of the one live site."""

    def _split_scope(self, nodeid: str) -> str:
        return LIVE if nodeid.startswith(LIVE) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Deal the tests out to the workers of `-n`."""
    return ByFile(config, log)


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIPS and report.outcome == "skipped":
        reason = getattr(report, "wasxfail", None) or report.longrepr
        if isinstance(reason, tuple):
            reason = reason[-1]
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} did not run to its end, and nothing may: {reason}"
        vars(report).pop("wasxfail", None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test, or one that is expected to fail, is a failed test."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself is an error of the collection."""
    report = yield
    _fail_if_skipped(report)
    return report
