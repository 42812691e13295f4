"""Plans: requests a second and a day, and calls at a time."""

import threading

import pytest
from harness import wait_for
from sip import Agent, Caller
from webhooks_kit import refused, server, simulated


# --- Plans -------------------------------------------------------------------------------------------------------------------


def burst(client, count, path="/v1/webhooks"):
    """Many requests at once; their answers."""
    answers, lock = [], threading.Lock()

    def send():
        for _ in range(count // 8):
            answer = client.get(path)
            with lock:
                answers.append(answer)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_plan_limits_requests_from_the_next_one_on(simulated):
    tenant, beside = simulated.tenant("planned"), simulated.tenant("beside")
    answers = burst(tenant.krosai, 80)
    assert {a.status_code for a in answers} == {200}, "no limit until a plan is set"
    assert not any(name.startswith("x-ratelimit") for a in answers for name in a.headers)
    tenant.settings(krosai_plan="free")
    answers = burst(tenant.krosai, 160)
    limited = [a for a in answers if a.status_code == 429]
    assert limited and {a.status_code for a in answers} == {200, 429}
    for answer in answers:
        assert answer.headers["x-ratelimit-limit"] == "10" and int(answer.headers["x-ratelimit-remaining"]) < 10
        assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
    for answer in limited:
        body = refused(answer, 429, "RATE_LIMIT_EXCEEDED")
        assert body["retry_after"] == int(answer.headers["retry-after"]) >= 1
        assert answer.headers["x-ratelimit-remaining"] == "0"
    assert {a.status_code for a in burst(beside.krosai, 80)} == {200}, "another tenant's requests are its own"
    assert tenant.native.get("/api/v1/webhooks").status_code == 200, "nor are those of another API counted"
    tenant.settings(krosai_plan="enterprise")
    assert {a.status_code for a in burst(tenant.krosai, 160)} == {200}
    tenant.settings(krosai_plan=None)
    assert not any(name.startswith("x-ratelimit") for name in tenant.krosai.get("/v1/webhooks").headers)


def test_a_name_of_no_plan_is_refused(server):
    tenant = server.tenant("misnamed")
    for wrong in ("gold", 7, "", ["free"]):
        body = refused(server.admin.patch(f"/api/v1/organizations/{tenant.id}", json={"settings": {"krosai_plan": wrong}}), 422, "invalid")
        assert body["field"] == "settings" and "enterprise" in body["detail"]
        refused(server.admin.post("/api/v1/organizations", json={"name": "x", "settings": {"krosai_plan": wrong}}), 422, "invalid")
    refused(server.admin.patch(f"/api/v1/organizations/{tenant.id}", json={"settings": {"max_concurrent_calls": -1}}), 422, "invalid")


@pytest.mark.parametrize("settings", [{"krosai_plan": "free"}, {"max_concurrent_calls": 1}, {"krosai_plan": "pro", "max_concurrent_calls": 1}])
def test_a_second_call_finds_no_room_until_the_first_has_ended(server, settings):
    tenant = server.tenant("busy")
    trunk = tenant.trunk(f"127.0.0.{50 + len(str(settings))}")
    host = trunk["inbound"]["allowed_addresses"][0].split("/")[0]
    with Agent() as agent, Agent("ring") as ringing, Caller(server.sip, host=host) as one, Caller(server.sip, host=host) as two:
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        rings = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(ringing.uri)["id"])
        first, unlimited = one.invite(number["e164"]), two.invite(number["e164"])
        assert (first.final().status, unlimited.final().status) == (200, 200), "no limit until one is set"
        unlimited.bye()
        tenant.settings(**settings)
        # One is up: the next finds no room, and is told why.
        refusal = two.invite(number["e164"]).final()
        assert refusal.status == 486 and "too" not in refusal.get("reason").lower() and "calls in progress" in refusal.get("reason")
        told = tenant.explain(number)
        assert (told["outcome"], told["sip_status"]) == ("refuse", 486) and told["steps"][-1]["passed"] is False
        row = tenant.call_with(number["e164"], "refused")
        assert row["sip_status"] == 486 and "calls in progress" in row["reason"]
        # More room holds for the next call; so does less.
        tenant.settings(krosai_plan="pro", max_concurrent_calls=None)
        assert tenant.explain(number)["outcome"] == "route"
        waiting = two.invite(rings["e164"])
        waiting.response(lambda m: m.status == 180)
        first.bye()
        tenant.call_with(number["e164"], "refused")
        tenant.settings(**settings)
        assert one.invite(number["e164"]).final().status == 486, "one that rings counts"
        waiting.cancel()
        waiting.final()
        wait_for(lambda: tenant.explain(number)["outcome"] == "route", "there is room again")
        last = one.invite(number["e164"])
        assert last.final().status == 200
        last.bye()


def test_calls_of_a_killed_process_still_count(fresh):
    fresh.start()
    tenant = fresh.tenant()
    trunk = tenant.trunk("127.0.0.1")
    tenant.settings(max_concurrent_calls=1)
    with Agent() as agent, Caller(fresh.sip) as one, Caller(fresh.sip) as two:
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        first = one.invite(number["e164"])
        assert first.final().status == 200
        fresh.kill()
        fresh.start()
        wait_for(lambda: tenant.explain(number)["outcome"] == "refuse", "the call is counted")
        assert two.invite(number["e164"]).final().status == 486
        first.bye()
        wait_for(lambda: tenant.explain(number)["outcome"] == "route", "its end is counted")
        last = two.invite(number["e164"])
        assert last.final().status == 200
        last.bye()
