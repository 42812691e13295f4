"""Whether targets are there: endpoints that have theirs asked, over UDP, with agents that stop answering and come back."""

import re
import time

from calls_kit import caller, carrier  # noqa: F401
from harness import ok, wait_for
from sip import Agent

EVERY = {"enabled": True, "interval_seconds": 2}


def endpoint(carrier, *agents, **fields):
    """An endpoint that tries these agents in this order, and has them asked."""
    targets = [{"uri": agent if isinstance(agent, str) else agent.uri, "priority": at} for at, agent in enumerate(agents)]
    made = carrier.endpoint("sip:x@127.0.0.1:9")
    return ok(carrier.native.patch(f"/api/v1/endpoints/{made['id']}", json={"targets": targets, "health": EVERY} | fields), 200)["id"]


def health(carrier, id):
    return ok(carrier.native.get(f"/api/v1/endpoints/{id}/health"), 200)


def states(carrier, id):
    return [target["state"] for target in health(carrier, id)["targets"]]


def become(carrier, id, *wanted, seconds=20):
    wait_for(lambda: states(carrier, id) == list(wanted), f"targets are {wanted}", seconds)


def explained(carrier, number):
    told = ok(carrier.native.get(f"/api/v1/numbers/{number['id']}/explain"), 200)
    step = next((s for s in told["steps"] if s["rule"] == "no target is known to be down"), None)
    return told, step and (step["passed"], step.get("detail"))


def level(carrier, state):
    text = carrier.server.anonymous.get("/metrics").text
    return int(float(re.search(rf'trunkline_targets{{state="{state}"}} (\S+)', text)[1]))


class Refusing(Agent):
    """Answers OPTIONS with a status."""

    def __init__(self, status):
        self.status = status
        super().__init__()

    def _answer(self, request, source):
        if request.method == "OPTIONS":
            return self.send(request.reply(self.status, "As told", to_tag=self.tag), source)
        super()._answer(request, source)


def test_a_target_that_stops_answering_is_tried_last_and_first_again_when_it_is_back(carrier, caller):
    with Agent() as first, Agent() as second:
        id = endpoint(carrier, first, second)
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=id)
        become(carrier, id, "up", "up")
        told = health(carrier, id)
        assert (told["enabled"], told["interval_seconds"]) == (True, 2)
        one = told["targets"][0]
        assert (one["uri"], one["cause"], one["sip_status"]) == (first.uri, "answered", 200)
        assert one["since"] <= one["checked_at"]
        asked = first.got("OPTIONS")[0]
        assert asked.uri == first.uri and "tag=" not in asked.get("to") and asked.get("accept") == "application/sdp"
        assert explained(carrier, number)[1] == (True, None)

        # It stops: two questions in a row without an answer, then calls go to the other one at once.
        first.how = "silent"
        become(carrier, id, "down", "up")
        gone = health(carrier, id)["targets"][0]
        assert (gone["cause"], gone["sip_status"]) == ("no_response", None) and gone["since"] > one["since"]
        assert level(carrier, "down") >= 1
        began = time.monotonic()
        call = caller.invite(number["e164"])
        # Whoever is asked and says nothing is left after two seconds.
        assert call.final().status == 200 and time.monotonic() - began < 2, "nobody waits for the one that is down"
        call.bye()
        assert not first.got("INVITE")
        record = carrier.call_with(number["e164"], "completed")
        assert [a["target"].split("@")[1] for a in record["attempts"]] == [second.uri[4:]]
        # Its receipt tells why, and so does what would become of the next call.
        receipt = ok(carrier.native.get(f"/api/v1/calls/{record['id']}"), 200)["receipt"]
        steps = {s["rule"]: s for s in receipt["steps"]}
        assert steps["no target is known to be down"]["detail"] == "1 of 2 down, tried last"
        told, step = explained(carrier, number)
        assert step == (False, "1 of 2 down, tried last")
        assert told["legs"][0]["health"] == ["up", "down"] and told["targets"][0].endswith(second.uri[4:])

        # It is back: two answers in a row.
        first.how = "answer"
        become(carrier, id, "up", "up")
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        assert len(first.got("INVITE")) == 1


def test_all_down_is_tried_all_the_same_or_goes_where_a_fallback_says(carrier, caller):
    with Refusing(503) as first, Agent() as other:
        id = endpoint(carrier, first)
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=id)
        become(carrier, id, "down")
        assert explained(carrier, number)[1] == (False, "all 1 down")
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        assert len(first.got("INVITE")) == 1, "what answers questions so may still take a call"
        to = endpoint(carrier, other, health=None)
        steps = {"fallback": [{"on": ["all_down"], "to": {"endpoint_id": to}}]}
        ok(carrier.native.patch(f"/api/v1/numbers/{number['id']}", json=steps), 200)
        told, step = explained(carrier, number)
        assert told["outcome"] == "route" and told["targets"][0].endswith(other.uri[4:]), told
        asked = len(first.got("INVITE"))
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        assert len(first.got("INVITE")) == asked and len(other.got("INVITE")) == 1


def test_any_answer_is_a_sign_of_life_but_one_for_somebody_absent(carrier):
    wanted = {404: "up", 407: "up", 486: "up", 500: "up", 603: "up", 408: "down", 503: "down", 504: "down"}
    agents = [Refusing(status) for status in wanted]
    try:
        id = endpoint(carrier, *agents)
        become(carrier, id, *wanted.values())
        told = [(t["sip_status"], t["cause"]) for t in health(carrier, id)["targets"]]
        assert told == [(status, "answered" if state == "up" else "unavailable") for status, state in wanted.items()]
    finally:
        for agent in agents:
            agent.close()


def test_a_place_is_asked_once_however_many_endpoints_name_it(carrier):
    with Agent() as agent:
        at = agent.uri[4:]
        ids = [endpoint(carrier, f"sip:{user}@{at}") for user in ("one", "two", "three")]
        for id in ids:
            become(carrier, id, "up")
        time.sleep(0.5)
        before = len(agent.got("OPTIONS"))
        time.sleep(4.5)
        asked = len(agent.got("OPTIONS")) - before
        assert 1 <= asked <= 3, f"every 1.8 to 2.2 s, not for each of them: {asked}"
        # One of them may go: the others still want to know. With the last one it ends.
        ok(carrier.native.patch(f"/api/v1/endpoints/{ids[0]}", json={"health": {"enabled": False}}), 200)
        ok(carrier.native.patch(f"/api/v1/endpoints/{ids[1]}", json={"status": "inactive"}), 200)
        agent.wait("OPTIONS", len(agent.got("OPTIONS")) + 1)
        assert [states(carrier, id) for id in ids] == [["unknown"], ["unknown"], ["up"]]
        assert carrier.native.delete(f"/api/v1/endpoints/{ids[2]}").status_code == 204
        time.sleep(1.2)
        asked = len(agent.got("OPTIONS"))
        time.sleep(2.5)
        assert len(agent.got("OPTIONS")) == asked, "nobody asks any more"


def test_nobody_is_asked_unless_an_endpoint_says_so(carrier):
    with Agent() as agent, Agent() as off:
        plain = endpoint(carrier, agent, health=None)
        targets = [{"uri": agent.uri, "priority": 1}, {"uri": off.uri, "priority": 2, "enabled": False}]
        ok(carrier.native.patch(f"/api/v1/endpoints/{plain}", json={"targets": targets}), 200)
        time.sleep(2.5)
        assert not agent.got("OPTIONS") and states(carrier, plain) == ["unknown", "unknown"]
        ok(carrier.native.patch(f"/api/v1/endpoints/{plain}", json={"health": EVERY}), 200)
        become(carrier, plain, "up", "unknown")
        assert not off.got("OPTIONS"), "a target that is switched off is not asked"


def test_a_name_that_is_nowhere_and_a_connection_that_is_refused_are_down_with_their_cause(carrier):
    with Agent() as agent:
        id = endpoint(carrier, "sip:nobody.invalid:5060", f"{agent.uri};transport=tls", "sip:127.0.0.1:1;transport=tcp")
        wait_for(lambda: all(t["checked_at"] for t in health(carrier, id)["targets"]), "all were asked", 20)
        name, tls, tcp = health(carrier, id)["targets"]
        assert name["cause"] == "name_not_found" and tls["cause"] == "tls_unavailable" and tcp["cause"] in ("transport", "tcp_unavailable")
        become(carrier, id, "down", "down", "down")


def test_other_organizations_are_not_shown_it(carrier, server):
    with Agent() as agent:
        id = endpoint(carrier, agent)
        assert server.tenant("other").native.get(f"/api/v1/endpoints/{id}/health").status_code == 404
        assert carrier.native.get("/api/v1/endpoints/0190b5b0-1111-7222-8333-444455556666/health").status_code == 404
