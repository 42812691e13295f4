"""Each rule of a call out: refused with its status before anything rings, told alike by `explain`, with a row that tells the rules."""

import re
import sys
import time
from pathlib import Path

import pytest
from harness import new_number, ok, wait_for

sys.path.insert(0, str(Path(__file__).parent))
from outbound_kit import CALLED, SECURE, Agent, Caller, answer_to, calling_number, credentials_of, dial, trunk_to  # noqa: E402

ABROAD = "+442071838750"


@pytest.fixture
def carrier():
    with Agent() as party:
        yield party


@pytest.fixture
def one(server, carrier):
    """A tenant of its own, with a number that may call and its credentials."""
    tenant = server.tenant("rules")
    tenant.settings(imports="open")
    tenant.its_trunk = trunk_to(tenant, carrier)
    tenant.its_number, tenant.its_login = calling_number(tenant, tenant.its_trunk)
    return tenant


def outbound(tenant, carrier, **fields):
    host, port = carrier.address
    side = {"address": f"{host}:{port}", "transport": "udp", **fields}
    ok(tenant.admin.patch(f"/api/v1/providers/{tenant.its_trunk['id']}", json={"outbound": side}), 200)


def explain(tenant, to, **query):
    return ok(tenant.admin.get(f"/api/v1/numbers/{tenant.its_number['e164']}/explain", params={"to": to, **query}), 200)


def told(record):
    return [(step["rule"], step["passed"]) for step in record["steps"]]


def check_refused(tenant, platform, carrier, status, rule, to=CALLED, retry=False, media=None, **how):
    """One call: its status, its reason, its row; and `explain` beside it."""
    before = len(carrier.got("INVITE"))
    answer = dial(platform, tenant.its_number, tenant.its_login, to, **how).final()
    assert answer.status == status, answer
    assert len(carrier.got("INVITE")) == before, "nothing rang"
    reason = re.search(r'text="([^"]+)"', answer.get("reason"))[1]
    explained = explain(tenant, to, **({"media": media} if media else {}))
    assert (explained["sip_status"], explained["reason"], explained["outcome"]) == (status, reason, "refuse")
    assert told(explained)[-1] == (rule, False) and all(passed for _, passed in told(explained)[:-1])
    number = tenant.its_number["e164"]
    row = wait_for(lambda: [c for c in tenant.calls(number)[-1:] if c["reason"] == reason], "its row")[0]
    assert (row["direction"], row["from"], row["sip_status"], row["status"]) == ("outbound", number, status, "refused")
    row = ok(tenant.admin.get(f"/api/v1/calls/{row['id']}"), 200)
    assert told(row["receipt"]) == told(explained), "the call path and explain are one"
    assert (answer.get("retry-after") is not None) == retry, answer


def check_goes(tenant, platform, to=CALLED, **how):
    assert explain(tenant, to)["outcome"] == "route"
    call = dial(platform, tenant.its_number, tenant.its_login, to, **how)
    assert call.final().status == 200
    return call


def test_a_number_calls_out_only_when_its_holder_says_so(one, platform, carrier):
    one.patch(one.its_number, allow_outbound=False)
    # While no number may call out nobody is asked: another one of the server's may.
    other = one.number(trunk=one.its_trunk)
    one.patch(other, allow_outbound=True)
    check_refused(one, platform, carrier, 403, "the number may call out")
    one.patch(one.its_number, allow_outbound=True)
    check_goes(one, platform).bye()
    one.patch(one.its_number, status="inactive")
    check_refused(one, platform, carrier, 403, "the number is active")


def test_a_trunk_without_a_way_out_takes_no_calls(one, platform, carrier):
    ok(one.admin.patch(f"/api/v1/providers/{one.its_trunk['id']}", json={"outbound": None}), 200)
    check_refused(one, platform, carrier, 403, "the number has a way out")
    outbound(one, carrier)
    check_goes(one, platform).bye()


def test_what_is_dialled_is_a_number(one, platform, carrier):
    for to in ("12", "+1415", "+999123456789", "0"):
        check_refused(one, platform, carrier, 404, "a phone number was dialled", to=to)
    # As it is dialled in the number's country.
    for to in ("2125550123", "12125550123", "212-555-0123"):
        check_goes(one, platform, to=to).bye()
    assert {m.uri.split("@")[0] for m in carrier.got("INVITE")} == {f"sip:{CALLED}"}
    one.call_with(one.its_number["e164"], "completed")
    assert one.calls(one.its_number["e164"])[-1]["to"] == CALLED


def test_emergency_numbers_go_only_where_the_trunk_carries_them(one, platform, carrier):
    for to in ("911", "112", "+1911"):
        check_refused(one, platform, carrier, 403, "the trunk carries calls for help", to=to)
    outbound(one, carrier, emergency=True)
    # Whatever the caps and the balance say.
    one.settings(outbound_number_calls_per_day=0, rate_cents_per_minute=5, max_concurrent_calls=0, outbound_countries=[])
    call = check_goes(one, platform, to="911")
    assert carrier.got("INVITE")[-1].uri.startswith("sip:911@")
    call.bye()


def test_countries_are_closed_by_default(one, platform, carrier):
    check_refused(one, platform, carrier, 403, "the organization may call this country", to=ABROAD)
    one.settings(outbound_countries=["GB"])
    check_goes(one, platform, to=ABROAD).bye()
    check_refused(one, platform, carrier, 403, "the organization may call this country")
    one.settings(outbound_countries=["*"])
    check_goes(one, platform).bye()
    # A trunk that is for one country takes no calls to others, and opens its own.
    outbound(one, carrier, destination_country="GB")
    check_refused(one, platform, carrier, 403, "the trunk is for this country")
    one.settings(outbound_countries=None)
    check_goes(one, platform, to=ABROAD).bye()
    bad = one.server.admin.patch(f"/api/v1/organizations/{one.id}", json={"settings": {"outbound_countries": ["Narnia"]}})
    assert bad.status_code == 422 or bad.status_code == 400


def test_encryption_of_sound_is_held_against_the_offer(one, platform, carrier):
    outbound(one, carrier, media_encryption="required")
    check_refused(one, platform, carrier, 488, "the trunk takes what was offered", media="plain")
    # Its keys would be read on the way: by TLS on both sides it goes (test_media_policy).
    answer = dial(platform, one.its_number, one.its_login, body=SECURE).final()
    assert answer.status == 488 and "TLS on both sides" in answer.get("reason")
    outbound(one, carrier, media_encryption="allowed")
    check_goes_with = dial(platform, one.its_number, one.its_login, body=SECURE)
    assert check_goes_with.final().status == 200
    check_goes_with.bye()
    outbound(one, carrier, media_encryption="disabled")
    check_refused(one, platform, carrier, 488, "the trunk takes what was offered", media="encrypted", body=SECURE)


def test_a_call_that_costs_needs_a_balance(server, one, platform, carrier):
    poor = server.tenant("poor", cents=0)
    poor.settings(imports="open", rate_cents_per_minute=5)
    poor.its_trunk = trunk_to(poor, carrier)
    poor.its_number, poor.its_login = calling_number(poor, poor.its_trunk)
    check_refused(poor, platform, carrier, 402, "the balance allows it")
    poor.credit(1_000)
    check_goes(poor, platform).bye()


def test_calls_at_a_time_are_limited(one, platform, carrier):
    one.settings(max_concurrent_calls=1)
    call = check_goes(one, platform)
    check_refused(one, platform, carrier, 486, "there is room for another call")
    call.bye()
    wait_for(lambda: explain(one, CALLED)["outcome"] == "route", "the call is over")
    check_goes(one, platform).bye()


def test_a_number_and_a_trunk_have_limits_of_their_own(one, platform, carrier):
    provider = f"/api/v1/providers/{one.its_trunk['id']}"
    for put, rule, status in [
        (lambda most: one.patch(one.its_number, max_concurrent_calls=most), "the number has room for another call", 486),
        (lambda most: ok(one.admin.patch(provider, json={"max_concurrent_calls": most})), "the trunk has room for another call", 503),
    ]:
        put(1)
        call = check_goes(one, platform)
        check_refused(one, platform, carrier, status, rule)
        call.bye()
        wait_for(lambda: explain(one, CALLED)["outcome"] == "route", "the call is over")
        put(None)


@pytest.mark.parametrize(
    "field, rule",
    [
        ("outbound_calls_per_minute", "the number has calls left this minute"),
        ("outbound_calls_per_day", "the number has calls left today"),
    ],
)
def test_a_number_begins_as_many_calls_as_it_is_set_to(one, platform, carrier, field, rule):
    one.settings(outbound_number_calls_per_minute=5, outbound_number_calls_per_day=5)
    number, login = calling_number(one, one.its_trunk)
    one.its_number, one.its_login = one.patch(number, **{field: 1}), login
    check_goes(one, platform).bye()
    check_refused(one, platform, carrier, 503, rule, retry=True)
    # It may say less than its organization, and not more.
    one.patch(one.its_number, **{field: 9})
    one.settings(**{field.replace("outbound_", "outbound_number_"): 1})
    check_refused(one, platform, carrier, 503, rule, retry=True)
    one.settings(**{field.replace("outbound_", "outbound_number_"): None})
    check_goes(one, platform).bye()


@pytest.mark.parametrize(
    "setting, rule",
    [
        ("outbound_number_calls_per_minute", "the number has calls left this minute"),
        ("outbound_number_calls_per_day", "the number has calls left today"),
        ("outbound_calls_per_minute", "the organization has calls left this minute"),
        ("outbound_calls_per_day", "the organization has calls left today"),
    ],
)
def test_calls_that_are_begun_are_limited(one, platform, carrier, setting, rule):
    one.settings(**{setting: 2})
    other, login = calling_number(one, one.its_trunk)
    # One that nobody takes counts too.
    carrier.how = "busy"
    assert dial(platform, one.its_number, one.its_login).final().status == 486
    carrier.how = "answer"
    second = (one.its_number, one.its_login) if "number" in setting else (other, login)
    call = dial(platform, *second)
    assert call.final().status == 200
    call.bye()
    check_refused(one, platform, carrier, 503, rule, retry=True)
    # The other number is bounded by what is the organization's alone.
    status = dial(platform, other, login).final().status
    assert status == (200 if "number" in setting else 503)


def test_a_trunk_takes_so_many_calls_a_second(one, platform, carrier):
    outbound(one, carrier, calls_per_second=2)
    # Within one second, which may be the next by the time the third is placed: then once more, in another.
    for turn in range(5):
        time.sleep(1.1 if turn else 0)
        answers = [dial(platform, one.its_number, one.its_login).final() for _ in range(3)]
        if [a.status for a in answers] == [200, 200, 503]:
            assert answers[-1].get("retry-after") == "1"
            return
    raise AssertionError([a.status for a in answers])


def test_nobody_shows_anothers_number(server, one, platform, carrier):
    theirs = server.tenant("theirs")
    theirs.settings(imports="open")
    victim, _ = calling_number(theirs, trunk_to(theirs, carrier, inbound="127.0.0.98"))
    own = one.its_number["e164"]
    for shown in (victim["e164"], "+14155550199", "4155550199x", "+1(415)"):
        answer = dial(platform, shown, one.its_login).final()
        assert answer.status == 403 and "credentials" in answer.get("reason"), (shown, answer)
    wait_for(lambda: len(one.calls(own)) == 4, "a row for each")
    assert {(c["status"], c["sip_status"], c["direction"]) for c in one.calls(own)} == {("refused", 403, "outbound")}
    # From a trusted address it is the same, and the row is the tenant's whose address it is.
    one.endpoint("sip:agent@127.0.0.31:5060", source_addresses=["127.0.0.31"])
    with Caller(server.sip, host="127.0.0.31") as agent:
        answer = agent.invite(CALLED, from_user=victim["e164"]).final()
        assert answer.status == 403 and "does not hold" in answer.get("reason")
        wait_for(lambda: [c for c in one.calls() if c["from"] == victim["e164"]], "a row")
        # Nor by asserting it.
        pretending = [("P-Asserted-Identity", f"<sip:{own}@x>")]
        assert agent.invite(CALLED, from_user=victim["e164"], headers=pretending).final().status == 403
        asserted = agent.invite(CALLED, from_user="anonymous", headers=[("P-Asserted-Identity", f"<sip:{victim['e164']}@x>")])
        assert asserted.final().status == 403
    assert theirs.calls() == [] and carrier.got("INVITE") == []
    explained = explain(one, CALLED, caller=victim["e164"])
    assert (explained["sip_status"], told(explained)[-1][1]) == (403, False)
    foreign = ok(one.admin.get(f"/api/v1/numbers/{victim['e164']}/explain", params={"to": CALLED}), 200)
    nobodys = ok(one.admin.get(f"/api/v1/numbers/{new_number()}/explain", params={"to": CALLED}), 200)
    assert {k: v for k, v in foreign.items() if k != "number"} == {k: v for k, v in nobodys.items() if k != "number"}


def test_explain_knows_where_a_call_would_come_from(one, carrier):
    inbound = one.its_trunk["inbound"]["allowed_addresses"][0]
    from_trunk = explain(one, CALLED, **{"from": inbound})
    assert from_trunk["sip_status"] == 403 and told(from_trunk) == [("the address is no trunk's", False)]
    one.endpoint("sip:agent@127.0.0.32:5060", source_addresses=["127.0.0.32"])
    rules = [rule for rule, _ in told(explain(one, CALLED, **{"from": "127.0.0.32"}))]
    assert "the caller proves to know the number's password" not in rules
    by_password = explain(one, CALLED, **{"from": "192.0.2.9"})
    assert ("the caller proves to know the number's password", True) in told(by_password)
    host, port = carrier.address
    assert by_password["targets"] == [f"sip:{CALLED}@{host}:{port}"]


def test_wrong_passwords_and_old_nonces_are_asked_again(one, platform, carrier):
    number, (username, password) = one.its_number, one.its_login
    with Caller(one.server.sip, host="127.0.0.33") as stranger:
        first = stranger.invite(CALLED, from_user=number["e164"])
        challenge = first.final().all("proxy-authenticate")[0]
        seen = set()
        for login in ((username, "wrong"), ("tl000000000000", password), ("nobody", "x")):
            again = stranger.invite(CALLED, from_user=number["e164"], headers=[answer_to(challenge, first, *login)])
            answer = again.final()
            assert answer.status == 407
            values = [re.sub('nonce="[^"]+"', "", value) for value in answer.all("proxy-authenticate")]
            seen.add((answer.start, tuple(values), tuple(sorted(k.lower() for k, _ in answer.headers))))
        assert len(seen) == 1, seen
        right = [answer_to(challenge, first, username, password)]
        call = stranger.invite(CALLED, from_user=number["e164"], headers=right)
        assert call.final().status == 200
        call.bye()
        replayed = stranger.invite(CALLED, from_user=number["e164"], headers=right).final()
        assert replayed.status == 407 and all("stale=true" in v for v in replayed.all("proxy-authenticate"))
        counted = [answer_to(challenge, first, username, password, nc=2)]
        call = stranger.invite(CALLED, from_user=number["e164"], headers=counted)
        assert call.final().status == 200
        call.bye()
        # A new password counts at once, the old one no longer.
        new = credentials_of(one, number)
        counted = [answer_to(challenge, first, username, password, nc=3)]
        assert stranger.invite(CALLED, from_user=number["e164"], headers=counted).final().status == 407
        call = dial(stranger, number, new)
        assert call.final().status == 200
        call.bye()
    # Whose name it was finds out.
    wait_for(lambda: 407 in {c["sip_status"] for c in one.calls(number["e164"])}, "a row for the wrong password")
    assert password not in one.server.log.read_text()


def test_a_test_key_lets_nothing_call_out(one):
    key = one.server.api({"authorization": f"Bearer {one.key('native', mode='test')}"})
    number = one.number(trunk=one.its_trunk, environment="sandbox")
    path = f"/api/v1/numbers/{number['id']}"
    assert ok(key.patch(path, json={"label": "tried"}), 200)["label"] == "tried"
    assert key.patch(path, json={"allow_outbound": True}).status_code == 403
    assert one.read(number)["allow_outbound"] is False
    made = {"name": "e", "kind": "sip", "environment": "sandbox", "targets": [{"uri": "sip:a@127.0.0.1"}]}
    assert key.post("/api/v1/endpoints", json=made | {"source_addresses": ["127.0.0.41"]}).status_code == 403
    assert key.post("/api/v1/endpoints", json=made).status_code == 201
