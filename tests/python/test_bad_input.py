"""What nobody should send: a clear error in the caller's own dialect, silence on the wire, nothing half done, the server up."""

import random
import socket
import threading
import time

import contract
import pytest
from harness import free_port, new_number, ok
from sip import SDP, Agent, Caller
from stores import tells

PROBLEM = "application/problem+json"
BAD_JSON = [b"", b"{", b"[1,2", b"\xff\xfe{}", b'{"a":1}}', b"null", b"[]", b'"text"', b"12", b"{" * 5_000]
BAD_NUMBERS = ["", "+", "hello", "+1", "+999123456789", "123", "+1415555", "+1415555012345678", "+1 415 555 CALL", "+１４１５５５５０１００",
               "+14155550100\u0000", "sip:+14155550100@x", "' OR 1=1 --"]  # fmt: skip
BAD_IDS = ["0", "not-a-uuid", "-1", "%00", "..%2f..", "%ff", "x" * 5_000, "0190b5b0-1111-7222-8333-44445555666", "'; DROP TABLE numbers;--"]
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def the_server_stays_up(server):
    yield
    server.assert_up()


def problem(response, *statuses):
    """A problem document of RFC 9457."""
    assert response.status_code in statuses, f"{response.status_code}, not {statuses}: {response.text[:300]}"
    assert response.headers["content-type"].split(";")[0] == PROBLEM, response.headers["content-type"]
    body = response.json()
    assert body["title"] and body["type"] and body["status"] == response.status_code, body
    return body


# --- Bodies ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", BAD_JSON, ids=[repr(b[:12]) for b in BAD_JSON])
def test_a_body_that_is_no_object_is_refused(tenant, body):
    before = len(tenant.pages("/api/v1/agents"))
    problem(tenant.native.post("/api/v1/agents", content=body, headers=JSON), 400, 422)
    answer = tenant.krosai.post("/v1/phone-numbers", content=body, headers=JSON)
    contract.check("krosai", "post", "/phone-numbers", answer, 400)
    assert len(tenant.pages("/api/v1/agents")) == before


def test_an_oversize_body_is_413(tenant):
    huge = b'{"name": "' + b"x" * (64 << 20) + b'"}'
    assert tenant.krosai.post("/v1/phone-numbers", content=huge, headers=JSON).status_code == 413
    assert tenant.native.post("/api/v1/agents", content=huge, headers=JSON).status_code == 413


def test_an_oversize_body_without_a_length_is_413(tenant):
    def endless():
        for _ in range(64):
            yield b"x" * (1 << 20)

    assert tenant.native.post("/api/v1/agents", content=endless(), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("agents", {"name": 7}), ("agents", {"name": ""}), ("agents", {"name": None}), ("agents", {}), ("agents", {"name": "x" * 10_000}),
        ("endpoints", {"name": "e", "kind": "pigeon", "targets": []}),
        ("endpoints", {"name": "e", "kind": "sip", "targets": "sip:a@b"}),
        ("endpoints", {"name": "e", "kind": "sip", "environment": "moon", "targets": []}),
        ("endpoints", {"name": "e", "kind": "sip", "targets": [{"uri": "http://127.0.0.1", "priority": 1, "weight": 1}]}),
        ("endpoints", {"name": "e", "kind": "sip", "targets": [{"uri": "sip:a b@c\r\nX: y", "priority": 1, "weight": 1}]}),
        ("endpoints", {"name": "e", "kind": "sip", "targets": [{"uri": "sip:127.0.0.1", "priority": -1, "weight": 1}]}),
        ("endpoints", {"name": "e", "kind": "sip", "agent_id": "agent_nobody", "targets": []}),
        ("providers", {"kind": "pigeon", "label": "p"}),
        ("providers", {"kind": "sip_trunk", "label": "p", "inbound": {"allowed_addresses": ["not an address"]}}),
        ("providers", {"kind": "sip_trunk", "label": "p", "inbound": {"allowed_addresses": ["127.0.0.1/99"]}}),
        ("providers", {"kind": "sip_trunk", "label": "p", "inbound": {"allowed_addresses": "127.0.0.1"}}),
        ("numbers", {}), ("numbers", {"stock_id": "not-a-uuid"}), ("numbers", {"stock_id": 5}), ("numbers", {"e164": "+14155550100"}),
    ],
)  # fmt: skip
def test_the_native_api_refuses_wrong_values(tenant, path, body):
    before = len(tenant.pages(f"/api/v1/{path}"))
    problem(tenant.native.post(f"/api/v1/{path}", json=body), 400, 404, 422)
    assert len(tenant.pages(f"/api/v1/{path}")) == before


@pytest.mark.parametrize("body", [{"kyc": "trusted"}, {"number_slots": -1}, {"number_slots": "many"}, {"settings": []}, {"name": 3},
                                  {"settings": {"quarantine_days": -1}}, {"settings": {"imports": "maybe"}}])  # fmt: skip
def test_an_organization_refuses_wrong_values(tenant, body):
    path = f"/api/v1/organizations/{tenant.id}"
    before = ok(tenant.server.admin.get(path), 200)
    problem(tenant.server.admin.patch(path, json=body), 400, 422)
    assert ok(tenant.server.admin.get(path), 200) == before


@pytest.mark.parametrize("body", [{"amount_cents": 1.5, "reason": "r"}, {"amount_cents": "5", "reason": "r"}, {"reason": "r"},
                                  {"amount_cents": 10**30, "reason": "r"}])  # fmt: skip
def test_money_is_whole_cents(tenant, body):
    before = tenant.balance()
    problem(tenant.server.admin.post(f"/api/v1/organizations/{tenant.id}/ledger", json=body), 400, 422)
    assert tenant.balance() == before


# --- Numbers, ids, cursors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", BAD_NUMBERS)
def test_what_is_no_number_is_refused_in_each_dialect(server, tenant, text):
    stock = {"e164": text, "country": "US", "type": "local", "setup_cost_cents": 0, "monthly_cost_cents": 0, "capabilities": {}}
    problem(server.admin.post("/api/v1/stock", json=stock), 400, 422)
    trunk = tenant.pages("/api/v1/providers") or [tenant.trunk("127.0.0.31")]
    problem(tenant.admin.post("/api/v1/numbers", json={"e164": text, "provider_id": trunk[0]["id"]}), 400, 422)
    request = {"e164": text, "country": "US", "type": "local"}
    contract.check("krosai", "post", "/phone-numbers", tenant.krosai.post("/v1/phone-numbers", json=request), 400)


@pytest.mark.parametrize("text", ["hello", "+1", "+999123456789", "%00", "+14155550100%00"])
def test_what_is_no_number_is_refused_in_a_path(tenant, text):
    answer = tenant.polyai.get(f"/v1/agents/{tenant.agent()['id']}/telephony/phone-numbers/{text}")
    assert answer.status_code in (400, 404) and answer.json()["error_code"].startswith("PHONE_NUMBERS_"), answer.text
    problem(tenant.native.get(f"/api/v1/numbers/{text}"), 400, 404, 422)


@pytest.mark.parametrize("name", BAD_IDS)
def test_bad_ids_are_not_found(tenant, name):
    for path in ("agents", "endpoints", "providers", "numbers", "calls"):
        problem(tenant.native.get(f"/api/v1/{path}/{name}"), 400, 404, 414, 422)
    answer = tenant.krosai.get(f"/v1/phone-numbers/{name}")
    contract.check("krosai", "get", "/phone-numbers/{id}", answer, 404)


@pytest.mark.parametrize(
    "query",
    [{"cursor": "nonsense"}, {"cursor": "%%%"}, {"cursor": "' OR 1=1 --"}, {"cursor": "x" * 4_000}, {"limit": 0}, {"limit": 1001},
     {"limit": -1}, {"limit": "ten"}, {"limit": "1e3"}],
)  # fmt: skip
def test_bad_pages_are_refused(tenant, query):
    for path in ("agents", "endpoints", "providers", "numbers", "calls", "events"):
        problem(tenant.native.get(f"/api/v1/{path}", params=query), 400, 422)


def test_native_lists_page_to_their_end(tenant):
    made = [tenant.agent(f"paged {n}")["id"] for n in range(7)]
    seen, cursor = [], None
    for _ in range(100):
        body = ok(tenant.native.get("/api/v1/agents", params={"limit": 2} | ({"cursor": cursor} if cursor else {})), 200)
        assert set(body) == {"data", "next_cursor"} and len(body["data"]) <= 2
        seen += [a["id"] for a in body["data"]]
        cursor = body["next_cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) and set(made) <= set(seen)


def test_a_wrong_method_and_an_unknown_path_have_the_dialects_shape(tenant):
    for client, path, fields in (
        (tenant.native, "/api/v1/pigeons", {"type", "title", "status"}),
        (tenant.krosai, "/v1/pigeons", {"error"}),
        (tenant.cartesia, "/agents/phone-numbers/pn_x/pigeons", {"error_code", "title", "message", "request_id"}),
        (tenant.neo, "/public-api/pigeons", {"error", "meta"}),
        (tenant.polyai, "/v1/agents/a/pigeons", {"success", "error", "error_id", "error_code", "error_message", "data"}),
    ):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 404 and fields <= set(answer.json()), f"{path}: {answer.status_code} {answer.text[:200]}"
    for client, path in ((tenant.native, "/api/v1/numbers"), (tenant.krosai, "/v1/phone-numbers"), (tenant.neo, "/public-api/phone/numbers")):
        answer = client.put(path, json={})
        assert answer.status_code in (404, 405) and answer.json(), f"{path}: {answer.status_code}"


# --- Idempotency and versions ------------------------------------------------------------------------------------------------


def test_a_repeated_native_post_gives_the_first_answer(tenant):
    headers = {"idempotency-key": "agent-1"}
    first = tenant.native.post("/api/v1/agents", json={"name": "once"}, headers=headers)
    again = tenant.native.post("/api/v1/agents", json={"name": "once"}, headers=headers)
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    problem(tenant.native.post("/api/v1/agents", json={"name": "twice"}, headers=headers), 422)
    assert [a["name"] for a in tenant.pages("/api/v1/agents")].count("once") == 1
    # Bound to the route and to the organization: elsewhere the same key is another one.
    other = tenant.native.post("/api/v1/endpoints", json={"name": "e", "kind": "sip", "environment": "live", "targets": []}, headers=headers)
    assert other.status_code == 201, other.text
    stranger = tenant.server.tenant("stranger").native.post("/api/v1/agents", json={"name": "mine"}, headers=headers)
    assert stranger.status_code == 201 and stranger.json()["id"] != first.json()["id"]


def test_a_repeated_purchase_gives_the_first_answer(server):
    buyer = server.tenant("careful", cents=1_000)
    row, headers = server.stock(setup=100, monthly=200), {"idempotency-key": "purchase-1"}
    first = buyer.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}, headers=headers)
    again = buyer.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}, headers=headers)
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    assert buyer.balance() == 700
    other = buyer.krosai.post("/v1/phone-numbers", json={"inventory_id": server.stock()["id"]}, headers=headers)
    contract.check_schema("krosai", "Error", other, 422)
    assert buyer.balance() == 700
    without = buyer.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]})
    contract.check("krosai", "post", "/phone-numbers", without, 400)


def test_a_key_shown_once_is_shown_again_only_to_a_repeat(server, tenant):
    path, body = f"/api/v1/organizations/{tenant.id}/keys", {"name": "k", "dialect": "native", "role": "viewer", "mode": "live"}
    headers = {"idempotency-key": "key-1"}
    first = ok(server.admin.post(path, json=body, headers=headers), 201)
    assert ok(server.admin.post(path, json=body, headers=headers), 201) == first
    assert not tells(server.store.contents() + server.log.read_bytes(), first["key"]), "a key's secret is neither stored nor logged in the clear"


def test_if_match_guards_a_change(tenant):
    number = tenant.number()
    path = f"/api/v1/numbers/{number['id']}"
    read = tenant.native.get(path)
    tag = read.headers["etag"]
    changed = tenant.native.patch(path, json={"label": "one"}, headers={"if-match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag
    problem(tenant.native.patch(path, json={"label": "two"}, headers={"if-match": tag}), 412)
    problem(tenant.native.delete(path, headers={"if-match": tag}), 412)
    assert tenant.read(number)["label"] == "one"
    assert tenant.native.patch(path, json={"label": "three"}).json()["label"] == "three"
    assert tenant.native.get(path).headers["etag"] == tenant.native.get(path).headers["etag"]


# --- The wire ----------------------------------------------------------------------------------------------------------------


def call_goes_through(server, tenant):
    """An ordinary call, after whatever was sent before it."""
    trunks = [p for p in tenant.pages("/api/v1/providers") if p["label"] == "loopback"]
    trunk = trunks[0] if trunks else tenant.trunk("127.0.0.1", label="loopback")
    with Agent() as agent, Caller(server.sip) as caller:
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK")
        call.bye()
        tenant.call_with(number["e164"], "completed")


def noise(seed, count):
    """Random datagrams: bytes, lines of text, and messages that were damaged on their way."""
    random_ = random.Random(seed)
    whole = (
        f"INVITE sip:{new_number()}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:a@b>\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
    ).encode()
    for at in range(count):
        if at % 3 == 0:
            yield random_.randbytes(random_.randrange(1, 1_400))
        elif at % 3 == 1:
            # Cut before the end of the header part: no request, so nobody to answer.
            yield whole[: random_.randrange(1, whole.index(b"\r\n\r\n"))]
        else:
            yield b"SIP/2.0 " + random_.randbytes(random_.randrange(1, 200)) + b"\r\n"


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"], ids=["trunk", "stranger"])
def test_ten_thousand_random_datagrams_meet_silence(server, tenant, source):
    call_goes_through(server, tenant)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, free_port(source)))
        sender.setblocking(False)
        answers = []
        for at, datagram in enumerate(noise(20_261_122, 10_000)):
            sender.sendto(datagram, server.sip)
            if at % 50 == 0:
                server.health()  # one HTTP round trip: the receive buffer is emptied meanwhile
        sender.settimeout(1)
        try:
            while True:
                answers.append(sender.recvfrom(65_535)[0])
        except TimeoutError:
            pass
    assert answers == []
    call_goes_through(server, tenant)


def test_half_written_messages_on_a_stream(server, tenant):
    whole = b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKh\r\nContent-Length: 100000\r\n\r\nhello"
    starts = [b"", b"\r\n\r\n", b"INVITE", whole[:40], whole, b"\x00" * 100, b"INVITE sip:x SIP/2.0\r\nContent-Length: -5\r\n\r\n",
              b"INVITE sip:x SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n", b"A" * 200_000]  # fmt: skip
    open_ones = []
    try:
        for start in starts * 5:
            connection = socket.create_connection(server.sip, timeout=5)
            open_ones.append(connection)
            try:
                connection.sendall(start)
            except OSError:
                pass  # the server may hang up on what cannot become a message
        call_goes_through(server, tenant)
    finally:
        for connection in open_ones:
            connection.close()
    call_goes_through(server, tenant)


def test_a_message_in_pieces_is_put_together(server, tenant):
    call_goes_through(server, tenant)
    with socket.create_connection(server.sip, timeout=5) as connection:
        mine = f"127.0.0.1:{connection.getsockname()[1]}"
        message = (
            f"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {mine};branch=z9hG4bKp\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n"
            f"To: <sip:c@d>\r\nCall-ID: pieces\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(message), 7):
            connection.sendall(message[at : at + 7])
        connection.sendall(message.replace(b"pieces", b"second"))
        received = b""
        while received.count(b"\r\n\r\n") < 2:
            part = connection.recv(65_535)
            assert part, f"the server hung up after {received!r}"
            received += part
        assert received.count(b"SIP/2.0 200") == 2 and b"pieces" in received and b"second" in received


def test_http_is_served_while_the_wire_is_flooded(server, tenant):
    stop = threading.Event()

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in noise(7, 200_000):
                if stop.is_set():
                    return
                sender.sendto(datagram, server.sip)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(50):
            assert tenant.native.get("/api/v1/numbers").status_code == 200
    finally:
        stop.set()
        thread.join()
    call_goes_through(server, tenant)


def test_a_connection_outlives_a_refused_request_with_a_body(server):
    """The 401 comes although the body does later; the connection then serves the next request."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(
                b"POST /v1/phone-numbers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer kros_live_wrong\r\n"
                b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
            )
            time.sleep(0.1)
            connection.sendall(b"{}")
            answer = b""
            while b"\r\n\r\n" not in answer or b"INVALID_API_KEY" not in answer:
                got = connection.recv(65536)
                assert got, f"the connection was closed after {answer!r}"
                answer += got
            assert answer.startswith(b"HTTP/1.1 401")
