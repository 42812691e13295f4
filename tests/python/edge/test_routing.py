"""Where a call goes: rules by caller and time, splits, fallbacks by cause, limits. Each is said over HTTP and seen at real agents."""

import time

import pytest
from calls_kit import NOBODY, caller, carrier, line, up  # noqa: F401
from harness import Server, ok, wait_for
from sip import Agent, Caller


def endpoint(carrier, agent, **rules):
    made = carrier.endpoint(agent.uri if isinstance(agent, Agent) else agent)
    return ok(carrier.native.patch(f"/api/v1/endpoints/{made['id']}", json=rules), 200) if rules else made


def number(carrier, *agents, endpoint_id=None, **rules):
    """A number on an endpoint of these agents, with rules."""
    if endpoint_id is None:
        endpoint_id = carrier.endpoint(*[agent.uri for agent in agents])["id"]
    made = carrier.number(trunk=carrier.its_trunk, endpoint_id=endpoint_id)
    return ok(carrier.native.patch(f"/api/v1/numbers/{made['id']}", json=rules), 200) if rules else made


def refused(carrier, path, body, field, status=422):
    problem = carrier.native.patch(path, json=body)
    assert problem.status_code == status, problem.text
    assert problem.json().get("field") == field, problem.text
    return problem.json()


def explain(carrier, number, **about):
    return ok(carrier.native.get(f"/api/v1/numbers/{number['id']}/explain", params=about), 200)


def goes(caller, number, agent, from_user="+12125550100"):
    """A call that this agent answers."""
    before = len(agent.got("INVITE"))
    call = caller.invite(number["e164"], from_user=from_user)
    assert call.final().status == 200
    assert len(agent.got("INVITE")) == before + 1
    call.bye()
    return call


def status(caller, number, from_user="+12125550100", seconds=8):
    return caller.invite(number["e164"], from_user=from_user).final(seconds).status


# --- Fallbacks, each cause -----------------------------------------------------------------------------------------------------

CAUSES = [
    (486, "busy"), (600, "busy"), (603, "declined"), (404, "not_found"), (480, "no_answer"), (403, "refused"), (488, "refused"),
    (503, "failed"), (500, "failed"), ("silent", "failed"),
]  # fmt: skip


@pytest.mark.parametrize("how, cause", CAUSES)
def test_a_fallback_is_taken_on_its_cause_and_on_no_other(carrier, caller, how, cause):
    with Agent(how) as first, Agent() as second:
        to = {"endpoint_id": endpoint(carrier, second)["id"]}
        others = [c for c in ("busy", "declined", "not_found", "no_answer", "refused", "failed", "too_late") if c != cause]
        one = number(carrier, first, fallback=[{"on": [cause], "to": to}])
        goes(caller, one, second)
        record = carrier.call_with(one["e164"], "completed")
        assert [a["target"].split("@")[1] for a in record["attempts"]] == [f"127.0.0.1:{p.address[1]}" for p in (first, second)]
        if how == "silent":
            return
        other = number(carrier, first, fallback=[{"on": others, "to": to}])
        # A target's 503 is about the target, not about us (RFC 3261 section 16.7).
        assert status(caller, other) == (500 if how == 503 else how)
        assert len(second.got("INVITE")) == 1


def test_an_agent_that_is_not_there_is_a_failure(carrier, caller):
    """The system says at once that nobody listens on a TCP port."""
    with Agent() as second:
        steps = [{"on": ["failed"], "to": {"endpoint_id": endpoint(carrier, second)["id"]}}]
        gone = carrier.endpoint("sip:nobody.invalid:5060")["id"]
        goes(caller, number(carrier, endpoint_id=gone, fallback=steps), second)


def test_an_agent_that_is_too_late_is_cancelled_and_the_next_one_asked(carrier, caller):
    with Agent("ring") as slow, Agent() as second:
        first = endpoint(carrier, slow, answer_seconds=1)
        one = number(carrier, endpoint_id=first["id"],
                     fallback=[{"on": ["too_late"], "to": {"endpoint_id": endpoint(carrier, second)["id"]}}])  # fmt: skip
        began = time.monotonic()
        goes(caller, one, second)
        assert 0.9 < time.monotonic() - began < 4
        slow.wait("CANCEL")
        record = carrier.call_with(one["e164"], "completed")
        assert [a["cause"] for a in record["attempts"]] == ["too_late", "answered"]
        # Without a place to go on to, the caller hears that nobody answered in time.
        alone = number(carrier, endpoint_id=first["id"])
        assert status(caller, alone) == 480
        record = carrier.call_with(alone["e164"], "no_answer")
        assert [a["cause"] for a in record["attempts"]] == ["too_late"]


def test_too_late_moves_to_the_endpoints_next_target_first(carrier, caller):
    with Agent("ring") as slow, Agent() as second:
        targets = [{"uri": slow.uri, "priority": 1}, {"uri": second.uri, "priority": 2}]
        first = endpoint(carrier, slow, answer_seconds=1, targets=targets)
        goes(caller, number(carrier, endpoint_id=first["id"]), second)


def test_a_chain_of_three_and_an_answer_at_its_end(carrier, caller):
    with Agent("busy") as one, Agent(480) as two, Agent(503) as three, Agent() as four:
        ids = [endpoint(carrier, a)["id"] for a in (two, three, four)]
        steps = [
            {"on": ["busy"], "to": {"endpoint_id": ids[0]}},
            {"on": ["no_answer"], "to": {"endpoint_id": ids[1]}},
            {"on": ["failed"], "to": {"endpoint_id": ids[2]}},
        ]
        line_ = number(carrier, one, fallback=steps)
        goes(caller, line_, four)
        record = carrier.call_with(line_["e164"], "completed")
        assert [a["sip_status"] for a in record["attempts"]] == [486, 480, 503, 200]
        told = explain(carrier, line_)
        assert [leg["endpoint_id"] for leg in told["legs"]][1:] == ids
        assert told["legs"][0]["exits"] == [
            {"on": ["busy"], "leg": 1, "sip_status": None}, {"on": ["no_answer"], "leg": 2, "sip_status": None},
            {"on": ["failed"], "leg": 3, "sip_status": None},
        ]  # fmt: skip
        steps[2]["to"] = {"refuse": 486}
        carrier.native.patch(f"/api/v1/numbers/{line_['id']}", json={"fallback": steps})
        assert status(caller, line_) == 486


def test_fallbacks_before_anything_is_tried(carrier, caller):
    with Agent() as second:
        to = {"endpoint_id": endpoint(carrier, second)["id"]}
        off = endpoint(carrier, second, status="inactive")["id"]
        hook = ok(carrier.native.post("/api/v1/endpoints", json={"name": "h", "kind": "webhook", "url": "https://e.com/x"}), 201)
        empty = ok(carrier.native.post("/api/v1/endpoints", json={"name": "none"}), 201)["id"]
        for place, cause in ((off, "endpoint_inactive"), (hook["id"], "endpoint_not_sip"), (empty, "no_target")):
            one = number(carrier, endpoint_id=place, fallback=[{"on": [cause], "to": to}])
            told = explain(carrier, one)
            taken = [step["passed"] for step in told["steps"] if step["rule"] == "a fallback is there for it"]
            assert told["outcome"] == "route" and taken == [True], told["steps"]
            goes(caller, one, second)
            one = number(carrier, endpoint_id=place, fallback=[{"on": ["busy"], "to": to}])
            assert status(caller, one) == 480 == explain(carrier, one)["sip_status"]
        bare = carrier.number(trunk=carrier.its_trunk)
        carrier.native.patch(f"/api/v1/numbers/{bare['id']}", json={"fallback": [{"on": ["no_endpoint"], "to": {"refuse": 404}}]})
        assert status(caller, bare) == 404 == explain(carrier, bare)["sip_status"]


def test_endpoints_have_fallbacks_of_their_own_and_numbers_stand_for_their_endpoints(carrier, caller):
    with Agent("busy") as one, Agent() as two, Agent() as three:
        other = number(carrier, three)
        first = endpoint(carrier, one, fallback=[{"on": ["busy"], "to": {"e164": other["e164"]}}])
        both = number(carrier, endpoint_id=first["id"],
                      fallback=[{"on": ["busy"], "to": {"endpoint_id": endpoint(carrier, two)["id"]}}])  # fmt: skip
        goes(caller, both, three)
        assert not two.got("INVITE")
        # The other number moves: the next call follows.
        carrier.native.patch(f"/api/v1/numbers/{other['id']}", json={"endpoint_id": endpoint(carrier, two)["id"]})
        goes(caller, both, two)


def test_circles_are_refused_when_written_and_cut_when_they_come_about(carrier, caller):
    with Agent("busy") as one, Agent("busy") as two:
        a, b = endpoint(carrier, one)["id"], endpoint(carrier, two)["id"]
        path = "/api/v1/endpoints/"
        to = lambda id: {"fallback": [{"on": ["busy"], "to": {"endpoint_id": id}}]}  # noqa: E731
        ok(carrier.native.patch(path + a, json=to(b)), 200)
        assert "circle" in refused(carrier, path + b, to(a), "fallback")["detail"]
        assert "circle" in refused(carrier, path + a, to(a), "fallback")["detail"]
        line_ = number(carrier, endpoint_id=a)
        own = {"fallback": [{"on": ["busy"], "to": {"e164": line_["e164"]}}]}
        assert "circle" in refused(carrier, f"/api/v1/numbers/{line_['id']}", own, "fallback")["detail"]
        # Through a number, whose endpoint moves afterwards, a circle comes about.
        third = number(carrier, endpoint_id=endpoint(carrier, one)["id"])
        ok(carrier.native.patch(path + b, json={"fallback": [{"on": ["busy"], "to": {"e164": third["e164"]}}]}), 200)
        carrier.native.patch(f"/api/v1/numbers/{third['id']}", json={"endpoint_id": a})
        told = explain(carrier, line_)
        assert {"rule": "no fallback leads back", "passed": False} in told["steps"] and len(told["legs"]) == 2
        assert status(caller, line_) == 486
        assert (len(one.got("INVITE")), len(two.got("INVITE"))) == (1, 1)


def test_failover_within_an_endpoint_is_the_endpoints_to_say(carrier, caller):
    with Agent("busy") as one, Agent() as two:
        targets = [{"uri": one.uri, "priority": 1}, {"uri": two.uri, "priority": 2}]
        place = endpoint(carrier, one, targets=targets)
        line_ = number(carrier, endpoint_id=place["id"])
        assert place["failover"] is None and status(caller, line_) == 486
        path = f"/api/v1/endpoints/{place['id']}"
        ok(carrier.native.patch(path, json={"failover": {"on": ["busy", "failed"]}}), 200)
        goes(caller, line_, two)
        one.how = 480
        assert status(caller, line_) == 480, "what is not named does not move on"
        one.how = 603
        for never in ("declined", "not_found", "closed"):
            refused(carrier, path, {"failover": {"on": [never]}}, "failover")
        assert status(caller, line_) == 603
        ok(carrier.native.patch(path, json={"failover": None}), 200)
        one.how = 480
        goes(caller, line_, two)


# --- Who calls, when, and in which part ------------------------------------------------------------------------------------------


def test_rules_by_caller(carrier, caller):
    with Agent() as desk, Agent() as vip:
        rules = [
            {"from": "+12125550111", "action": "allow"},
            {"from": "+1212555*", "action": "refuse", "status": 486},
            {"from": "+4420*", "action": "endpoint", "endpoint_id": endpoint(carrier, vip)["id"]},
            {"from": "anonymous", "action": "refuse"},
        ]
        one = number(carrier, desk, caller_rules=rules)
        assert one["caller_rules"][3]["status"] == 603
        goes(caller, one, desk, "+12125550111")
        assert status(caller, one, "+12125550112") == 486
        goes(caller, one, vip, "+442079460000")
        goes(caller, one, desk, "+493012345678")
        for nobody in ("anonymous", "Restricted"):
            assert status(caller, one, nobody) == 603
        assert explain(carrier, one, caller="+12125550112")["sip_status"] == 486
        told = explain(carrier, one, caller="+442079460000")
        assert {"rule": "a rule for this caller names the place", "passed": True, "detail": "caller_rules[2]"} in told["steps"]
        assert told["targets"] == [f"sip:{one['e164']}@127.0.0.1:{vip.address[1]}"]
        record = carrier.call_with(one["e164"], "refused")
        assert record["sip_status"] == 603 and "caller_rules" in record["reason"]
        everybody = {"caller_rules": [{"from": "all", "action": "refuse", "status": 404}]}
        ok(carrier.native.patch(f"/api/v1/numbers/{one['id']}", json=everybody), 200)
        assert status(caller, one, "+442079460000") == 404
        ok(carrier.native.patch(f"/api/v1/numbers/{one['id']}", json={"caller_rules": None}), 200)
        goes(caller, one, desk, "anonymous")


WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def test_a_schedule_with_holidays_and_both_changes_of_the_clock(carrier, caller):
    with Agent() as day, Agent() as night:
        schedule = {
            "time_zone": "America/New_York",
            "windows": [{"days": WEEK, "from": "09:00", "to": "17:00"}],
            "dates": [{"date": "2026-12-25"}, {"date": "2026-12-24", "windows": [{"from": "09:00", "to": "12:00"}]}],
        }
        fallback = [{"on": ["closed"], "to": {"endpoint_id": endpoint(carrier, night)["id"]}}]
        one = number(carrier, day, schedule=schedule, fallback=fallback)
        place = lambda at: explain(carrier, one, at=at)["targets"][0].rsplit(":", 1)[1]  # noqa: E731
        opened, closed = str(day.address[1]), str(night.address[1])
        for at, wanted in [
            ("2026-03-07T14:00:00Z", opened), ("2026-03-07T13:59:59Z", closed),  # winter: nine is 14:00 UTC
            ("2026-03-08T13:00:00Z", opened), ("2026-03-08T12:59:59Z", closed),  # summer from this Sunday on
            ("2026-10-31T13:00:00Z", opened), ("2026-11-01T13:30:00Z", closed), ("2026-11-01T14:00:00Z", opened),
            ("2026-12-24T16:59:59Z", opened), ("2026-12-24T17:00:00Z", closed), ("2026-12-25T16:00:00Z", closed),
            ("2026-12-26T16:00:00-05:00", opened),
        ]:  # fmt: skip
            assert place(at) == wanted, at
        told = explain(carrier, one, at="2026-12-25T16:00:00Z")
        assert {"rule": "the number is open at this time", "passed": False} in told["steps"]
        ok(carrier.native.patch(f"/api/v1/numbers/{one['id']}", json={"fallback": None}), 200)
        told = explain(carrier, one, at="2026-12-25T16:00:00Z")
        assert (told["outcome"], told["sip_status"]) == ("refuse", 480) and "closed" in told["reason"]
        assert carrier.native.get(f"/api/v1/numbers/{one['id']}/explain", params={"at": "soon"}).status_code == 422


def test_the_clock_of_a_simulation_opens_and_closes_a_line(tmp_path):
    """The wall clock is moved over the end of summer time; calls follow it, and so does `explain` without `at`."""
    server = Server(tmp_path, arguments=["--sim"]).start()
    try:
        tenant = server.tenant("clock")
        tenant.settings(imports="open")
        tenant.its_trunk = tenant.trunk("127.0.0.1")
        with Agent() as desk, Caller(server.sip) as party:
            windows = [{"days": WEEK, "from": "09:00", "to": "17:00"}]
            one = number(tenant, desk, schedule={"time_zone": "Europe/Berlin", "windows": windows})
            year = int(ok(server.admin.get("/sim/clock"), 200)["now"][:4]) + 1
            # The last Sunday of March: clocks go forward at 01:00 UTC.
            sunday = next(day for day in range(31, 24, -1) if time.gmtime(time.mktime((year, 3, day, 12, 0, 0, 0, 0, 0))).tm_wday == 6)
            for at, wanted in [
                (f"{year}-03-{sunday - 1:02}T07:59:00Z", 480), (f"{year}-03-{sunday - 1:02}T08:01:00Z", 200),
                (f"{year}-03-{sunday:02}T06:59:00Z", 480), (f"{year}-03-{sunday:02}T07:01:00Z", 200),
                (f"{year}-03-{sunday:02}T14:59:30Z", 200), (f"{year}-03-{sunday:02}T15:00:30Z", 480),
            ]:  # fmt: skip
                ok(server.admin.post("/sim/clock", json={"now": at}))
                call = party.invite(one["e164"])
                assert call.final().status == wanted, at
                if wanted == 200:
                    call.bye()
                assert explain(tenant, one)["sip_status"] == wanted
    finally:
        assert server.stop() == 0


def test_an_organizations_schedule_is_for_numbers_without_one(carrier, caller):
    with Agent() as desk:
        plain, own = number(carrier, desk), number(carrier, desk, schedule={"time_zone": "UTC", "windows": [
            {"days": WEEK, "from": "00:00", "to": "24:00"}]})  # fmt: skip
        carrier.settings(schedule={"time_zone": "UTC", "windows": []})
        try:
            assert status(caller, plain) == 480 == explain(carrier, plain)["sip_status"]
            goes(caller, own, desk)
        finally:
            carrier.settings(schedule=None)
        goes(caller, plain, desk)
        bad = carrier.admin.patch(f"/api/v1/organizations/{carrier.id}", json={"settings": {"schedule": {"time_zone": "Nowhere"}}})
        assert bad.status_code == 422 and "IANA" in bad.text


def test_a_split_is_kept_by_each_caller_over_a_restart(fresh):
    server = fresh.start()
    tenant = server.tenant("split")
    tenant.settings(imports="open")
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    with Agent(486) as one, Agent(603) as two:
        ids = [endpoint(tenant, a)["id"] for a in (one, two)]
        line_ = number(tenant, endpoint_id=ids[0], split=[{"endpoint_id": ids[0], "percent": 30}, {"endpoint_id": ids[1], "percent": 70}])
        callers = [f"+1212555{n:04}" for n in range(400)]
        place = {c: explain(tenant, line_, caller=c)["legs"][0]["endpoint_id"] for c in callers}
        first = sum(p == ids[0] for p in place.values())
        # 400 fixed draws by a key of this store's own: five standard deviations around 120.
        assert 74 <= first <= 166, first
        with Caller(server.sip) as party:
            wanted = {c: 486 if place[c] == ids[0] else 603 for c in callers[:12]}
            assert {c: status(party, line_, c) for c in wanted} == wanted
        server.stop()
        server.start()
        assert {c: explain(tenant, line_, caller=c)["legs"][0]["endpoint_id"] for c in callers[:60]} == {c: place[c] for c in callers[:60]}
        with Caller(server.sip) as party:
            assert {c: status(party, line_, c) for c in wanted} == wanted
            # Callers that show no number are told apart by their calls.
            assert {status(party, line_, "anonymous") for _ in range(40)} == {486, 603}
        step = next(s for s in explain(tenant, line_, caller=callers[0])["steps"] if s["rule"] == "the split names the place")
        assert step["detail"] in ("split[0]", "split[1]")


# --- Limits ----------------------------------------------------------------------------------------------------------------------


def test_limits_of_numbers_and_trunks(carrier, caller):
    with Agent() as desk:
        one, other = number(carrier, desk, max_concurrent_calls=1), number(carrier, desk)
        call, _ = up(caller, carrier, one)
        second = caller.invite(one["e164"]).final()
        assert second.status == 486 and "max_concurrent_calls" in second.get("reason")
        told = explain(carrier, one)
        assert told["sip_status"] == 486 and told["steps"][-1] == {
            "rule": "the number has room for another call", "passed": False, "detail": "1 in progress, at most 1"}  # fmt: skip
        goes(caller, other, desk)
        trunk = f"/api/v1/providers/{carrier.its_trunk['id']}"
        ok(carrier.native.patch(trunk, json={"max_concurrent_calls": 1}), 200)
        try:
            third = caller.invite(other["e164"]).final()
            assert (third.status, third.get("retry-after")) == (503, "5")
            call.bye()
            goes(caller, other, desk)
        finally:
            ok(carrier.native.patch(trunk, json={"max_concurrent_calls": None}), 200)
        goes(caller, one, desk)
        ok(carrier.native.patch(f"/api/v1/numbers/{one['id']}", json={"max_concurrent_calls": 0}), 200)
        assert status(caller, one) == 486


def test_limits_hold_over_a_kill(fresh):
    server = fresh.start()
    tenant = server.tenant("kill")
    tenant.settings(imports="open")
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    with Agent() as desk, Caller(server.sip) as party:
        one = number(tenant, desk, max_concurrent_calls=1)
        call, _ = up(party, tenant, one)
        server.kill()
        server.start()
        wait_for(lambda: status(party, one) == 486, "the call of the process that was killed counts")
        call.bye(repeats=3)
        wait_for(lambda: explain(tenant, one)["sip_status"] == 200, "its end counts too")
        goes(party, one, desk)


# --- What is written ---------------------------------------------------------------------------------------------------------------


def test_what_rules_name_is_the_tenants_own(carrier, server):
    with Agent() as desk:
        one, place = number(carrier, desk), endpoint(carrier, desk)
        other = server.tenant("other")
        theirs = other.endpoint(desk.uri)["id"]
        other.settings(imports="open")
        their_number = other.number(trunk=other.trunk("198.51.100.9"))["e164"]
        path = f"/api/v1/numbers/{one['id']}"
        for id in (theirs, NOBODY):
            window = {"days": ["mon"], "from": "09:00", "to": "17:00", "endpoint_id": id}
            for field, value in (
                ("caller_rules", [{"from": "all", "action": "endpoint", "endpoint_id": id}]),
                ("split", [{"endpoint_id": id, "percent": 100}]),
                ("fallback", [{"on": ["busy"], "to": {"endpoint_id": id}}]),
                ("schedule", {"time_zone": "UTC", "windows": [window]}),
            ):
                refused(carrier, path, {field: value}, field, 404)
            refused(carrier, f"/api/v1/endpoints/{place['id']}", {"fallback": [{"on": ["busy"], "to": {"endpoint_id": id}}]}, "fallback", 404)
        for e164 in (their_number, "+14155559999"):
            refused(carrier, path, {"fallback": [{"on": ["busy"], "to": {"e164": e164}}]}, "fallback", 404)


def test_an_endpoint_that_rules_name_stays_until_they_do_not(carrier):
    with Agent() as desk:
        named = endpoint(carrier, desk)["id"]
        one = number(carrier, desk, split=[{"endpoint_id": named, "percent": 100}])
        holder = endpoint(carrier, desk, fallback=[{"on": ["busy"], "to": {"endpoint_id": named}}])["id"]
        path = f"/api/v1/endpoints/{named}"
        assert carrier.native.delete(path).status_code == 409
        ok(carrier.native.patch(f"/api/v1/numbers/{one['id']}", json={"split": None}), 200)
        assert carrier.native.delete(path).status_code == 409
        ok(carrier.native.delete(f"/api/v1/endpoints/{holder}"), 204)
        # A number that is given back holds nothing; brought back, it has no rules that name what is gone.
        ok(carrier.native.patch(f"/api/v1/numbers/{one['id']}", json={"split": [{"endpoint_id": named, "percent": 100}]}), 200)
        ok(carrier.native.delete(f"/api/v1/numbers/{one['id']}"))
        ok(carrier.native.delete(path), 204)
        back = ok(carrier.native.post(f"/api/v1/numbers/{one['id']}/restore"))
        assert back["split"] is None


def test_rules_are_kept_changed_field_by_field_and_cleared_by_null(carrier, server):
    with Agent() as desk:
        place = endpoint(carrier, desk)["id"]
        rules = {
            "caller_rules": [{"from": "all", "action": "allow"}], "max_concurrent_calls": 3,
            "split": [{"endpoint_id": place, "percent": 100}], "fallback": [{"on": ["busy"], "to": {"refuse": 486}}],
            "schedule": {"time_zone": "UTC", "windows": [{"days": ["mon"], "from": "09:00", "to": "17:00", "endpoint_id": None}], "dates": []},
        }  # fmt: skip
        one = number(carrier, desk, **rules)
        assert {name: one[name] for name in rules} == rules
        path = f"/api/v1/numbers/{one['id']}"
        before = carrier.native.get(path)
        assert carrier.native.patch(path, json=rules).headers["etag"] == before.headers["etag"], "the same again changes nothing"
        for name in rules:
            after = ok(carrier.native.patch(path, json={name: None}), 200)
            assert after[name] is None
            rules[name] = None
            assert {name: after[name] for name in rules} == rules
        etag = carrier.native.get(path).headers["etag"]
        assert carrier.native.patch(path, json={"max_concurrent_calls": 1}, headers={"if-match": before.headers["etag"]}).status_code == 412
        assert ok(carrier.native.patch(path, json={"max_concurrent_calls": 1}, headers={"if-match": etag}), 200)["max_concurrent_calls"] == 1
