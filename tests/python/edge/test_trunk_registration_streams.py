"""Trunks that register over TCP and TLS: calls come by the connection that we made, and its end is noticed."""

import pytest
from calls_kit import answering  # noqa: F401
from dns_kit import A
from harness import ok, wait_for, while_up
from registrar_kit import StreamRegistrar, final, in_state, invite, status, trunk
from sip import Message, token
from streams_kit import edge, serving


@pytest.fixture(scope="module")
def dns(dns):
    dns.put("carrier.test", A, "127.0.0.61")
    dns.put("other.test", A, "127.0.0.61")
    return dns


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority, dns):
    running = edge(tmp_path_factory.mktemp("registers"), authority, "TLS", arguments=["--sip-dns", dns.setting])
    with while_up(running):
        yield running


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_calls_come_by_the_connection_that_registered(tenant, authority, answering, transport):  # noqa: F811
    with StreamRegistrar(transport, serving(authority.issue("carrier.test"))) as registrar:
        made = trunk(tenant, f"carrier.test:{registrar.address[1]}", transport=transport.lower())
        link = registrar.registered()
        in_state(tenant, made, "registered")
        assert registrar.contact_uri.endswith(f";transport={transport.lower()}")
        number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(answering.uri)["id"])
        # The carrier calls on that connection (RFC 5626 section 5.3); the whole dialog stays on it.
        request = invite(registrar, registrar.contact_uri, number["e164"], link)
        answer = final(registrar, request)
        assert answer.status == 200
        rows = [(k, v) for k, v in request.headers if k in ("Max-Forwards", "From", "Call-ID")]
        rows += [("To", answer.get("to")), *(("Route", r) for r in reversed(answer.routes("record-route")))]
        via = ("Via", f"SIP/2.0/{transport} {registrar.host};branch={token('z9hG4bK')}")
        uri = answer.get("contact").split("<")[1].split(">")[0]
        registrar.send(Message(f"ACK {uri} SIP/2.0", [via, *rows, ("CSeq", "1 ACK")]), link)
        answering.wait("ACK")
        answering.send_bye(tenant.server.sip)
        bye = registrar.receive_until(lambda m: m.method == "BYE", 5, "the agent's BYE")
        assert registrar.peer is link
        registrar.send(bye.reply(200, "OK"), link)
        tenant.call_with(number["e164"], "completed")
        # Its end says that nobody can call any more, long before the registration would.
        link.close()
        shown = in_state(tenant, made, "failing")
        assert shown["expires_at"] is None and "broke" in shown["problem"] and shown["next_attempt_at"]
        # Whoever changes something need not wait.
        path, register = f"/api/v1/providers/{made['id']}", made["register"] | {"expires_seconds": 600}
        body = {"register": {k: register[k] for k in ("registrar", "transport", "expires_seconds")}}
        ok(tenant.native.patch(path, json=body), 200)
        registrar.registered()
        in_state(tenant, made, "registered")


def test_a_registrar_whose_certificate_is_anothers_is_not_told_anything(tenant, authority):
    with StreamRegistrar("TLS", serving(authority.issue("carrier.test"))) as registrar:
        made = trunk(tenant, f"other.test:{registrar.address[1]}", transport="tls")

        def failing():
            registrar.receive(0.1)
            return status(tenant, made)["registration"]["state"] == "failing"

        wait_for(failing, "TLS cannot be agreed")
        shown = in_state(tenant, made, "failing")
        assert "certificate" in shown["problem"] and not registrar.received
