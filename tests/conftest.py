"""What all tests share: arrays' axes are checked for real, and continuous integration skips nothing."""

import os
from collections.abc import Generator

import pytest
from jaxtyping import install_import_hook

install_import_hook("neuron_assets.method", "beartype.beartype")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NEURON_ASSETS_NO_SKIPS is set, a skipped test has failed: what it needs should have been installed."""
    report = yield
    if report.skipped and os.environ.get("NEURON_ASSETS_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report
