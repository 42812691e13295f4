"""Numbers that are given back and taken back, and numbers that two ways lead to: nobody goes round the operator, nothing is held twice."""

import pytest
from harness import credential, new_number, ok


@pytest.fixture(scope="module")
def tenant(server):
    server.tenant("another, so that imports ask the operator")
    return server.tenant("returns")


def own_trunk(tenant):
    body = {"kind": "sip_trunk", "label": "own", "inbound": {"allowed_addresses": ["198.51.100.7"]}}
    return ok(tenant.native.post("/api/v1/providers", json=body), 201)["id"]


def release(tenant, number):
    ok(tenant.admin.delete(f"/api/v1/numbers/{number['id']}"), 200)


def restore(tenant, number, by=None):
    return (by or tenant.admin).post(f"/api/v1/numbers/{number['id']}/restore")


def test_taking_back_an_import_asks_the_operator_again(tenant):
    new = {"e164": new_number(), "provider_id": own_trunk(tenant)}
    number = ok(tenant.native.post("/api/v1/numbers", json=new), 201)
    assert number["status"] == "pending"
    release(tenant, number)
    assert ok(restore(tenant, number, tenant.native), 200)["status"] == "pending"
    release(tenant, number)
    assert ok(restore(tenant, number), 200)["status"] == "active"


def test_an_import_for_the_sandbox_stays_there(tenant):
    new = {"e164": new_number(), "provider_id": own_trunk(tenant), "environment": "sandbox"}
    number = ok(tenant.native.post("/api/v1/numbers", json=new), 201)
    assert number["status"] == "active"
    path, live = f"/api/v1/numbers/{number['id']}", tenant.endpoint("sip:127.0.0.1:5099", agent=tenant.agent())
    assert tenant.native.patch(path, json={"environment": "live"}).status_code == 409
    assert tenant.native.patch(path, json={"endpoint_id": live["id"]}).status_code == 409
    tried = tenant.endpoint("sip:127.0.0.1:5099", agent=tenant.agent(), environment="sandbox")
    ok(tenant.native.patch(path, json={"endpoint_id": tried["id"]}), 200)
    moved = tenant.native.patch(f"/api/v1/endpoints/{tried['id']}", json={"environment": "live"})
    assert moved.status_code == 409 and tenant.read(number)["environment"] == "sandbox"
    ok(tenant.admin.patch(path, json={"endpoint_id": live["id"]}), 200)


def test_a_test_key_does_not_import_into_live(tenant):
    test = tenant.server.api(credential("native", tenant.key("native", mode="test")))
    live = tenant.endpoint("sip:127.0.0.1:5099", agent=tenant.agent())
    new = {"e164": new_number(), "provider_id": own_trunk(tenant), "endpoint_id": live["id"]}
    number = ok(test.post("/api/v1/numbers", json=new), 201)
    assert (number["environment"], number["status"]) == ("live", "pending")


def test_a_restored_number_follows_its_endpoint_as_it_is_now(tenant):
    endpoint, later = tenant.endpoint("sip:127.0.0.1:5099", agent=tenant.agent()), tenant.agent("later")
    number = tenant.number(endpoint_id=endpoint["id"])
    release(tenant, number)
    ok(tenant.admin.patch(f"/api/v1/endpoints/{endpoint['id']}", json={"agent_id": later["id"]}), 200)
    assert ok(restore(tenant, number), 200)["agent_id"] == later["id"]


def test_a_number_whose_provider_is_gone(tenant):
    trunk = {"id": own_trunk(tenant)}
    number = tenant.number(trunk=trunk)
    release(tenant, number)
    ok(tenant.admin.delete(f"/api/v1/providers/{trunk['id']}"))
    refused = restore(tenant, number)
    assert refused.status_code == 409 and "trunk" in refused.json()["detail"]
    managed = ok(tenant.admin.post("/api/v1/providers", json={"kind": "managed", "label": "stock"}), 201)
    number = tenant.number()
    assert number["provider_id"] == managed["id"]
    release(tenant, number)
    ok(tenant.admin.delete(f"/api/v1/providers/{managed['id']}"))
    assert ok(restore(tenant, number), 200)["provider_id"] is None


def test_what_has_left_the_stock_is_not_restored(tenant):
    stock = tenant.server.stock()
    number = ok(tenant.admin.post("/api/v1/numbers", json={"stock_id": stock["id"]}), 201)
    release(tenant, number)
    ok(tenant.server.admin.delete(f"/api/v1/stock/{stock['id']}"))
    assert restore(tenant, number).status_code == 409


def test_what_is_in_stock_is_bought_and_not_imported(tenant):
    stock, trunk = tenant.server.stock(), own_trunk(tenant)
    new = {"e164": stock["e164"], "provider_id": trunk}
    assert tenant.native.post("/api/v1/numbers", json=new).status_code == 409
    many = ok(tenant.native.post("/api/v1/numbers/import", json={"provider_id": trunk, "numbers": [{"e164": stock["e164"]}]}), 200)
    assert (many["created"], many["failed"]) == (0, 1)
    number = ok(tenant.admin.post("/api/v1/numbers", json={"stock_id": stock["id"]}), 201)
    release(tenant, number)
    # It rests, and is its former holder's to take back.
    assert tenant.native.post("/api/v1/numbers", json=new).status_code == 409
    assert ok(restore(tenant, number), 200)["status"] == "active"


def test_what_is_held_is_not_put_in_stock(tenant):
    number = tenant.number(trunk={"id": own_trunk(tenant)})
    row = {"e164": number["e164"], "setup_cost_cents": 1, "monthly_cost_cents": 1}
    assert tenant.server.admin.post("/api/v1/stock", json=row).status_code == 409
    release(tenant, number)
    ok(tenant.server.admin.post("/api/v1/stock", json=row), 201)
    assert restore(tenant, number).status_code == 409
