"""Worlds whose server is killed at any moment: a simulated carrier in a process of its own that lives on, a server with a store, and
tenants whose clients buy, give back, take back, import and pay, and repeat with its key whatever was not answered.

Each client alone touches its numbers, so that it knows what must be there. A world's store is looked at after each start, while
its clients wait; both books, those of the tenants and those of the carrier, are compared when all is at rest.
"""

import collections
import contextlib
import http.client
import itertools
import json
import random
import signal
import socket
import subprocess
import threading
import time
import uuid

from harness import BINARY, Server, credential, free_port, new_number, ok, wait_for
from months_kit import when

DAY = 86_400
#: What a number of the carrier costs to set up and by the month, and one of the operator's own stock, in cents.
CARRIED, OWN = (100, 150), (70, 30)


class Gone(Exception):
    """The server died before it answered, or is not there."""


class Wire:
    """One connection, opened when it is needed, of a client that waits long enough for any answer."""

    def __init__(self, port, headers):
        self.port, self.headers, self.connection = port, headers, None

    def ask(self, method, path, body=None, key=None):
        """Status and JSON of the answer."""
        headers = self.headers | ({"idempotency-key": key} if key else {})
        if body is not None:
            headers |= {"content-type": "application/json"}
            body = json.dumps(body)
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Gone from error
        return answer.status, json.loads(data) if data else None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Mortal(Server):
    """A server that is looked at with little effort while it starts."""

    waits = True

    def launch(self):
        """Starts it, and does not wait until it is ready."""
        self.waits = False
        self.start()
        self.waits = True

    def ready(self):
        return not self.waits or super().ready()

    def health(self):
        try:
            with socket.create_connection(("127.0.0.1", self.http_port), 5) as probe:
                probe.settimeout(5)
                probe.sendall(b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                return int(probe.recv(64).split()[1])
        except (OSError, IndexError):
            return None


class Carrier:
    """`trunkline sim-carrier`, with its operator's hand on it."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with open(folder / "carrier.log", "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "sim-carrier", "--http", f"127.0.0.1:{self.port}", "--record", folder / "carrier.record"],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.wire = Wire(self.port, {})
        wait_for(lambda: self.is_up(), "the carrier answers")

    def is_up(self):
        try:
            return self.wire.ask("GET", "/books")[0] == 200
        except Gone:
            return False

    def say(self, **how):
        status, answer = self.wire.ask("POST", "/purchases", how)
        assert status == 204, answer

    def books(self):
        status, answer = self.wire.ask("GET", "/books")
        assert status == 200
        return {row["e164"]: row for row in answer["numbers"]}

    def settle(self, e164, outcome="ok"):
        return self.wire.ask("POST", f"/purchases/{e164}/settle", {"outcome": outcome})[0]

    def sell(self, e164):
        """Sells a number to us that nobody of ours has asked for."""
        assert self.wire.ask("PUT", f"/numbers/{e164}", {"reference": str(uuid.uuid4())})[0] in (200, 201)

    def lose(self, e164):
        """Knows nothing of a number of ours any more."""
        assert self.wire.ask("DELETE", f"/numbers/{e164}")[0] == 204

    def stop(self):
        self.wire.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(15) == 0


class Client(threading.Thread):
    """Does one thing after the other until it is told to stop; each is repeated until it is answered."""

    def __init__(self, world, tenant, seed):
        super().__init__(daemon=True)
        self.world, self.tenant, self.chance = world, tenant, random.Random(seed)
        port = world.server.http_port
        self.wires = {
            "native": Wire(port, credential("native", tenant.key("native"))),
            "krosai": Wire(port, credential("krosai", tenant.key("krosai"))),
            "cartesia": Wire(port, credential("cartesia", tenant.key("cartesia"))),
            "operator": Wire(port, dict(tenant.admin.headers)),
        }
        #: Bought numbers by id: held, released, or gone.
        self.bought = {}
        #: Imported numbers by E.164: their id, or None where they were given up.
        self.imported = {}
        #: Answered requests with a key: what to send, and what it was answered.
        self.answered = collections.deque(maxlen=60)
        self.credited = self.repeats = self.lost = 0
        self.done, self.failure = collections.Counter(), None

    def run(self):
        acts = [
            (self.buy, 34), (self.release, 22), (self.restore, 6), (self.bring, 12), (self.bring_many, 5),
            (self.give_up, 10), (self.credit, 4), (self.again, 14),
        ]  # fmt: skip
        try:
            while not self.world.ended.is_set():
                self.chance.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()
        except BaseException as failure:  # told by who waits for it
            self.failure = failure
        finally:
            for wire in self.wires.values():
                wire.close()

    def ask(self, api, method, path, body=None, key=None):
        """Asks until there is an answer. What the server says of itself alone is none."""
        first = self.world.days
        while True:
            self.world.open.wait()
            try:
                status, answer = self.wires[api].ask(method, path, body, key)
            except Gone:
                self.lost += 1
                time.sleep(0.002)
                continue
            code = (answer or {}).get("code") if isinstance(answer, dict) else None
            if status in (429, 503) or code in ("idempotency_key_running", "intent_exists"):
                time.sleep(0.02)
                continue
            assert status < 500, (method, path, status, answer)
            # A key stands for its request for a day; the world's days go fast.
            self.world.answers += 1
            if key and self.world.same_day(first):
                self.answered.append((first, (api, method, path, body, key), (status, named(answer))))
            return status, answer

    def again(self):
        """What was answered once is answered the same again, whatever came in between."""
        if not self.answered:
            return
        days, request, before = self.chance.choice(self.answered)
        if not self.world.same_day(days):
            return
        status, answer = self.ask(*request)
        if self.world.same_day(days):
            assert (status, named(answer)) == before, (request, before, status, answer)
            self.repeats += 1

    def buy(self):
        if sum(state == "held" for state in self.bought.values()) >= 8:
            return self.release()
        key, api = str(uuid.uuid4()), self.chance.choice(["native", "native", "krosai", "cartesia"])
        stock = self.chance.choice(self.world.stock)
        path, body = {
            "native": ("/api/v1/numbers", {"stock_id": stock}),
            "krosai": ("/v1/phone-numbers", {"inventory_id": stock}),
            "cartesia": ("/agents/phone-numbers/provision", {"label": "desk"}),
        }[api]
        days = self.world.days
        status, answer = self.ask(api, "POST", path, body, key)
        self.done["bought" if status == 201 else "not bought"] += 1
        if status == 201:
            number = answer["id"].removeprefix("pn_")
            # Two days later a repeat is another request, which may have bought it for itself.
            assert number not in self.bought or not self.world.same_day(days), "bought twice"
            if "status" not in answer:
                # Cartesia does not say whether its carrier has delivered it; one that was refused later is not found.
                answer = self.ask("native", "GET", f"/api/v1/numbers/{number}")[1]
            self.bought[number] = "held" if answer.get("status") == "active" else "pending"

    def pick(self, state):
        known = [number for number, there in self.bought.items() if there == state]
        return self.chance.choice(known) if known else None

    def release(self):
        number = self.pick("held")
        if number is None:
            return
        permanent = self.chance.random() < 0.3
        status, answer = self.ask("native", "DELETE", f"/api/v1/numbers/{number}" + ("?permanent=true" if permanent else ""))
        if status == 409 and "waits for its carrier" in answer.get("detail", ""):
            self.bought[number] = "pending"
            return
        # Who asks again finds that it was done.
        assert status in (200, 204, 404, 409), answer
        self.bought[number] = "gone" if permanent else "released"
        self.done["released"] += 1

    def restore(self):
        number = self.pick("released")
        if number is None:
            return
        days = self.world.days
        status, answer = self.ask("native", "POST", f"/api/v1/numbers/{number}/restore", key=str(uuid.uuid4()))
        assert status in (200, 402, 404, 409), answer
        if status == 200:
            self.bought[number] = "held"
            self.done["restored"] += 1
        elif not self.world.same_day(days):
            self.bought[number] = "unknown"

    def bring(self):
        e164 = new_number()
        body = {"e164": e164, "provider_id": self.tenant.its_trunk["id"]}
        status, answer = self.ask("native", "POST", "/api/v1/numbers", body, str(uuid.uuid4()))
        # After a day the key stands for nothing: the number is there, by the first request.
        assert status in (201, 409), answer
        self.imported[e164] = answer["id"] if status == 201 else e164
        self.done["imported"] += 1

    def bring_many(self):
        rows = [new_number() for _ in range(self.chance.randrange(2, 12))]
        body = {"provider_id": self.tenant.its_trunk["id"], "numbers": rows}
        status, answer = self.ask("native", "POST", "/api/v1/numbers/import", body, str(uuid.uuid4()))
        assert status == 200, answer
        for row in answer["results"]:
            self.imported[row["e164"]] = row["e164"]
        self.done["imported"] += len(rows)

    def give_up(self):
        known = [e164 for e164, there in self.imported.items() if there]
        if not known:
            return
        e164 = self.chance.choice(known)
        status, answer = self.ask("native", "DELETE", f"/api/v1/numbers/{e164}")
        assert status in (200, 204, 404, 409), answer
        self.imported[e164] = None
        self.done["given up"] += 1

    def credit(self):
        cents, days = self.chance.randrange(1, 500), self.world.days
        path = f"/api/v1/organizations/{self.tenant.id}/ledger"
        status, answer = self.ask("operator", "POST", path, {"amount_cents": cents, "reason": "k"}, str(uuid.uuid4()))
        assert status == 201, answer
        self.credited += cents
        self.done["credited"] += 1
        if not self.world.same_day(days):
            self.world.sure_of_credit = False


def named(answer):
    """What of an answer must be the same at each repeat: the thing that was made."""
    if not isinstance(answer, dict):
        return None
    rows = answer.get("results")
    return answer.get("id") or ([row.get("e164") for row in rows] if isinstance(rows, list) else answer.get("code"))


class World:
    """One server, its carrier and its tenants. `fast`: its days go by months, so that rents are charged."""

    def __init__(self, folder, seed, fast=False):
        self.chance, self.fast, self.kills, self.days = random.Random(seed), fast, 0, 0
        #: About how many answers there were; nobody's turn is waited for to count them.
        self.answers = 0
        self.open, self.ended, self.sure_of_credit = threading.Event(), threading.Event(), True
        folder.mkdir()
        self.carrier = Carrier(folder)
        self.server = Mortal(folder, arguments=["--sim", "--sim-carrier", self.carrier.url]).start()
        self.clients, self.tenants, self.stock = [], [], []
        rows = {"country": "US", "type": "local", "count": 24, "setup_cost_cents": CARRIED[0], "monthly_cost_cents": CARRIED[1]}
        for country in ("US", "GB"):
            made = ok(self.server.admin.post("/sim/stock", json=rows | {"country": country}), 201)["data"]
            self.stock += [row["id"] for row in made]
        self.stock += [self.server.stock(setup=OWN[0], monthly=OWN[1])["id"] for _ in range(8)]
        for number in range(3):
            tenant = self.server.tenant(f"t{number}", cents=1_000_000 if number else 4_000)
            tenant.began_with = 1_000_000 if number else 4_000
            rests = self.chance.choice([0, 1, 30])
            tenant.settings(imports="open", quarantine_days=rests, refund_hours=self.chance.choice([0, 24]))
            if number == 0:
                tenant.settings(rental_unpaid="deactivate")
            tenant.its_trunk = tenant.trunk(f"127.0.9.{number + 1}")
            self.tenants.append(tenant)
            self.clients += [Client(self, tenant, self.chance.random()) for _ in range(2)]
        self.check()

    def begin(self):
        """Its clients set out."""
        self.open.set()
        for client in self.clients:
            client.start()

    def same_day(self, days):
        """Whether less than a day has gone by since: so long a key stands for its request."""
        return days == self.days and days % 2 == 0

    # --- dying --------------------------------------------------------------------------------------------------------

    def live_and_die(self, deaths, until):
        """Dies so often, at moments that chance chooses, and is looked at after each."""
        while self.kills < deaths and time.monotonic() < until:
            self.behave()
            self.live()
            self.die()
            while self.chance.random() < 0.12 and self.kills < deaths:
                # Killed while it starts, or takes up what was open.
                self.server.launch()
                time.sleep(self.chance.random() * 0.08)
                self.die()
            self.server.start()
            self.check()
            for client in self.clients:
                if client.failure:
                    raise client.failure
            self.open.set()

    def live(self):
        """For a moment, and for a few answers more where the machine is slow."""
        enough, end = self.answers + self.chance.randrange(10), time.monotonic() + 2
        time.sleep(min(self.chance.expovariate(1 / 0.05), 0.3))
        while self.answers < enough and time.monotonic() < end:
            time.sleep(0.003)
        # Not always just when there was an answer.
        time.sleep(self.chance.random() * 0.01)

    def die(self):
        self.open.clear()
        self.server.kill()
        self.kills += 1

    def behave(self):
        """The carrier takes its time, refuses some and leaves some open; days go by."""
        how = self.chance.choice(["ok", "ok", "fail", "pending"])
        self.carrier.say(all=True, outcome="slow", delay_ms=self.chance.choice([0, 4, 20, 60, 120]))
        if how != "ok":
            self.carrier.say(all=True, outcome=how, times=self.chance.randrange(1, 4), delay_ms=self.chance.choice([0, 30]))
        for e164, row in self.carrier.books().items():
            if row["state"] == "pending" and self.chance.random() < 0.3:
                self.carrier.settle(e164, self.chance.choice(["ok", "ok", "fail"]))
        if self.fast and self.chance.random() < 0.4:
            with contextlib.suppress(Gone):
                # Odd while it is under way: a request of that time may be on either side of it.
                self.days += 1
                self.move(self.chance.choice([2, 20, 31, 62]) * DAY)
                self.days += 1

    def move(self, seconds):
        wire = Wire(self.server.http_port, dict(self.server.admin.headers))
        status, answer = wire.ask("POST", "/sim/clock", {"advance_seconds": seconds})
        wire.close()
        assert status == 200, answer

    # --- looking ------------------------------------------------------------------------------------------------------

    def check(self):
        """What holds at any moment, however the process before ended: the store is sound, and what the carrier has for us is
        somebody's, or being worked on; and the other way round."""
        self.doctor()
        report = self.compare(dry_run=True)
        assert report["sound"] and not report["ended_by"], (report, self.server.last_log())

    def doctor(self):
        done = self.server.doctor()
        assert (done.returncode, done.stdout) == (0, "the store is sound\n"), (done.stdout, done.stderr)

    def compare(self, dry_run):
        return ok(self.server.admin.post("/api/v1/carriers/reconcile", json={"dry_run": dry_run}), 200)

    def finish(self):
        """Everything that is open ends; then both books say the same to the cent and the number."""
        self.ended.set()
        for client in self.clients:
            client.join(60)
            assert not client.is_alive(), "a client got no answer"
            if client.failure:
                raise client.failure
        self.carrier.say(all=True, outcome="ok")
        self.repeat_all()
        self.come_to_rest()
        self.doctor()
        self.compare_by_hand()
        numbers = {tenant.id: self.numbers(tenant) for tenant in self.tenants}
        for tenant in self.tenants:
            self.check_money(tenant, numbers[tenant.id])
        self.check_carrier([number for rows in numbers.values() for number in rows])
        self.check_clients(numbers)
        text = self.server.log.read_text(errors="replace")
        for words in ("that is nobody's", "has lost a number", "panicked"):
            assert words not in text, words
        assert self.server.stop() == 0, self.server.last_log()
        self.carrier.stop()

    def repeat_all(self):
        for client in self.clients:
            for days, request, before in client.answered:
                if self.same_day(days):
                    api, method, path, body, key = request
                    status, answer = client.wires[api].ask(method, path, body, key)
                    assert (status, named(answer)) == before, (request, before, status, answer)
                    client.repeats += 1

    def come_to_rest(self):
        def rests():
            for e164, row in self.carrier.books().items():
                if row["state"] == "pending":
                    self.carrier.settle(e164)
            self.move(301)
            if any(number["status"] == "pending" for tenant in self.tenants for number in pages(tenant.admin)):
                return False
            ours = {e164 for e164, row in self.carrier.books().items() if row["state"] == "sold"}
            return ours == self.owned()

        wait_for(rests, "nothing is open at the carrier", 30)

    def owned(self):
        """The carrier's numbers that are held, or rest."""
        held = {n["e164"] for tenant in self.tenants for n in pages(tenant.admin) if n["network"] == "simulated"}
        books = self.carrier.books()
        resting = [row["e164"] for row in pages(self.server.admin, "/api/v1/stock") if row["status"] == "quarantined"]
        return held | {e164 for e164 in resting if e164 in books}

    def compare_by_hand(self):
        done = subprocess.run(
            [BINARY, "reconcile", "--url", self.server.url, "--key", self.server.admin_key],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)

    def numbers(self, tenant):
        """All numbers that a tenant ever had, by id."""
        rows = itertools.chain(*(pages(tenant.admin, status=state) for state in (None, "released", "deleted")))
        return {number["id"]: number for number in rows}.values()

    def check_money(self, tenant, numbers):
        entries = pages(tenant.admin, f"/api/v1/organizations/{tenant.id}/ledger")
        assert sum(entry["amount_micros"] for entry in entries) == 0
        wallet = [entry for entry in entries if entry["account"] == "wallet"]
        funded = sum(entry["amount_cents"] for entry in wallet if entry["kind"] == "funding")
        if self.sure_of_credit:
            credited = sum(client.credited for client in self.clients if client.tenant is tenant)
            assert funded == tenant.began_with + credited, "each credit counts once"
        assert tenant.balance() == sum(entry["amount_cents"] for entry in wallet)
        events = pages(tenant.admin, "/api/v1/events")
        failed, back = (
            {event["subject"] for event in events if event["name"] == name} for name in ("number.purchase_failed", "number.restored")
        )
        of = collections.defaultdict(lambda: collections.defaultdict(list))
        for entry in wallet:
            if entry["kind"] != "funding":
                of[entry["number_id"]][entry["kind"]].append(entry)
        known = {number["id"]: number for number in numbers}
        assert set(of) <= set(known), "what was paid for is a number"
        for number in numbers:
            price = (number["setup_cost_cents"], number["monthly_cost_cents"])
            kinds = of.get(number["id"], {})
            if number["e164"] in self.imports():
                assert not kinds, "what is on an own trunk costs nothing"
                continue
            [purchase] = kinds["purchase"]
            assert purchase["amount_cents"] == -sum(price), (purchase, number)
            paid = [entry["period"] for entry in kinds.get("rental", [])]
            refunded = sum(entry["amount_cents"] for entry in kinds.get("refund", []))
            assert len(set(paid)) == len(paid), "no month is paid twice"
            assert all(entry["amount_cents"] == -price[1] for entry in kinds.get("rental", []))
            if number["id"] in failed:
                assert number["status"] == "deleted" and refunded == sum(price) and not paid, (number, kinds)
                continue
            assert refunded in (0, price[1]), (number, kinds)
            if number["id"] not in back:
                # Who gave it up and took it back paid nothing for what lay between.
                assert sorted(paid) == list(range(1, len(paid) + 1)), "no month is left out"
            if number["status"] == "active":
                assert when(number["rented_until"]) > self.now(), "every month that has begun is paid"

    def now(self):
        return when(ok(self.server.admin.get("/sim/clock"), 200)["now"])

    def imports(self):
        return {e164 for client in self.clients for e164 in client.imported}

    def check_carrier(self, numbers):
        """Nothing was sold to us more often than it was delivered. Less often it may be: a number whose rest is just over is bought
        while it is still there."""
        failed = set()
        for tenant in self.tenants:
            events = pages(tenant.admin, "/api/v1/events")
            failed |= {event["subject"] for event in events if event["name"] == "number.purchase_failed"}
        delivered = collections.Counter(n["e164"] for n in numbers if n["network"] == "simulated" and n["id"] not in failed)
        sold = {e164: row["times_sold"] for e164, row in self.carrier.books().items() if row["times_sold"]}
        assert set(sold) == set(delivered)
        differ = {e164: (count, delivered[e164]) for e164, count in sold.items() if not 0 < count <= delivered[e164]}
        assert not differ, (differ, [n for n in numbers if n["e164"] in differ])
        held = collections.Counter(n["e164"] for n in numbers if n["status"] not in ("released", "deleted"))
        assert all(count == 1 for count in held.values()), "no number is held twice"

    def check_clients(self, numbers):
        for client in self.clients:
            mine = {number["id"]: number for number in numbers[client.tenant.id]}
            by_e164 = {number["e164"] for number in mine.values() if number["status"] not in ("released", "deleted")}
            for number, state in client.bought.items():
                assert number in mine, f"{number} was sold and is nowhere"
                there = mine[number]["status"] not in ("released", "deleted")
                if state in ("held", "released", "gone"):
                    assert there == (state == "held"), (state, mine[number])
            for e164, there in client.imported.items():
                assert (e164 in by_e164) == bool(there), (e164, there)

    def told(self):
        done = sum((client.done for client in self.clients), collections.Counter())
        lost = sum(client.lost for client in self.clients)
        repeats = sum(client.repeats for client in self.clients)
        return f"{self.kills} deaths, {lost} requests without an answer, {repeats} repeats compared, {dict(done)}"

    def end(self):
        """Leaves nothing running, however it went."""
        self.ended.set()
        self.open.set()
        for process in (self.server.process, self.carrier.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()


def pages(client, path="/api/v1/numbers", **query):
    rows, cursor = [], None
    query = {name: value for name, value in query.items() if value}
    while True:
        body = ok(client.get(path, params={"limit": 1000} | query | ({"cursor": cursor} if cursor else {})), 200)
        rows += body["data"]
        cursor = body["next_cursor"]
        if not cursor:
            return rows
