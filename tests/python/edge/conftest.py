"""Fixtures of the edge's tests."""

import pytest
from dns_kit import Dns
from outbound_kit import PLATFORM
from sip import Caller
from streams_kit import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Who signs the certificates of a module's parties."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def dns():
    with Dns() as running:
        yield running


@pytest.fixture
def platform(server):
    """An agent that calls out: from no trunk's address."""
    with Caller(server.sip, host=PLATFORM) as party:
        yield party


@pytest.fixture(scope="module")
def carrier(server):
    """A tenant whose trunk is this machine."""
    tenant = server.tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant
