"""Copies of a store: made while it is written, checked, private, never over anything; and stores made of them."""

import os
import shutil
import sqlite3
import statistics
import stat
import subprocess
import threading
import time

import pytest
from harness import BINARY, Server, new_number, ok, wait_for
from stores import only_on_a_file

pytestmark = only_on_a_file("PostgreSQL is copied by its own means")


def run(*arguments, folder, seconds=120):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    done = subprocess.run(
        [BINARY, *arguments], cwd=folder, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
    )
    return done.returncode, done.stdout + done.stderr


def backup(server, name):
    return run("backup", name, "--store", server.store.url, folder=server.folder)


class Writers:
    """Tenants who buy, import and fund for as long as this lasts."""

    def __init__(self, server, count=6):
        self.server, self.ended = server, threading.Event()
        self.tenants = [server.tenant(f"writer {n}") for n in range(count)]
        self.made, self.waits, self.failure = {}, [], None
        self.threads = []
        for tenant in self.tenants:
            tenant.its_trunk = tenant.trunk(f"127.0.7.{len(self.threads) + 1}")
            self.made[tenant.id] = []
            self.threads.append(threading.Thread(target=self.write, args=(tenant,), daemon=True))

    def write(self, tenant):
        client = self.server.api(dict(tenant.admin.headers))
        try:
            while not self.ended.is_set():
                began = time.monotonic()
                number = ok(client.post("/api/v1/numbers", json={"e164": new_number(), "provider_id": tenant.its_trunk["id"]}), 201)
                self.waits.append(time.monotonic() - began)
                self.made[tenant.id].append(number["id"])
                bought = {"stock_id": self.server.stock(setup=100, monthly=100)["id"]}
                self.made[tenant.id].append(ok(client.post("/api/v1/numbers", json=bought), 201)["id"])
        except BaseException as failure:  # told by who waits for it
            self.failure = failure

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)
        if self.failure:
            raise self.failure

    def so_far(self):
        return {tenant: list(made) for tenant, made in self.made.items()}


def state(server, tenants):
    """Ids, money and history of each tenant, as the service tells them."""
    told = {}
    for tenant in tenants:
        own = server.api({"authorization": f"Bearer {server.admin_key}", "x-organization-id": tenant.id})
        rows = {
            what: pages(own, path)
            for what, path in (
                ("numbers", "/api/v1/numbers"), ("ledger", f"/api/v1/organizations/{tenant.id}/ledger"),
                ("endpoints", "/api/v1/endpoints"), ("events", "/api/v1/events"),
            )
        }  # fmt: skip
        told[tenant.id] = rows | {"balance": ok(own.get(f"/api/v1/organizations/{tenant.id}/balance"), 200)}
    return told


def pages(client, path):
    rows, cursor = [], None
    while True:
        body = ok(client.get(path, params={"limit": 1000} | ({"cursor": cursor} if cursor else {})), 200)
        rows += body["data"]
        cursor = body["next_cursor"]
        if not cursor:
            return rows


def epoch(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute("SELECT epoch, generation FROM meta").fetchone()


def another(server, folder, copy):
    """A server of a store that was made of a copy, with the secret key and the operator's key of the first; not yet started."""
    other = Server(folder)
    other.admin_key = server.admin_key
    code, told = run("restore", str(copy), "--store", other.store.url, folder=folder)
    assert code == 0, told
    assert "secret key is not beside it" in told
    shutil.copy(server.own(".key"), other.own(".key"))
    return other


def test_a_copy_under_load_is_of_one_moment_and_a_store_is_made_of_it(fresh, tmp_path_factory):
    fresh.start()
    with Writers(fresh) as writers:
        wait_for(lambda: len(writers.waits) > 60, "writes are running", 30)
        for number in range(3):
            before = writers.so_far()
            code, told = backup(fresh, f"copy{number}")
            after = writers.so_far()
            assert code == 0 and "checked" in told, told
            assert stat.S_IMODE((fresh.folder / f"copy{number}").stat().st_mode) == 0o600
    assert sorted(path.name for path in fresh.folder.glob("copy*")) == ["copy0", "copy1", "copy2"]
    other = another(fresh, tmp_path_factory.mktemp("other"), fresh.folder / "copy2")
    checked = other.doctor()
    assert (checked.returncode, checked.stdout) == (0, "the store is sound\n"), checked.stdout + checked.stderr
    try:
        other.start()
        for tenant in writers.tenants:
            held = {number["id"] for number in state(other, [tenant])[tenant.id]["numbers"]}
            assert set(before[tenant.id]) <= held, "what was answered before the copy began is in it"
            # One request of each writer may have been done and not answered yet.
            assert len(held - set(after[tenant.id])) <= 1
            entries = pages(other.admin, f"/api/v1/organizations/{tenant.id}/ledger")
            assert sum(entry["amount_micros"] for entry in entries) == 0
            paid = [entry for entry in entries if entry["kind"] == "purchase" and entry["account"] == "wallet"]
            assert {entry["number_id"] for entry in paid} <= held and len(paid) == len(held) // 2
    finally:
        assert other.stop() == 0


def test_what_is_restored_is_what_was_copied(fresh, tmp_path_factory):
    tenant = fresh.start().tenant()
    endpoint = tenant.endpoint("sip:127.0.0.1:5999", agent=tenant.agent())
    numbers = [tenant.number(endpoint_id=endpoint["id"]) for _ in range(3)]
    key = tenant.key("krosai")
    shown = ok(tenant.krosai.get(f"/v1/phone-numbers/{numbers[0]['id']}"), 200)
    assert "sip_password" in str(shown) or "password" in str(shown)
    copied = state(fresh, [tenant])
    assert backup(fresh, "copy")[0] == 0
    tenant.number()
    first = epoch(fresh.folder / "copy")
    other = another(fresh, tmp_path_factory.mktemp("other"), fresh.folder / "copy")
    assert epoch(other.store.path)[1] == first[1] and epoch(other.store.path)[0] != first[0], "a history of its own"
    # In the first one's place: numbers are shown with the address that calls come to.
    assert fresh.stop() == 0
    other.http_port, other.sip_port, other.url, other.sip = fresh.http_port, fresh.sip_port, fresh.url, fresh.sip
    try:
        other.start()
        assert state(other, [tenant]) == copied
        answered = other.api({"authorization": f"Bearer {key}"}).get(f"/v1/phone-numbers/{numbers[0]['id']}")
        assert ok(answered, 200) == shown, "secrets open"
    finally:
        assert other.stop() == 0


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_store_that_nobody_uses_is_copied_too(fresh, tmp_path_factory, how):
    tenant = fresh.start().tenant()
    number = tenant.number()
    fresh.kill() if how == "killed" else fresh.stop()
    assert backup(fresh, "copy")[0] == 0
    other = another(fresh, tmp_path_factory.mktemp("other"), fresh.folder / "copy")
    try:
        other.start()
        assert [row["id"] for row in state(other, [tenant])[tenant.id]["numbers"]] == [number["id"]]
    finally:
        assert other.stop() == 0


def test_nothing_is_written_over_and_what_went_wrong_leaves_nothing(fresh):
    fresh.start()
    (fresh.folder / "mine").write_text("mine")
    code, told = backup(fresh, "mine")
    assert code == 1 and "is there" in told and (fresh.folder / "mine").read_text() == "mine"
    code, told = backup(fresh, "no/such/folder")
    assert code == 1 and "no/such/folder" in told
    code, told = run("backup", "copy", "--store", "sqlite:./none.db", folder=fresh.folder)
    assert code == 1 and "none.db is not there" in told and not (fresh.folder / "none.db").exists()
    code, told = run("backup", "copy", "--store", "postgres://me:hunter2@h/d", folder=fresh.folder)
    assert code == 1 and "pg_basebackup" in told and "hunter2" not in told
    assert not list(fresh.folder.glob("copy*")) and not list(fresh.folder.glob("*.part"))


def test_a_store_in_use_is_not_restored_over(fresh, tmp_path):
    tenant = fresh.start().tenant()
    assert backup(fresh, "copy")[0] == 0
    restore = ("restore", "copy", "--store", fresh.store.url)
    code, told = run(*restore, folder=fresh.folder)
    assert code == 1 and "a service has it open" in told, told
    # Its file is moved away: the service goes on with it, and must not find another in its place.
    moved = fresh.folder / "moved"
    fresh.store.path.rename(moved)
    code, told = run(*restore, folder=fresh.folder)
    assert code == 1 and "a service has it open" in told and not fresh.store.path.exists(), told
    moved.rename(fresh.store.path)
    number = tenant.number()
    assert fresh.stop() == 0
    code, told = run(*restore, folder=fresh.folder)
    # On a busy machine an end may leave the log beside it: then that is named, for it is looked for first.
    assert code == 1 and ("nothing is written over" in told or "t.db-wal is there" in told), told
    fresh.start()
    assert tenant.read(number)["id"] == number["id"]


def test_in_the_place_of_a_lost_store_the_next_start_goes_on(fresh):
    """The secret key and the call records lie beside it, and stay."""
    tenant = fresh.start().tenant()
    number = tenant.number()
    assert backup(fresh, "copy")[0] == 0
    later = tenant.number()
    fresh.kill()
    fresh.store.path.unlink()
    code, told = run("restore", "copy", "--store", fresh.store.url, folder=fresh.folder)
    assert code == 1 and "-wal is there" in told, "what the lost store left would be taken for the new one's"
    for ending in ("-wal", "-shm"):
        fresh.own(ending).unlink()
    code, told = run("restore", "copy", "--store", fresh.store.url, folder=fresh.folder)
    assert code == 0 and "secret key" not in told, told
    fresh.start()
    assert tenant.read(number)["id"] == number["id"]
    assert tenant.admin.get(f"/api/v1/numbers/{later['id']}").status_code == 404
    assert ok(tenant.krosai.get("/v1/phone-numbers"), 200), "keys are what they were"
    assert tenant.number()["id"] not in (number["id"], later["id"])


def test_what_is_damaged_is_no_copy(fresh, tmp_path):
    tenant = fresh.start().tenant()
    for _ in range(20):
        tenant.number()
    assert backup(fresh, "copy")[0] == 0
    whole = (fresh.folder / "copy").read_bytes()
    at = whole.index(tenant.id.replace("-", "").encode()) if tenant.id.replace("-", "").encode() in whole else 8_192
    for name, data in (
        ("torn", whole[: len(whole) // 2]), ("empty", b""), ("text", b"a text\n" * 1_000),
        ("bad", whole[:at] + bytes(4_096) + whole[at + 4_096 :]),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(data)
        code, told = run("restore", name, "--store", "sqlite:./new.db", folder=tmp_path)
        assert code == 1 and not list(tmp_path.glob("new.db*[!k]")), (name, told)


def test_writers_are_hardly_held_up(fresh, capsys):
    """Thousands of rows are copied while others are written: what a write waits is told, and bounded."""
    tenant = fresh.start().tenant()
    rows = [{"e164": f"+1415{n:07d}", "country": "US", "type": "local", "setup_cost_cents": 1, "monthly_cost_cents": 1} for n in range(2_000_000, 2_020_000)]
    ok(fresh.admin.post("/api/v1/stock", json=rows))
    waits = {"alone": [], "beside a copy": []}

    def write(kind, count):
        for _ in range(count):
            began = time.monotonic()
            ok(tenant.admin.post("/api/v1/agents", json={"name": "a"}), 201)
            waits[kind].append(time.monotonic() - began)

    write("alone", 150)
    copying = threading.Thread(target=lambda: [backup(fresh, f"copy{n}") for n in range(4)])
    copying.start()
    while copying.is_alive():
        write("beside a copy", 10)
    told = {kind: (round(statistics.median(seen) * 1e3, 1), round(max(seen) * 1e3, 1)) for kind, seen in waits.items()}
    with capsys.disabled():
        print(f"\n  a write waits, median and longest in ms: {told}; the copy has {(fresh.folder / 'copy0').stat().st_size >> 20} MB")
    assert all((fresh.folder / f"copy{n}").exists() for n in range(4))
    assert max(waits["beside a copy"]) < 2, told
