"""Numbers that come from and go to other carriers, each operation in each state, and ninety days of rest."""

import datetime

import pytest
from harness import new_number, ok
from sip import Agent, Caller
from months_kit import buy, hold, move, on_sale, release, rents, restore, simulated, when


def test_a_number_comes_from_another_carrier_when_the_operator_says_so(server):
    tenant = server.tenant("porter")
    tenant.settings(imports="open")
    with Agent() as agent, Caller(server.sip, host="127.0.0.6") as caller:
        trunk = tenant.trunk("127.0.0.6")
        endpoint = tenant.endpoint(agent.uri)
        body = {"e164": new_number(), "provider_id": trunk["id"], "port_in": True, "endpoint_id": endpoint["id"]}
        number = ok(tenant.native.post("/api/v1/numbers", json=body), 201)
        assert number["status"] == "port_in"
        assert caller.invite(number["e164"]).final().status == 480
        said = tenant.explain(number)
        assert said["sip_status"] == 480 and "port_in" in said["reason"]
        for status in ("active", "inactive"):
            refused = tenant.native.patch(f"/api/v1/numbers/{number['id']}", json={"status": status})
            assert refused.status_code == 409, refused.text
        assert tenant.patch(number, status="active")["status"] == "active"
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        # On its way out it takes calls, can be called back, and goes for good.
        leaving = ok(tenant.native.post(f"/api/v1/numbers/{number['id']}/port-out"), 200)
        assert leaving["status"] == "port_out"
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        assert "port_out" in tenant.explain(number)["reason"]
        assert tenant.native.delete(f"/api/v1/numbers/{number['id']}").status_code == 409, "it cannot be restored"
        again = ok(tenant.native.patch(f"/api/v1/numbers/{number['id']}", json={"status": "active"}), 200)
        assert again["status"] == "active"
        off = ok(tenant.native.patch(f"/api/v1/numbers/{number['id']}", json={"status": "inactive"}), 200)
        assert tenant.native.post(f"/api/v1/numbers/{off['id']}/port-out").status_code == 409
        # One that never came is gone when it is given up.
        other = ok(tenant.native.post("/api/v1/numbers", json=body | {"e164": new_number()}), 201)
        assert release(tenant, other)["status"] == "deleted"
        assert restore(tenant, other).status_code == 404
    assert tenant.native.post("/api/v1/numbers", json={"stock_id": server.stock()["id"], "port_in": True}).status_code == 422


# What an operation makes of a number in a state: the state after it, or the status of the refusal.
TABLE = {
    "pending": {"activate": 409, "operator": "active", "deactivate": 409, "release": "released", "delete": None, "restore": 409, "port_out": 409},
    "port_in": {"activate": 409, "operator": "active", "deactivate": 409, "release": "deleted", "delete": None, "restore": 409, "port_out": 409},
    "active": {"activate": "active", "operator": "active", "deactivate": "inactive", "release": "released", "delete": None, "restore": 409, "port_out": "port_out"},
    "inactive": {"activate": "active", "operator": "active", "deactivate": "inactive", "release": "released", "delete": None, "restore": 409, "port_out": 409},
    "port_out": {"activate": "active", "operator": "active", "deactivate": 409, "release": 409, "delete": None, "restore": 409, "port_out": 409},
    "released": {"activate": 409, "operator": 409, "deactivate": 409, "release": 409, "delete": None, "restore": "pending", "port_out": 409},
    "deleted": {"activate": 404, "operator": 404, "deactivate": 404, "release": 404, "delete": 404, "restore": 404, "port_out": 404},
}  # fmt: skip


@pytest.mark.parametrize("state", TABLE)
def test_each_operation_in_each_state_does_what_the_table_says(server, state):
    tenant = server.tenant(f"in {state}")
    tenant.settings(imports="operator")
    trunk = tenant.trunk(f"127.0.1.{list(TABLE).index(state) + 1}")

    def brought(**fields):
        body = {"e164": new_number(), "provider_id": trunk["id"]} | fields
        return ok(tenant.native.post("/api/v1/numbers", json=body), 201)

    def at(number, rest=""):
        return f"/api/v1/numbers/{number['id']}{rest}"

    def number_in(state):
        if state in ("pending", "port_in"):
            return brought(port_in=state == "port_in")
        number = tenant.patch(brought(), status="active")
        match state:
            case "active":
                return number
            case "inactive":
                return tenant.patch(number, status="inactive")
            case "port_out":
                return ok(tenant.native.post(at(number, "/port-out")), 200)
            case "released":
                return release(tenant, number)
            case "deleted":
                ok(tenant.native.delete(at(number), params={"permanent": "true"}), 204)
                return number | {"status": "deleted"}

    operations = {
        "activate": lambda n: tenant.native.patch(at(n), json={"status": "active"}),
        "operator": lambda n: tenant.admin.patch(at(n), json={"status": "active"}),
        "deactivate": lambda n: tenant.native.patch(at(n), json={"status": "inactive"}),
        "release": lambda n: tenant.native.delete(at(n)),
        "delete": lambda n: tenant.native.delete(at(n), params={"permanent": "true"}),
        "restore": lambda n: tenant.native.post(at(n, "/restore")),
        "port_out": lambda n: tenant.native.post(at(n, "/port-out")),
    }
    for name, expected in TABLE[state].items():
        number = number_in(state)
        assert number["status"] == state
        answer = operations[name](number)
        if isinstance(expected, int):
            assert answer.status_code == expected, (state, name, answer.text)
        elif expected is None:
            ok(answer, 204)
            assert tenant.native.get(at(number)).status_code == 404
        else:
            assert ok(answer, 200)["status"] == expected, (state, name)


def test_a_number_that_has_left_is_not_sold_again(simulated):
    tenant, other = simulated.tenant("leaver"), simulated.tenant("other")
    row = simulated.stock()
    number = buy(tenant, row)
    viewer = tenant.client("native", "viewer")
    assert viewer.post(f"/api/v1/numbers/{number['id']}/port-out").status_code == 403
    assert other.native.post(f"/api/v1/numbers/{number['id']}/port-out").status_code == 404
    ok(tenant.native.post(f"/api/v1/numbers/{number['id']}/port-out"), 200)
    ok(tenant.admin.delete(f"/api/v1/numbers/{number['id']}", params={"permanent": "true"}), 204)
    move(simulated, days=91)
    assert on_sale(other, row) is None
    assert ok(simulated.admin.get("/api/v1/stock", params={"q": row["e164"].lstrip("+")}), 200)["data"] == []


def test_its_holder_alone_takes_no_number_out_of_the_stock(simulated):
    tenant, other = simulated.tenant("taker"), simulated.tenant("other")
    row = simulated.stock()
    number = buy(tenant, row)
    ok(tenant.native.post(f"/api/v1/numbers/{number['id']}/port-out"), 200)
    ok(tenant.native.delete(f"/api/v1/numbers/{number['id']}", params={"permanent": "true"}), 204)
    trunk = tenant.trunk("127.0.0.8")
    stolen = tenant.admin.post("/api/v1/numbers", json={"e164": row["e164"], "provider_id": trunk["id"]})
    assert stolen.status_code == 409, "it is the operator's still"
    assert on_sale(other, row) is None, "it rests as any other"
    move(simulated, days=91)
    assert on_sale(other, row)["status"] == "available"


def test_ninety_days_rest_then_somebody_elses(simulated):
    first, second = simulated.tenant("first"), simulated.tenant("second")
    row = simulated.stock(setup=100, monthly=200)
    number = buy(first, row)
    ok(first.native.patch(f"/api/v1/numbers/{number['id']}", json={"label": "desk"}), 200)
    gone = release(first, number)
    rest = when(gone["quarantined_until"]) - when(gone["released_at"])
    assert (gone["status"], rest) == ("released", datetime.timedelta(days=90))
    move(simulated, days=89)
    assert hold(second, row).status_code == 409
    assert second.native.post("/api/v1/numbers", json={"stock_id": row["id"]}).status_code == 409
    back = ok(restore(first, number), 200)
    assert (back["id"], back["label"], back["status"]) == (number["id"], "desk", "active")
    assert rents(first, number) == [2], "of the months in between none, of this one all"
    release(first, number)
    move(simulated, days=90, seconds=1)
    assert restore(first, number).status_code == 409
    assert on_sale(second, row)["status"] == "available"
    ok(hold(second, row), 200)
    assert first.native.post("/api/v1/numbers", json={"stock_id": row["id"]}).status_code == 409
    again = ok(second.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}), 201)
    assert again["e164"] == row["e164"] and again["id"] != number["id"]
    history = ok(first.native.get(f"/api/v1/numbers/{row['e164']}"), 200)
    assert (history["id"], history["status"]) == (number["id"], "released"), "its own, kept for its history"
