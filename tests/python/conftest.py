"""Fixtures: servers of the built binary, one per module where tests can share it, one per test where they cannot."""

import harness
import pytest
import stores


def pytest_configure(config):
    steps = (harness.ROOT / "scripts" / "steps").read_text()
    forgotten = [file.name for file in harness.ROOT.glob("tests/python/test_*.py") if file.name not in steps]
    if forgotten:
        raise pytest.UsageError(f"no step of scripts/steps runs {', '.join(forgotten)}")
    if not harness.BINARY.is_file():
        raise pytest.UsageError(f"{harness.BINARY} is not there: build it first with `.ci/run build`")


def pytest_unconfigure(config):
    stores.Postgres.remove_all()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that the tests of one module share. It must end by SIGTERM with exit code 0."""
    running = harness.Server(tmp_path_factory.mktemp("server"))
    with harness.while_up(running):
        yield running


@pytest.fixture
def fresh(tmp_path):
    """A server of one test alone, which may kill it; not yet started."""
    running = harness.Server(tmp_path)
    try:
        yield running
    finally:
        if running.process:
            running.stop()


@pytest.fixture(scope="module")
def tenant(server):
    return server.tenant()
