"""Calls out of an organization's own Twilio account: the way out is made with the first number that may call out, and found again."""

import re
import sys
import threading
import time
from pathlib import Path

import pytest
from dns_kit import SRV, A
from harness import Server, new_number, ok, wait_for, while_up

sys.path.insert(0, str(Path(__file__).parent))
from outbound_kit import CALLED, PLATFORM, Agent, Caller, Challenging, credentials_of, dial  # noqa: E402
from twilio import CARRIER, bring, link, native, twilio  # noqa: E402, F401  (a fixture is found by its name)


@pytest.fixture(scope="module")
def server(tmp_path_factory, twilio, dns):  # noqa: F811
    environment = {
        "TRUNKLINE_TWILIO_URL": twilio.server.url + "/sim/twilio/{region}",
        "TRUNKLINE_TWILIO_SOURCES": CARRIER,
    }
    folder = tmp_path_factory.mktemp("accounts")
    running = Server(folder, arguments=["--sip-dns", dns.setting, "--drain-seconds", "1"], environment=environment)
    with while_up(running):
        yield running


@pytest.fixture
def tenant(server):
    return server.tenant()


@pytest.fixture
def account(twilio):  # noqa: F811
    yield twilio.account(new_number(), new_number())
    twilio.forget()


def numbers_of(twilio, account):  # noqa: F811
    return [row["phone_number"] for row in twilio.books(account)["numbers"]]


def calls_out(tenant, number, status=200, **more):
    answer = tenant.admin.patch(f"/api/v1/numbers/{number}", json={"allow_outbound": True, **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def provider_of(tenant, provider):
    return ok(tenant.admin.get(f"/api/v1/providers/{provider['id']}"))


def why(tenant, number):
    """Why the number does not call out; None where it does."""
    told = ok(tenant.admin.get(f"/api/v1/numbers/{number}/explain", params={"to": CALLED}))
    return None if all(step["passed"] for step in told["steps"]) else told


def test_a_number_of_an_account_calls_out_by_it(twilio, dns, server, tenant, account):  # noqa: F811
    number, second = numbers_of(twilio, account)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    assert provider_of(tenant, provider)["outbound"] is None, "nothing is made before it is wanted"
    assert twilio.trunk_of(account, number)["domain_name"] is None
    calls_out(tenant, number)
    outbound = provider_of(tenant, provider)["outbound"]
    trunk = twilio.trunk_of(account, number)
    assert re.fullmatch(r"trunkline-[0-9a-f]{32}\.pstn\.twilio\.com", outbound["address"])
    assert (outbound["address"], outbound["from"], outbound["calls_per_second"]) == (trunk["domain_name"], "number", 30)
    [login] = trunk["credentials"]
    assert outbound["username"] == login["username"] and login["password"] not in str(provider_of(tenant, provider))
    # A second number finds it made.
    before = twilio.requests("trunks.get")
    bring(tenant, provider, second)
    calls_out(tenant, second)
    assert twilio.requests("trunks.get") == before
    with Challenging(login["username"], login["password"]) as carrier, Caller(server.sip, host=PLATFORM) as agent:
        dns.put(f"_sip._udp.{trunk['domain_name']}", SRV, (1, 1, carrier.address[1], "edge.test"))
        dns.put("edge.test", A, "127.0.0.1")
        row = {"e164": number}
        call = dial(agent, row, credentials_of(tenant, row), from_user="agent7")
        assert call.final().status == 200
        invite = carrier.got("INVITE")[-1]
        assert invite.uri == f"sip:{CALLED}@{trunk['domain_name']}" and number in invite.get("from")
        assert invite.get("p-asserted-identity").startswith(f"<sip:{number}@")
        call.bye()
        carrier.wait("BYE")
    record = tenant.call_with(number, "completed")
    assert (record["to"], record["direction"]) == (CALLED, "outbound")
    assert login["password"] not in server.log.read_text() and CALLED not in server.log.read_text()


def test_what_the_carrier_refuses_changes_nothing_and_is_tried_again(twilio, tenant, account):  # noqa: F811
    number, _ = numbers_of(twilio, account)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    twilio.behave("trunks.update", status=400, code=21248, message="That name is taken", times=1)
    problem = calls_out(tenant, number, 422)
    assert "That name is taken" in problem["detail"]
    assert native(tenant, number)["allow_outbound"] is False and provider_of(tenant, provider)["outbound"] is None
    twilio.behave("credentials.create", status=503)
    calls_out(tenant, number, 503)
    assert native(tenant, number)["allow_outbound"] is False
    twilio.forget()
    calls_out(tenant, number)
    assert len(twilio.books(account)["credential_lists"]) == 1, "what was made before was found"
    assert why(tenant, number) is None


def test_a_process_that_dies_in_between_leaves_what_the_next_finds(twilio, server, tenant, account):  # noqa: F811
    number, _ = numbers_of(twilio, account)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    twilio.behave("trunk_credential_lists.create", delay_ms=3_000, done=True)
    asked = twilio.requests("trunk_credential_lists.create")

    def ask():
        try:
            tenant.server.api(tenant.admin.headers).patch(f"/api/v1/numbers/{number}", json={"allow_outbound": True})
        except Exception:  # noqa: BLE001  (the server is killed under it)
            pass

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: twilio.requests("trunk_credential_lists.create") > asked, "Twilio is asked")
    time.sleep(0.3)
    server.kill()
    thread.join()
    server.start()
    twilio.forget()
    assert native(tenant, number)["allow_outbound"] is False
    calls_out(tenant, number)
    books = twilio.books(account)
    assert len(books["credential_lists"]) == 1 and len(twilio.trunk_of(account, number)["credentials"]) == 1


def test_a_number_that_moves_takes_its_way_out_along(twilio, tenant, account):  # noqa: F811
    number, _ = numbers_of(twilio, account)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    calls_out(tenant, number)
    other = twilio.account(number)
    second = link(tenant, other)
    ok(tenant.admin.patch(f"/api/v1/numbers/{number}", json={"provider_id": second["id"]}), 200)
    assert provider_of(tenant, second)["outbound"]["address"] == twilio.trunk_of(other, number)["domain_name"]
    assert provider_of(tenant, second)["outbound"]["address"] != provider_of(tenant, provider)["outbound"]["address"]


def test_somebodys_own_way_out_is_kept_and_without_one_it_says_so(twilio, tenant, account):  # noqa: F811
    number, _ = numbers_of(twilio, account)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    path = f"/api/v1/providers/{provider['id']}"
    own = {"address": "mine.pstn.twilio.com", "transport": "tls", "credentials": {"username": "u", "password": "p"}}
    ok(tenant.admin.patch(path, json={"outbound": own}), 200)
    asked = twilio.requests("trunks.update")
    calls_out(tenant, number)
    assert provider_of(tenant, provider)["outbound"]["address"] == "mine.pstn.twilio.com"
    assert twilio.requests("trunks.update") == asked
    assert tenant.admin.patch(path, json={"inbound": {"allowed_addresses": ["192.0.2.1"]}}).status_code == 422
    ok(tenant.admin.patch(path, json={"outbound": None}), 200)
    told = why(tenant, number)
    assert told["outcome"] == "refuse" and "Nothing lets calls out of the number's account" in told["reason"], told
    calls_out(tenant, number)
    assert provider_of(tenant, provider)["outbound"]["address"].endswith(".pstn.twilio.com")
    assert why(tenant, number) is None


def test_what_was_made_goes_with_the_provider(twilio, tenant, account):  # noqa: F811
    number, _ = numbers_of(twilio, account)
    provider = link(tenant, account)
    made = bring(tenant, provider, number)
    calls_out(tenant, number)
    assert len(twilio.books(account)["credential_lists"]) == 1
    ok(tenant.cartesia.delete(f"/agents/phone-numbers/{made['id']}"), 204)
    ok(tenant.cartesia.delete(f"/agents/phone-numbers/providers/{provider['id']}"), 204)
    wait_for(lambda: twilio.books(account)["credential_lists"] == twilio.books(account)["trunks"] == [], "all is taken down")


def test_in_a_simulation_the_simulated_people_are_called(twilio):  # noqa: F811
    tenant, number = twilio.server.tenant(), new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    calls_out(tenant, number)
    with Caller(twilio.server.sip, host=PLATFORM) as agent:
        row = {"e164": number}
        login = credentials_of(tenant, row)
        assert dial(agent, row, login, to="+12125550486").final().status == 486
        call = dial(agent, row, login)
        assert call.final().status == 200
        call.bye()
    tenant.call_with(number, "completed")
    with Agent() as agent:
        place = tenant.endpoint(agent.uri)
        tenant.patch(native(tenant, number), endpoint_id=place["id"])
        begun = ok(tenant.admin.post("/api/v1/calls", json={"from": number, "to": CALLED}), 201)
        wait_for(lambda: ok(tenant.admin.get(f"/api/v1/calls/{begun['id']}"))["status"] == "answered", "it is answered")
        ok(tenant.admin.post(f"/api/v1/calls/{begun['id']}/hangup"))
        agent.wait("BYE")
