"""For all tests: a gate that is green because something was skipped is red."""

from __future__ import annotations

import os

import pytest

from tests.allowed_skips import is_allowed

_UNLISTED = pytest.StashKey[dict[str, str]]()
STRICT = os.environ.get("CI", "").lower() in ("1", "true")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a list of what was skipped without being listed."""
    config.stash[_UNLISTED] = {}
    config.pluginmanager.register(_Skips(config.stash[_UNLISTED]), "mentor-skips")


class _Skips:
    def __init__(self, unlisted: dict[str, str]) -> None:
        self._unlisted = unlisted

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.outcome != "skipped" or hasattr(report, "wasxfail"):
            return
        message = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not is_allowed(report.nodeid, message):
            self._unlisted[report.nodeid] = message


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run of the gate if anything unlisted was skipped."""
    if STRICT and session.config.stash[_UNLISTED] and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name them."""
    if STRICT:
        for node, message in config.stash[_UNLISTED].items():
            terminalreporter.write_line(
                f"SKIPPED BUT NOT ON THE LIST tests/allowed_skips.py: {node}: {message}", red=True
            )
