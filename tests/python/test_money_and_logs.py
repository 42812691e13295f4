"""Calls that cost money, and what the log must not say of any of it."""

import time

from harness import Server, ok, wait_for
from sip import Agent, Caller


def test_a_call_is_charged_and_refused_when_the_money_is_gone(server):
    tenant = server.tenant("payer", cents=0)
    with Agent() as agent, Caller(server.sip) as caller:
        trunk = tenant.trunk("127.0.0.1")
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        try:
            # No rate, no balance needed.
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            call.bye()
            # A rate of 60 cents a minute is a cent a second; the wallet is empty.
            tenant.settings(rate_cents_per_minute=60)
            assert caller.invite(number["e164"]).final().status == 402
            said = tenant.explain(number)
            assert said["sip_status"] == 402 and "balance" in said["reason"]
            tenant.credit(100)
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            time.sleep(2)
            call.bye()
            wait_for(lambda: tenant.balance() < 100, "the call is charged", 8)
            assert 97 <= tenant.balance() <= 99
            entries = tenant.pages(f"/api/v1/organizations/{tenant.id}/ledger")
            assert sum(entry["amount_micros"] for entry in entries) == 0
            charged = tenant.call_with(number["e164"], "completed")
            assert charged["cost_micros"] == charged["duration_seconds"] * 10_000
        finally:
            # One trunk at a time may have this address for its own numbers; other tests bring theirs.
            ok(tenant.admin.delete(f"/api/v1/numbers/{number['id']}"), 200)


def test_the_log_says_nothing_of_callers_numbers_or_secrets(tmp_path):
    server = Server(tmp_path, environment={"RUST_LOG": "trace"}).start()
    try:
        tenant = server.tenant("quiet")
        password = "correct-horse-battery"
        with Agent() as agent, Caller(server.sip) as caller, Caller(server.sip, host="127.0.0.2") as stranger:
            trunk = ok(
                tenant.admin.post(
                    "/api/v1/providers",
                    json={
                        "kind": "sip_trunk", "label": "carrier",
                        "inbound": {
                            "allowed_addresses": ["127.0.0.1"],
                            "credentials": {"username": "u", "password": password},
                        },
                    },
                ),
                201,
            )  # fmt: skip
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
            call = caller.invite(number["e164"], from_user="+12125550177")
            assert call.final().status == 200
            call.bye()
            caller.invite("+14155559876", from_user="+12125550177").final()
            stranger.invite(number["e164"], from_user="+12125550188")
            tenant.call_with(number["e164"], "completed")
            detail = ok(tenant.krosai.get(f"/v1/phone-numbers/{number['id']}"), 200)
            ok(tenant.cartesia.get("/agents/phone-numbers"), 200)
            assert tenant.krosai.get("/v1/phone-numbers", headers={"authorization": "Bearer kros_live_wrongwrong"}).status_code == 401
        assert server.stop() == 0
        log = server.log.read_text(errors="replace")
        assert len(log) > 1_000, "the log was written"
        secrets = {
            "the number": number["e164"].lstrip("+"), "the caller": "12125550177", "a stranger": "12125550188",
            "an unknown number": "14155559876", "a SIP password": detail["sip_credentials"]["sip_password"],
            "a trunk's password": password, "the admin key": server.admin_key, "a key": tenant.key("krosai"),
            "a wrong key": "kros_live_wrongwrong",
        }  # fmt: skip
        told = [what for what, secret in secrets.items() if secret in log]
        assert not told, f"the log tells {told}"
    finally:
        server.stop()


def test_a_key_moves_money_once_and_never_hides_another_movement(fresh):
    tenant = fresh.start().tenant("keyed", cents=0)
    path, key = f"/api/v1/organizations/{tenant.id}/ledger", {"idempotency-key": "credit"}

    def post(cents):
        return fresh.admin.post(path, json={"amount_cents": cents, "reason": "credit"}, headers=key)

    first = ok(post(100), 201)
    # As after a crash between the work and the keeping of its answer.
    fresh.store.sql("DELETE FROM answers")
    assert ok(post(100), 201)["id"] == first["id"]
    fresh.store.sql("DELETE FROM answers")
    assert post(500).status_code == 422 and tenant.balance() == 100
    # As after a day: the key names a new request.
    a_day = 25 * 3_600 * 1_000_000
    fresh.store.sql(f"UPDATE answers SET at = at - {a_day}")
    fresh.store.sql(f"UPDATE postings SET at = at - {a_day}")
    assert ok(post(100), 201)["id"] != first["id"]
    assert tenant.balance() == 200
