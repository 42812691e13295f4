"""A trunk that registers with somebody else's registrar: Kamailio, with digest, over UDP and TCP."""

import pathlib
import re
import sys

import pytest
from harness import free_port, ok, wait_for
from sip import Agent, Caller
from test_interop import Kamailio

sys.path.append(str(pathlib.Path(__file__).parent / "edge"))
from registrar_kit import in_state, trunk  # noqa: E402

CARRIER = "127.0.0.5"  # the carrier's address; nothing else sends from it


class Registrar(Kamailio):
    """It keeps what was registered in memory."""

    def __init__(self, folder, password="pass 7"):
        address = (CARRIER, free_port(CARRIER))
        words = {"LISTEN": f"{address[0]}:{address[1]}", "USER": "line7", "PASSWORD": password}
        super().__init__(folder, "registrar.cfg", address, **words)

    def heard(self):
        return re.findall(r"REGISTER (?:challenged|taken expires=\d+ proto=\w+)", self.log.read_text())


@pytest.fixture
def kamailio(tmp_path):
    with Registrar(tmp_path) as running:
        yield running
        running.assert_up()


def called(tenant, carrier, number):
    """A call through the carrier, to its end."""
    with Caller(carrier.address) as caller:
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
    return tenant.call_with(number["e164"], "completed")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_kamailio_takes_our_registration_and_its_calls_come_by_it(fresh, kamailio, transport):
    tenant = fresh.start().tenant("registers")
    tenant.settings(imports="open")
    made = trunk(tenant, kamailio.place, transport=transport, expires_seconds=600)
    shown = in_state(tenant, made, "registered")
    assert shown["registrar"] == f"{transport}:{kamailio.place}"
    assert kamailio.heard() == ["REGISTER challenged", f"REGISTER taken expires=600 proto={transport}"]
    with Agent() as agent:
        number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(agent.uri)["id"])
        # A process that was killed leaves its binding, and the next one has the same.
        fresh.kill()
        fresh.start()
        in_state(tenant, made, "registered")
        assert called(tenant, kamailio, number)["provider_id"] == made["id"]
        # One that ends in order takes it away.
        fresh.stop()
        assert kamailio.heard()[-1].startswith("REGISTER taken expires=0")
        with Caller(kamailio.address) as caller:
            assert caller.invite(number["e164"]).final().status == 480
        fresh.start()
        in_state(tenant, made, "registered")
        called(tenant, kamailio, number)
        wait_for(lambda: [c["status"] for c in tenant.calls(number["e164"])] == ["completed"] * 2, "two calls, one for each binding that stands")
        fresh.stop()


def test_kamailio_refuses_a_wrong_password_and_is_left_alone(tenant, tmp_path):
    with Registrar(tmp_path, password="another") as carrier:
        made = trunk(tenant, carrier.place)
        assert in_state(tenant, made, "refused")["sip_status"] == 401
        assert carrier.heard() == ["REGISTER challenged"] * 2
        body = {"register": {"registrar": carrier.place, "credentials": {"username": "line7", "password": "another"}}}
        ok(tenant.native.patch(f"/api/v1/providers/{made['id']}", json=body), 200)
        in_state(tenant, made, "registered")


def test_a_registrar_that_goes_away_is_found_when_it_is_back(tenant, kamailio):
    made = trunk(tenant, kamailio.place, transport="tcp", expires_seconds=600)
    in_state(tenant, made, "registered")
    kamailio.stop()
    # The connection's end says it at once: calls could not come by it any more.
    shown = in_state(tenant, made, "failing")
    assert shown["next_attempt_at"] and shown["problem"] and shown["expires_at"] is None
    kamailio.start()
    with Agent() as agent:
        number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(agent.uri)["id"])
        in_state(tenant, made, "registered", 40)
        called(tenant, kamailio, number)
