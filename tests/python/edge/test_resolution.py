"""Where a target is (RFC 3263): NAPTR, SRV and addresses with their times, asked of a small DNS server of the test's own."""

import collections
import socket
import time

import pytest
import sip
from calls_kit import line
from dns_kit import AAAA, NAPTR, SRV, A, Dns
from harness import wait_for, while_up
from streams_kit import StreamAgent, edge, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority, dns):
    running = edge(tmp_path_factory.mktemp("dns"), authority, "TLS", arguments=["--sip-dns", dns.setting])
    with while_up(running):
        yield running


@pytest.fixture
def caller(server):
    with sip.Caller(server.sip) as party:
        yield party


def answered(caller, number, **how):
    call = caller.invite(number["e164"], **how)
    assert call.final().status == 200
    call.bye()


def test_a_name_with_a_port_is_a_host(carrier, dns, caller):
    dns.put("host.test", A, "127.0.0.1")
    with sip.Agent() as agent:
        answered(caller, line(carrier, f"sip:host.test:{agent.address[1]}"))
        assert not [kind for where, kind in dns.asked if "host.test" in where and kind in (SRV, NAPTR)]


def test_srv_gives_the_host_and_the_port_of_a_transport(carrier, dns, caller):
    with StreamAgent("TCP") as agent:
        dns.put("_sip._tcp.srv.test", SRV, (10, 5, agent.address[1], "a.srv.test"))
        dns.put("a.srv.test", A, "127.0.0.1")
        answered(caller, line(carrier, "sip:srv.test;transport=tcp"))
        assert agent.got("INVITE")[0].uri.endswith("@srv.test;transport=tcp"), "the Request-URI keeps the domain"


def test_naptr_chooses_the_transport_and_the_certificate_is_of_the_domain(carrier, dns, caller, authority):
    """TLS stands first; the host that SRV leads to has a name of its own, which counts for nothing (RFC 5922 section 4)."""
    with StreamAgent("TLS", serving(authority.issue("naptr.test"))) as agent, sip.Agent() as plain:
        dns.put("naptr.test", NAPTR, (20, 1, "SIP+D2U", "_sip._udp.naptr.test"), (10, 1, "SIPS+D2T", "_sips._tcp.elsewhere.test"))
        dns.put("_sips._tcp.elsewhere.test", SRV, (1, 1, agent.address[1], "a.elsewhere.test"))
        dns.put("_sip._udp.naptr.test", SRV, (1, 1, plain.address[1], "a.elsewhere.test"))
        dns.put("a.elsewhere.test", A, "127.0.0.1")
        number = line(carrier, "sip:naptr.test")
        answered(caller, number)
        assert len(agent.got("INVITE")) == 1 and plain.got("INVITE") == []


def test_a_certificate_of_the_host_that_srv_leads_to_is_not_the_domains(carrier, dns, caller, authority):
    with StreamAgent("TLS", serving(authority.issue("a.led.test"))) as agent:
        dns.put("_sips._tcp.led.test", SRV, (1, 1, agent.address[1], "a.led.test"))
        dns.put("a.led.test", A, "127.0.0.1")
        number = line(carrier, "sips:led.test")
        assert caller.invite(number["e164"]).final().status == 503
        assert [a["cause"] for a in carrier.call_with(number["e164"], "failed")["attempts"]] == ["tls_name"]


def test_the_next_server_is_tried_where_one_does_not_answer(carrier, dns, caller):
    """Priorities in their order; a host without an address and one that refuses are passed over."""
    with StreamAgent("TCP") as agent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        rows = [(3, 0, agent.address[1], "there.over.test"), (1, 0, 5060, "gone.over.test"), (2, 0, closed.getsockname()[1], "there.over.test")]
        dns.put("_sip._tcp.over.test", SRV, *rows)
        dns.put("there.over.test", A, "127.0.0.1")
        number = line(carrier, "sip:over.test;transport=tcp")
        answered(caller, number)
        assert [a["cause"] for a in carrier.call_with(number["e164"], "completed")["attempts"]] == ["transport", "answered"]


def test_weights_spread_calls_and_one_call_stays(carrier, dns, caller):
    with sip.Agent() as heavy, sip.Agent() as light:
        dns.put("_sip._udp.weight.test", SRV, (1, 90, heavy.address[1], "a.weight.test"), (1, 10, light.address[1], "a.weight.test"))
        dns.put("a.weight.test", A, "127.0.0.1")
        number = line(carrier, "sip:weight.test;transport=udp")
        for _ in range(60):
            answered(caller, number)
        counts = collections.Counter(heavy=len(heavy.got("INVITE")), light=len(light.got("INVITE")))
        assert sum(counts.values()) == 60 and counts["heavy"] > 40 and counts["light"] > 0, counts


def test_a_large_request_goes_over_tcp_where_that_is_listed(carrier, dns, caller):
    """RFC 3261 section 18.1.1; a target that lists UDP only gets fragments."""
    with sip.Agent() as udp, StreamAgent("TCP") as tcp:
        dns.put("_sip._udp.large.test", SRV, (1, 1, udp.address[1], "a.large.test"))
        dns.put("_sip._tcp.large.test", SRV, (1, 1, tcp.address[1], "a.large.test"))
        dns.put("_sip._udp.small.test", SRV, (1, 1, udp.address[1], "a.large.test"))
        dns.put("a.large.test", A, "127.0.0.1")
        large = [("X-Padding", "x" * 200)] * 8
        answered(caller, line(carrier, "sip:large.test"))
        assert (len(udp.got("INVITE")), len(tcp.got("INVITE"))) == (1, 0)
        answered(caller, line(carrier, "sip:large.test"), headers=large)
        assert (len(udp.got("INVITE")), len(tcp.got("INVITE"))) == (1, 1)
        answered(caller, line(carrier, "sip:small.test"), headers=large)
        assert (len(udp.got("INVITE")), len(tcp.got("INVITE"))) == (2, 1)


def test_a_fresh_answer_is_used_without_asking_and_a_stale_one_when_nobody_answers(tmp_path):
    with Dns(ttl=0) as dns, sip.Agent() as agent:
        dns.put("stale.test", A, "127.0.0.1")
        server = edge(tmp_path, None, arguments=["--sip-dns", dns.setting]).start()
        try:
            tenant = server.tenant()
            tenant.its_trunk = tenant.trunk("127.0.0.1")
            number = line(tenant, f"sip:stale.test:{agent.address[1]}")
            with sip.Caller(server.sip) as caller:
                answered(caller, number)
                asked = len(dns.asked)
                for _ in range(5):
                    answered(caller, number)
                assert len(dns.asked) == asked, "an answer lasts five seconds at least, whatever it says"
                dns.silent = True
                time.sleep(5.2)
                answered(caller, number)
                assert len(dns.asked) > asked, "it was asked for again"
                asked, begun = len(dns.asked), time.monotonic()
                answered(caller, number)
                assert len(dns.asked) == asked and time.monotonic() - begun < 2.5, "and not again at once"
        finally:
            server.stop()


def test_a_name_that_is_not_there_has_its_cause(carrier, caller, dns):
    number = line(carrier, "sip:nothing.test")
    assert caller.invite(number["e164"]).final().status == 503
    assert [a["cause"] for a in carrier.call_with(number["e164"], "failed")["attempts"]] == ["name_not_found"]
    asked = len(dns.asked)
    assert caller.invite(number["e164"]).final().status == 503
    assert len(dns.asked) == asked, "what is not there is remembered too"


@pytest.mark.parametrize("transport", ["TCP", "TLS", "WS", "WSS"])
def test_ipv6_is_spoken_as_ipv4_is(tmp_path, authority, transport):
    with Dns() as dns:
        dns.put("six.test", AAAA, "::1")
        arguments = ["--sip-dns", dns.setting]
        server = edge(tmp_path, authority, transport, arguments=arguments, host="::1").start()
        try:
            tenant = server.tenant()
            tenant.its_trunk = tenant.trunk("127.0.0.1", "::1")
            context = serving(authority.issue("six.test")) if transport in ("TLS", "WSS") else None
            with StreamAgent(transport, context, host="::1", name="six.test") as agent, sip.Caller(server.sip) as caller:
                number = line(tenant, agent.uri)
                answered(caller, number)
                [invite] = agent.got("INVITE")
                assert f"SIP/2.0/{transport} [::1]:" in invite.all("via")[0]
                assert "@[::1]:" in invite.routes("record-route")[0]
                wait_for(lambda: agent.got("BYE"), "the BYE came the same way")
        finally:
            server.stop()


def test_names_that_nobody_answers_for_are_asked_for_at_once_and_not_by_every_call(tmp_path):
    with Dns() as dns, sip.Agent() as agent:
        dns.silent = True
        server = edge(tmp_path, None, arguments=["--sip-dns", dns.setting]).start()
        try:
            tenant = server.tenant()
            tenant.its_trunk = tenant.trunk("127.0.0.1")
            number = line(tenant, *[f"sip:quiet-{at}.test" for at in range(4)], agent.uri)
            with sip.Caller(server.sip) as caller:
                begun = time.monotonic()
                answered(caller, number)
                # A look-up is given up after three seconds.
                assert time.monotonic() - begun < 5.5, "one wait for all of them"
                begun = time.monotonic()
                answered(caller, number)
                assert time.monotonic() - begun < 2.5, "and none for the next call"
        finally:
            server.stop()
