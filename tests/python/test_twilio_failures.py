"""Numbers in an organization's own Twilio account: refusals and slowness there, repeats, deaths, and calls."""

import secrets
import threading
import time

import httpx
import pytest
from harness import Server, new_number, ok, wait_for
from sip import Agent, Caller
from stores import tells
from twilio import (  # noqa: F401  (fixtures are found by name)
    CARRIER,
    NEWER,
    NUMBERS,
    PROVIDERS,
    STRANGER,
    Twilio,
    alone,
    behaved,
    bring,
    import_body,
    link,
    native,
    refused,
    serve,
    server,
    sid,
    tenant,
    twilio,
)

# Refusals and slowness


@pytest.mark.parametrize(
    "operation", ["trunks.list", "trunks.create", "origination_urls.list", "origination_urls.create", "numbers.attach"]
)
@pytest.mark.parametrize("failure", [{"status": 400, "code": 21000}, {"status": 503}], ids=["refuses", "is away"])
def test_half_a_success_is_mended_by_a_patch(twilio, tenant, operation, failure):
    number, agent = new_number(), tenant.agent()
    endpoint = tenant.endpoint("sip:127.0.0.1:9", agent=agent)
    account = twilio.account(number)
    provider = link(tenant, account)
    twilio.behave(operation, **failure)
    body = import_body(provider, number, agent_id=agent["id"])
    answer = refused(tenant.cartesia.post(NUMBERS, json=body), 400)
    assert "agent" in answer["message"]
    stored = ok(tenant.cartesia.get(NUMBERS), 200)["data"]
    assert [(row["number"], row["agent"]) for row in stored] == [(number, None)]
    assert native(tenant, number)["status"] == "pending"
    refused(tenant.cartesia.post(NUMBERS, json=body), 409)
    path = f"{NUMBERS}/{stored[0]['id']}"
    assert tenant.cartesia.patch(path, json={"agent_id": agent["id"]}).status_code == 400
    assert ok(tenant.cartesia.get(path), 200)["agent"] is None
    twilio.forget()
    mended = ok(tenant.cartesia.patch(path, json={"agent_id": agent["id"]}), 200)
    assert mended["agent"]["id"] == agent["id"]
    row = native(tenant, number)
    assert (row["status"], row["endpoint_id"]) == ("active", endpoint["id"])
    assert len(twilio.books(account)["trunks"]) == 1 and twilio.trunk_of(account, number)


def test_a_better_key_attaches_what_the_last_could_not(twilio, tenant):
    numbers = [new_number(), new_number()]
    account = twilio.account(*numbers)
    provider = link(tenant, account)
    bring(tenant, provider, numbers[0])
    twilio.behave("numbers.attach", status=403, code=20003)
    refused(tenant.cartesia.post(NUMBERS, json=import_body(provider, numbers[1])), 400)
    twilio.forget()
    before = twilio.requests("numbers.attach")
    key = {"type": "twilio", "api_key_sid": account["api_key_sid"], "api_key_secret": account["api_key_secret"]}
    ok(tenant.cartesia.patch(f"{PROVIDERS}/{provider['id']}", json=key), 200)
    wait_for(lambda: native(tenant, numbers[1])["status"] == "active", "it is attached")
    assert twilio.requests("numbers.attach") - before == 1, "the other was left alone"


def test_what_a_slow_carrier_does_late_is_seen(twilio, tenant):
    number, agent = new_number(), tenant.agent()
    account = twilio.account(number)
    provider = link(tenant, account)
    # Longer than one request may take: it is done there, and nobody hears of it.
    twilio.behave("numbers.attach", delay_ms=10_000, times=1)
    body = import_body(provider, number, agent_id=agent["id"])
    made = ok(tenant.server.api(tenant.cartesia.headers).post(NUMBERS, json=body, timeout=30), 201)
    assert made["agent"]["id"] == agent["id"] and native(tenant, number)["status"] == "active"
    assert twilio.requests("numbers.attach") >= 1 and twilio.trunk_of(account, number)


def test_a_trunk_that_was_deleted_there_is_made_again(twilio, tenant):
    numbers = [new_number(), new_number()]
    account = twilio.account(*numbers)
    provider = link(tenant, account)
    bring(tenant, provider, numbers[0])
    first = twilio.trunk_of(account, numbers[0])["sid"]
    login = (account["api_key_sid"], account["api_key_secret"])
    assert httpx.delete(f"{twilio.server.url}/sim/twilio/us1/v1/Trunks/{first}", auth=login).status_code == 204
    bring(tenant, provider, numbers[1])
    assert twilio.trunk_of(account, numbers[1])["sid"] != first


def test_a_carrier_that_does_not_let_go_blocks_nobody(twilio, tenant):
    number = new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    made = bring(tenant, provider, number)
    twilio.behave("numbers.detach", status=500)
    started = time.monotonic()
    ok(tenant.cartesia.delete(f"{NUMBERS}/{made['id']}"), 204)
    assert time.monotonic() - started < 2
    assert tenant.native.get(f"/api/v1/numbers/{number}").status_code == 404
    bring(tenant, provider, number)
    twilio.forget()
    time.sleep(3)
    assert twilio.trunk_of(account, number), "what was meant last is meant"


def test_a_number_that_is_given_up_during_its_change_is_not_attached(twilio, server, tenant):
    number = new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    twilio.behave("numbers.attach", status=400, times=1)
    refused(tenant.cartesia.post(NUMBERS, json=import_body(provider, number)), 400)
    waiting = native(tenant, number)
    endpoint = tenant.endpoint("sip:127.0.0.1:9")
    # Looked up there slowly: the deletion comes before the change is written.
    twilio.behave("numbers.list", delay_ms=2_000, times=1)
    before, answers = twilio.requests("numbers.list"), []

    def change():
        client = server.api(tenant.native.headers)
        answers.append(client.patch(f"/api/v1/numbers/{waiting['id']}", json={"endpoint_id": endpoint["id"]}).status_code)

    changing = threading.Thread(target=change)
    changing.start()
    wait_for(lambda: twilio.requests("numbers.list") > before, "the carrier is asked")
    ok(tenant.native.delete(f"/api/v1/numbers/{waiting['id']}", params={"permanent": "true"}), 204)
    changing.join()
    assert answers == [404]
    wait_for(lambda: twilio.trunk_of(account, number) is None, "it is detached")
    time.sleep(1.5)
    assert twilio.trunk_of(account, number) is None, "and stays so"
    # Whoever brings it in again has it.
    bring(tenant, provider, number)
    assert twilio.trunk_of(account, number)


def test_a_number_that_is_given_up_during_its_move_stays_attached_nowhere(twilio, server, tenant):
    number = new_number()
    one, two = twilio.account(number), twilio.account(number)
    first, second = link(tenant, one), link(tenant, two)
    made = bring(tenant, first, number)
    twilio.behave("numbers.attach", delay_ms=2_000, times=1)
    before, answers = twilio.requests("numbers.attach"), []

    def move():
        client = server.api(tenant.cartesia.headers)
        answers.append(client.patch(f"{NUMBERS}/{made['id']}", json={"provider": {"id": second["id"]}}).status_code)

    moving = threading.Thread(target=move)
    moving.start()
    wait_for(lambda: twilio.requests("numbers.attach") > before, "the carrier is asked")
    ok(tenant.native.delete(f"/api/v1/numbers/{native(tenant, number)['id']}", params={"permanent": "true"}), 204)
    wait_for(lambda: twilio.trunk_of(two, number), "it is attached late")
    moving.join()
    assert answers == [404]
    for account in (one, two):
        wait_for(lambda account=account: twilio.trunk_of(account, number) is None, "it is detached")


def test_a_tenants_slow_account_holds_up_nobodys_purchases(twilio, tmp_path):
    server = serve(tmp_path, twilio, "--sim")
    try:
        server.start()
        slow, other = server.tenant("slow"), server.tenant("other")
        numbers = [new_number() for _ in range(40)]
        provider = link(slow, twilio.account(*numbers))
        [row] = ok(server.admin.post("/sim/stock", json={"country": "GB", "type": "local", "count": 1}), 201)["data"]
        before = twilio.requests("numbers.attach")
        twilio.behave("numbers.attach", delay_ms=3_000)

        def imports(number):
            client = server.api(slow.cartesia.headers)
            client.post(NUMBERS, json=import_body(provider, number), timeout=30)

        threads = [threading.Thread(target=imports, args=(number,), daemon=True) for number in numbers]
        [thread.start() for thread in threads]
        wait_for(lambda: twilio.requests("numbers.attach") > before, "the carrier is asked")
        time.sleep(1)
        started = time.monotonic()
        bought = ok(other.native.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)
        assert bought["status"] == "active" and time.monotonic() - started < 2
        twilio.forget()
        [thread.join() for thread in threads]
    finally:
        server.stop()


# Repeats and deaths


def test_a_repeat_gives_the_first_answer(twilio, tenant):
    numbers, agent = [new_number(), new_number()], tenant.agent()
    provider = link(tenant, twilio.account(*numbers))
    key = {"idempotency-key": secrets.token_hex(8)}
    body = import_body(provider, numbers[0], agent_id=agent["id"])
    first = tenant.cartesia.post(NUMBERS, json=body, headers=key)
    again = tenant.cartesia.post(NUMBERS, json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201) and first.json()["id"] == again.json()["id"]
    key = {"idempotency-key": secrets.token_hex(8)}
    twilio.behave("numbers.attach", status=400)
    body = import_body(provider, numbers[1])
    first = tenant.cartesia.post(NUMBERS, json=body, headers=key)
    assert [first.status_code, tenant.cartesia.post(NUMBERS, json=body, headers=key).status_code] == [400, 400]


@pytest.mark.parametrize("operation", ["trunks.create", "origination_urls.create", "numbers.attach"])
def test_a_death_between_carrier_and_commit_loses_nothing(twilio, alone, operation):
    tenant = alone.tenant()
    number, agent = new_number(), tenant.agent()
    account = twilio.account(number)
    provider = link(tenant, account)
    key = {"idempotency-key": secrets.token_hex(8)}
    body = import_body(provider, number, agent_id=agent["id"])
    # Done after a second there, and said after two.
    twilio.behave(operation, delay_ms=2_000, times=1)
    before = twilio.requests(operation)

    def ask():
        with pytest.raises(httpx.TransportError):
            alone.api(tenant.cartesia.headers).post(NUMBERS, json=body, headers=key)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(lambda: twilio.requests(operation) > before, "the carrier is asked")
    time.sleep(1.3)
    alone.kill()
    asking.join()
    alone.start()
    wait_for(lambda: native(tenant, number)["status"] == "active", "the next process takes it up", 15)
    made = ok(tenant.cartesia.post(NUMBERS, json=body, headers=key), 201)
    assert made["agent"]["id"] == agent["id"] and made["number"] == number
    assert len(ok(tenant.cartesia.get(NUMBERS), 200)["data"]) == 1
    books = twilio.books(account)
    assert len(books["trunks"]) == 1 and len(books["trunks"][0]["sip_urls"]) == 1
    assert twilio.trunk_of(account, number)


def test_a_death_in_a_move_and_in_a_deletion_loses_nothing(twilio, alone):
    tenant = alone.tenant()
    number = new_number()
    one, two = twilio.account(number), twilio.account(number)
    first, second = link(tenant, one), link(tenant, two)
    made = bring(tenant, first, number)
    path = f"{NUMBERS}/{made['id']}"
    twilio.behave("numbers.attach", delay_ms=2_000, times=1)
    before = twilio.requests("numbers.attach")

    def move():
        with pytest.raises(httpx.TransportError):
            alone.api(tenant.cartesia.headers).patch(path, json={"provider": {"id": second["id"]}})

    moving = threading.Thread(target=move)
    moving.start()
    wait_for(lambda: twilio.requests("numbers.attach") > before, "the carrier is asked")
    alone.kill()
    moving.join()
    alone.start()
    wait_for(lambda: native(tenant, number)["provider_id"] == second["id"], "the number has moved", 15)
    assert twilio.trunk_of(two, number) and native(tenant, number)["status"] == "active"
    twilio.behave("numbers.detach", delay_ms=2_000, times=1)
    before = twilio.requests("numbers.detach")
    ok(tenant.cartesia.delete(path), 204)
    wait_for(lambda: twilio.requests("numbers.detach") > before, "the carrier is asked")
    alone.kill()
    alone.start()
    wait_for(lambda: twilio.trunk_of(two, number) is None, "it is detached")
    assert tenant.native.get(f"/api/v1/numbers/{number}").status_code == 404


def test_secrets_are_in_no_log_and_no_store(twilio, alone):
    tenant = alone.tenant()
    number = new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    told = f"{number} of {account['account_sid']} and {account['api_key_sid']} is busy"
    twilio.behave("numbers.attach", status=400, message=told, times=1)
    tenant.cartesia.post(NUMBERS, json=import_body(provider, number))
    twilio.behave("all", status=503, message=told)
    body = {"type": "twilio", "api_key_sid": sid("SK"), "api_key_secret": "another-very-secret-secret"}
    tenant.cartesia.patch(f"{PROVIDERS}/{provider['id']}", json=body)
    alone.stop()
    everything = b"".join(path.read_bytes() for path in alone.folder.rglob("*") if path.is_file()) + alone.store.contents()
    for secret in [account["api_key_secret"], body["api_key_secret"]]:
        assert not tells(everything, secret)
    log = alone.log.read_text()
    assert "work in an account" in log and "is busy" in log
    assert account["account_sid"] not in log and account["api_key_sid"] not in log and number not in log
    assert alone.store.sql(f"SELECT count(*) FROM providers WHERE account_id = '{account['account_sid']}'") == [("1",)]


# Calls


def test_calls_of_the_carrier_reach_the_numbers_of_each_account(twilio, server):
    first, second = server.tenant("one"), server.tenant("two")
    with Agent() as one, Agent() as two, Caller(server.sip, CARRIER) as carrier, Caller(server.sip, STRANGER) as other:
        numbers = {}
        for tenant, agent in ((first, one), (second, two)):
            number = new_number()
            who = tenant.agent()
            tenant.endpoint(agent.uri, agent=who)
            bring(tenant, link(tenant, twilio.account(number)), number, agent_id=who["id"])
            numbers[number] = agent
        server.operator_trunk(STRANGER)
        second.trunk(STRANGER)
        for number, agent in numbers.items():
            call = carrier.invite(number)
            assert call.final().status == 200
            call.ack()
            assert agent.got("INVITE")
            call.bye()
            assert other.invite(number).final().status == 404, "no other trunk reaches it"
        # The carrier's address alone opens nothing else.
        managed = first.number(endpoint_id=first.endpoint(one.uri)["id"])
        taken = {"name": "e", "kind": "sip", "targets": [], "source_addresses": [CARRIER]}
        assert first.admin.post("/api/v1/endpoints", json=taken).status_code == 409, "an address is a carrier's or an endpoint's"
        assert carrier.invite(managed["e164"]).final().status == 404
        assert carrier.invite(new_number()).final().status == 404
        assert carrier.options().status == 200
    number = next(iter(numbers))
    row = first.call_with(number, "completed")
    assert row["number"] == number
    shown = ok(first.cartesia.get("/agents/calls", params={"agent_id": native(first, number)["agent_id"]}, headers=NEWER), 200)
    assert shown["data"][0]["telephony_account_type"] == "twilio"
    explained = ok(first.admin.get(f"/api/v1/numbers/{number}/explain", params={"from": CARRIER}), 200)
    assert explained["outcome"] == "route"
    explained = ok(first.admin.get(f"/api/v1/numbers/{number}/explain", params={"from": STRANGER}), 200)
    assert explained["outcome"] == "refuse"
    assert first.explain({"e164": number})["outcome"] == "route"


def test_a_number_that_is_not_attached_yet_takes_no_call(twilio, server):
    tenant = server.tenant()
    number = new_number()
    provider = link(tenant, twilio.account(number))
    twilio.behave("numbers.attach", status=400)
    refused(tenant.cartesia.post(NUMBERS, json=import_body(provider, number)), 400)
    with Caller(server.sip, CARRIER) as carrier:
        assert carrier.invite(number).final().status == 480


def test_where_nobody_has_an_account_the_carrier_is_a_stranger(alone):
    dialled = new_number()
    with Caller(alone.sip, CARRIER) as carrier:
        carrier.invite(dialled)
        # A stranger hears nothing; the operator finds it.
        assert carrier.receive(1) is None
    rows = lambda: ok(alone.admin.get("/api/v1/calls"), 200)["data"]  # noqa: E731
    wait_for(lambda: [row["sip_status"] for row in rows() if row["to"] == dialled] == [403], "the operator finds it")


def test_the_whole_journey_runs_in_one_binary(tmp_path):
    """`--sim` alone: the simulated Twilio is where the service looks for it, and the simulated network stands for it."""
    server = Server(tmp_path, arguments=["--sim"]).start()
    try:
        tenant, number = server.tenant(), new_number()
        own = Twilio(server)
        account = own.account(number)
        echo = ok(server.admin.get("/sim"), 200)["agents"]["echo"]
        agent = tenant.agent()
        tenant.endpoint(echo, agent=agent)
        bring(tenant, link(tenant, account), number, agent_id=agent["id"])
        call = ok(server.admin.post("/sim/calls", json={"to": number}), 202)
        tenant.call_with(number, "completed")
        assert call["id"]
        server.kill()
        server.start()
        assert own.trunk_of(account, number), "the simulated Twilio remembers"
    finally:
        server.stop()
