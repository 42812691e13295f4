"""Whether targets are there, by the other ways that lead to them: connections, TLS, names of several servers."""

import socket

import pytest
import sip
from dns_kit import SRV, A
from harness import ok, wait_for, while_up
from streams_kit import StreamAgent, edge, serving

EVERY = {"enabled": True, "interval_seconds": 2}


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority, dns):
    running = edge(tmp_path_factory.mktemp("health"), authority, "TLS", arguments=["--sip-dns", dns.setting])
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def carrier(server):
    return server.tenant()


def endpoint(carrier, *uris):
    made = carrier.endpoint(*uris)
    return ok(carrier.native.patch(f"/api/v1/endpoints/{made['id']}", json={"health": EVERY}), 200)["id"]


def told(carrier, id):
    targets = ok(carrier.native.get(f"/api/v1/endpoints/{id}/health"), 200)["targets"]
    return [(target["state"], target["cause"]) for target in targets]


def become(carrier, id, *wanted):
    wait_for(lambda: told(carrier, id) == list(wanted), f"targets are {wanted}", 20)


class At(StreamAgent):
    """An agent at a place that another one had."""

    def __init__(self, place):
        self.place = place
        super().__init__("TCP")

    def _begin(self, transport, context, host, listens=True):
        super()._begin(transport, context, host, listens=False)
        self.address, self.socket = self.place, socket.create_server(self.place)


def test_a_connection_that_is_refused_is_down_and_one_that_is_taken_again_is_up(carrier):
    with StreamAgent("TCP") as agent:
        id = endpoint(carrier, agent.uri)
        become(carrier, id, ("up", "answered"))
        asked = agent.got("OPTIONS")
        assert asked[0].uri == agent.uri and "/TCP " in asked[0].get("via")
    become(carrier, id, ("down", "transport"))
    with At(agent.address):
        become(carrier, id, ("up", "answered"))


def test_a_certificate_counts_as_it_does_for_calls(carrier, dns, authority):
    with StreamAgent("TLS", serving(authority.issue("good.test"))) as good, StreamAgent("TLS", serving(authority.issue("other.test"))) as bad:
        for name in ("good.test", "bad.test"):
            dns.put(name, A, "127.0.0.1")
        id = endpoint(carrier, f"sip:good.test:{good.address[1]};transport=tls", f"sip:bad.test:{bad.address[1]};transport=tls")
        become(carrier, id, ("up", "answered"), ("down", "tls_name"))
        assert not bad.got("OPTIONS")


def test_a_name_is_up_while_one_of_its_servers_answers(carrier, dns):
    """Its servers are asked one after the other, by priority, until one answers."""
    with sip.Agent() as first, sip.Agent() as second:
        rows = [(1, 1, first.address[1], "a.two.test"), (2, 1, second.address[1], "a.two.test")]
        dns.put("_sip._udp.two.test", SRV, *rows)
        dns.put("a.two.test", A, "127.0.0.1")
        id = endpoint(carrier, "sip:two.test;transport=udp")
        become(carrier, id, ("up", "answered"))
        assert first.got("OPTIONS")[0].uri == "sip:two.test;transport=udp" and not second.got("OPTIONS")
        first.how = "silent"
        second.wait("OPTIONS", 2, 15)
        assert told(carrier, id) == [("up", "answered")]
