"""Work at carriers where several nodes could do it: one does, also while others look; and who dies leaves it to the others."""

import concurrent.futures
import contextlib
import http.client
import http.server
import threading
import time
import uuid

import pytest
from harness import Server, new_number, ok, wait_for, while_up
from kills_kit import Carrier
from months_kit import move
from nodes_kit import Cluster, follows, postgres  # noqa: F401
from twilio import NUMBERS, Twilio, import_body, link


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128


class Watched:
    """The way to a simulated carrier; notes each request that goes there."""

    def __init__(self, carrier):
        self.requests, self._lock = [], threading.Lock()
        watched = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with watched._lock:
                    watched.requests.append((self.command, self.path))
                there = http.client.HTTPConnection("127.0.0.1", carrier.port, timeout=60)
                there.request(self.command, self.path, body)
                answer = there.getresponse()
                data = answer.read()
                there.close()
                with contextlib.suppress(OSError):  # who asked may have died
                    self.send_response(answer.status)
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_PUT = do_DELETE = do_POST = pass_on

            def log_message(self, *_):
                pass

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, method, e164):
        with self._lock:
            return self.requests.count((method, f"/numbers/{e164}"))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Sold:
    """Two nodes whose numbers one simulated carrier sells."""

    def __init__(self, nodes, carrier, way):
        self.nodes, self.carrier, self.way = nodes, carrier, way
        self.tenant = nodes[0].tenant()
        self.clients = [node.api(self.tenant.native.headers) for node in nodes]

    def stock(self, count):
        rows = {"country": "US", "type": "local", "count": count, "setup_cost_cents": 100, "monthly_cost_cents": 100}
        made = ok(self.nodes[0].admin.post("/sim/stock", json=rows), 201)["data"]
        for node in self.nodes[1:]:
            follows(node, self.nodes[0])
        return made

    def buy(self, at, row, key=None):
        headers = {"idempotency-key": key} if key else {}
        return self.clients[at].post("/api/v1/numbers", json={"stock_id": row["id"]}, headers=headers, timeout=40)

    def status(self, at, e164):
        return ok(self.clients[at].get(f"/api/v1/numbers/{e164}"), 200)["status"]

    def check(self):
        checked = self.nodes[0].doctor()
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture
def sold(tmp_path, postgres):  # noqa: F811
    carrier = Carrier(tmp_path)
    way = Watched(carrier)
    cluster = Cluster(tmp_path, postgres, arguments=["--sim", "--sim-carrier", way.url])
    try:
        nodes = [cluster.node().start() for _ in range(2)]
        yield Sold(nodes, carrier, way)
    finally:
        cluster.stop()
        way.stop()
        carrier.stop()


def at_once(count, what):
    """Does it so often at once; gives what came of each."""
    gate = threading.Barrier(count)

    def one(n):
        gate.wait(20)
        return what(n)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_of_twenty_purchases_at_two_nodes_each_is_asked_of_the_carrier_once(sold):
    # Slow, so that each node's loop sees the other one's open work.
    sold.carrier.say(all=True, outcome="slow", delay_ms=600)
    rows = sold.stock(20)
    answers = at_once(20, lambda n: sold.buy(n % 2, rows[n]))
    assert [a.status_code for a in answers] == [201] * 20, answers
    assert {a.json()["status"] for a in answers} == {"active"}
    asked = [(sold.way.count("GET", row["e164"]), sold.way.count("PUT", row["e164"])) for row in rows]
    assert asked == [(1, 1)] * 20, "one look and one order for each"
    assert {row["times_sold"] for row in sold.carrier.books().values()} == {1}
    sold.check()


def test_a_request_that_is_repeated_at_another_node_waits_for_the_first(sold):
    sold.carrier.say(all=True, outcome="slow", delay_ms=1_500)
    rows = sold.stock(5)
    for row in rows:
        key = str(uuid.uuid4())
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(sold.buy, 0, row, key)
            wait_for(lambda row=row: sold.way.count("PUT", row["e164"]), "the carrier is asked")
            again = pool.submit(sold.buy, 1, row, key)
        answers = [first.result(), again.result()]
        assert [a.status_code for a in answers] == [201, 201], [a.text for a in answers]
        assert answers[0].json()["id"] == answers[1].json()["id"]
        assert [a.json()["status"] for a in answers] == ["active", "active"]
        assert (sold.way.count("GET", row["e164"]), sold.way.count("PUT", row["e164"])) == (1, 1)
    sold.check()


def test_a_slow_carrier_is_asked_once_however_long_it_takes(sold):
    """Longer than a claim lasts: it is renewed."""
    row, *others = sold.stock(8)
    sold.carrier.say(e164=row["e164"], outcome="slow", delay_ms=26_000)
    assert sold.buy(0, row).json()["status"] == "pending", "it is not waited for that long"
    for other in others:
        # Its own purchases make the other node look at all that is open.
        assert sold.buy(1, other).json()["status"] == "active"
        time.sleep(2)
    wait_for(lambda: sold.status(1, row["e164"]) == "active", "it is delivered", 15)
    assert (sold.way.count("GET", row["e164"]), sold.way.count("PUT", row["e164"])) == (1, 1)
    sold.check()


def left_in_the_middle(sold):
    """The first node dies while it asks the carrier."""
    sold.carrier.say(all=True, outcome="slow", delay_ms=4_000, times=1)
    row, other = sold.stock(2)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        buying = pool.submit(sold.buy, 0, row)
        wait_for(lambda: sold.way.count("PUT", row["e164"]), "the carrier is asked")
        sold.nodes[0].kill()
        assert buying.exception() is not None
    return row["e164"], other


def test_who_dies_leaves_its_work_to_the_others_when_its_claim_has_ended(sold):
    e164, other = left_in_the_middle(sold)
    # Its purchase makes the other node look.
    assert sold.buy(1, other).json()["status"] == "active"
    time.sleep(1)
    assert sold.status(1, e164) == "pending" and sold.way.count("GET", e164) == 1
    move(sold.nodes[1], seconds=25)
    wait_for(lambda: sold.status(1, e164) == "active", "the other node takes it up", 10)
    assert sold.carrier.books()[e164]["times_sold"] == 1
    sold.nodes[0].start()
    sold.check()


def test_who_died_takes_up_at_once_what_it_was_at(sold):
    e164, _ = left_in_the_middle(sold)
    began = time.monotonic()
    sold.nodes[0].start()
    wait_for(lambda: sold.status(1, e164) == "active", "the next process of the node takes it up", 12)
    print(f"active {time.monotonic() - began:.1f} s after the start")
    assert sold.carrier.books()[e164]["times_sold"] == 1
    sold.check()


# --- accounts of organizations --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twilio(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("twilio"), arguments=["--sim"])
    with while_up(running):
        yield Twilio(running)


class Own:
    """Two nodes, and a tenant with numbers in an account of its own."""

    def __init__(self, nodes, twilio, count):
        self.nodes, self.twilio = nodes, twilio
        self.tenant = nodes[0].tenant()
        self.numbers = [new_number() for _ in range(count)]
        self.account = twilio.account(*self.numbers)
        self.provider = link(self.tenant, self.account)
        follows(nodes[1], nodes[0])
        self.clients = [node.api(self.tenant.cartesia.headers) for node in nodes]

    def bring(self, at, number):
        return ok(self.clients[at].post(NUMBERS, json=import_body(self.provider, number), timeout=60), 201)

    def status(self, at, number):
        found = self.nodes[at].api(self.tenant.admin.headers).get(f"/api/v1/numbers/{number}")
        return found.json()["status"] if found.is_success else None


@pytest.fixture
def nodes_with_accounts(tmp_path, postgres, twilio):  # noqa: F811
    cluster = Cluster(tmp_path, postgres)
    try:
        for _ in range(2):
            node = cluster.node()
            node.environment = {"TRUNKLINE_TWILIO_URL": twilio.server.url + "/sim/twilio/{region}"}
            node.start()
        yield cluster.nodes
    finally:
        cluster.stop()
        twilio.forget()


def test_of_twenty_first_numbers_at_two_nodes_one_makes_the_trunk(nodes_with_accounts, twilio):
    own = Own(nodes_with_accounts, twilio, 20)
    before = {what: twilio.requests(what) for what in ("trunks.create", "origination_urls.create", "numbers.attach")}
    # As long as a request takes out there; both look before one has made it.
    twilio.behave("trunks.list", delay_ms=300)
    at_once(20, lambda n: own.bring(n % 2, own.numbers[n]))
    asked = {what: twilio.requests(what) - count for what, count in before.items()}
    assert asked == {"trunks.create": 1, "origination_urls.create": 1, "numbers.attach": 20}
    [trunk] = twilio.books(own.account)["trunks"]
    assert {twilio.trunk_of(own.account, number)["sid"] for number in own.numbers} == {trunk["sid"]}
    assert {own.status(at, number) for at in (0, 1) for number in own.numbers} == {"active"}


def test_a_slow_detach_at_one_node_does_not_undo_what_another_attaches(nodes_with_accounts, twilio):
    own = Own(nodes_with_accounts, twilio, 1)
    [number] = own.numbers
    for turn in range(3):
        giving, taking = turn % 2, (turn + 1) % 2
        made = own.bring(giving, number)
        before = twilio.requests("numbers.detach")
        twilio.behave("numbers.detach", delay_ms=2_000, times=1)
        ok(own.clients[giving].delete(f"{NUMBERS}/{made['id']}"), 204)
        wait_for(lambda before=before: twilio.requests("numbers.detach") > before, "the carrier is asked")
        follows(nodes_with_accounts[taking], nodes_with_accounts[giving])
        made = own.bring(taking, number)
        # Until the slow one has certainly ended.
        time.sleep(2.5)
        assert twilio.trunk_of(own.account, number), "what was meant last is meant"
        assert own.status(giving, number) == "active"
        ok(own.clients[taking].delete(f"{NUMBERS}/{made['id']}"), 204)
        wait_for(lambda: twilio.trunk_of(own.account, number) is None, "it is detached")


def test_an_account_is_the_other_nodes_again_after_a_death_in_the_middle(nodes_with_accounts, twilio):
    own = Own(nodes_with_accounts, twilio, 2)
    first, second = own.numbers
    twilio.behave("numbers.attach", delay_ms=3_000, times=1)
    before = twilio.requests("numbers.attach")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        bringing = pool.submit(own.bring, 0, first)
        wait_for(lambda: twilio.requests("numbers.attach") > before, "the carrier is asked")
        nodes_with_accounts[0].kill()
        assert bringing.exception() is not None
    nodes_with_accounts[0].start()
    wait_for(lambda: own.status(1, first) == "active", "the next process of the node goes on", 15)
    own.bring(1, second)
    assert len(twilio.books(own.account)["trunks"]) == 1
    assert twilio.trunk_of(own.account, first) and twilio.trunk_of(own.account, second)
