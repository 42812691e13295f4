"""The simulation that `serve --sim` adds: who may use it, and its clock."""

import subprocess
from datetime import datetime, timedelta

import pytest
from harness import BINARY, Server, free_port, ok, while_up


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("sim"), arguments=["--sim"])
    with while_up(running):
        yield running


def clock_of(server):
    return datetime.fromisoformat(ok(server.admin.get("/sim/clock"), 200)["now"])


def test_the_clock_goes_forward_by_the_operators_hand_alone(simulated):
    before = clock_of(simulated)
    moved = ok(simulated.admin.post("/sim/clock", json={"advance_seconds": 86_400}), 200)
    assert datetime.fromisoformat(moved["now"]) - before >= timedelta(days=1)
    target = before + timedelta(days=3)
    ok(simulated.admin.post("/sim/clock", json={"now": target.isoformat()}), 200)
    assert timedelta() <= clock_of(simulated) - target < timedelta(minutes=1)
    tenant = simulated.tenant()
    assert ok(simulated.admin.get(f"/api/v1/organizations/{tenant.id}"))["created_at"][:10] == str(target.date())
    for wrong, status in [
        ({"now": before.isoformat()}, 422), ({"advance_seconds": -1}, 422), ({"advance_seconds": 10**12}, 422),
        ({}, 422), ({"advance_seconds": 1, "now": target.isoformat()}, 422), ({"by": 1}, 422), ([], 400),
    ]:  # fmt: skip
        refused = simulated.admin.post("/sim/clock", json=wrong)
        assert refused.status_code == status, (wrong, refused.text)
        assert refused.headers["content-type"] == "application/problem+json"
    twenty_years = {"advance_seconds": 20 * 365 * 86_400}
    assert simulated.admin.post("/sim/clock", json=twenty_years).status_code == 409
    assert simulated.anonymous.get("/sim/clock").status_code == 401
    assert tenant.native.post("/sim/clock", json={"advance_seconds": 1}).status_code == 403
    assert simulated.admin.delete("/sim/clock").status_code == 405
    assert simulated.admin.get("/sim/other").status_code == 404


def test_a_restart_does_not_turn_the_clock_back(tmp_path):
    server = Server(tmp_path, arguments=["--sim"]).start()
    try:
        ok(server.admin.post("/sim/clock", json={"advance_seconds": 90 * 86_400}), 200)
        before = clock_of(server)
        server.kill()
        server.start()
        assert clock_of(server) >= before
    finally:
        server.stop()


def test_without_the_flag_there_is_no_such_path(server):
    assert server.admin.get("/sim/clock").status_code == 404
    assert server.admin.post("/sim/clock", json={"advance_seconds": 1}).status_code == 404


@pytest.mark.parametrize("flag", ["--http", "--sip"])
def test_a_simulation_keeps_to_loopback(tmp_path, flag):
    address = f"0.0.0.0:{free_port()}" if flag == "--http" else f"udp:0.0.0.0:{free_port()}"
    command = [BINARY, "serve", "--sim", flag, address, "--store", f"sqlite:{tmp_path}/t.db", "--public-sip", "h:5060"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1 and flag in ended.stderr and "--sim-exposed" in ended.stderr, ended.stderr
