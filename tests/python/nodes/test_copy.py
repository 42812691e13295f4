"""`trunkline copy`: a store in a file goes to PostgreSQL and is served there; an interrupted one goes on; what is wrong is refused."""

import json
import os
import signal
import subprocess
import time

import pytest
from harness import BINARY, Server, new_number, ok, while_up
from stores import Database, File, shared


def copy(source, target, *, wait=True):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    run = subprocess.Popen(
        [BINARY, "copy"],
        env=clean | {"TRUNKLINE_COPY_FROM": source, "TRUNKLINE_COPY_TO": target},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if not wait:
        return run
    out, err = run.communicate(timeout=120)
    return run.returncode, out + err


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return Database(folder, shared())


@pytest.fixture
def source(tmp_path, target):
    """A server on a file, with the secret key that the target is to have."""
    folder = tmp_path / "source"
    folder.mkdir()
    return Server(folder, store=File(folder), environment=target.environment)


def fill(server, numbers):
    """A tenant with numbers of its own trunk and one that was bought."""
    tenant = server.tenant("mover")
    trunk = tenant.trunk("127.0.7.1")
    rows = [{"e164": new_number(), "label": f"line {nth}."} for nth in range(numbers)]
    ok(tenant.native.post("/api/v1/numbers/import", json={"provider_id": trunk["id"], "numbers": rows}), 200)
    stock = server.stock(setup=100, monthly=100)
    ok(tenant.admin.post("/api/v1/numbers", json={"stock_id": stock["id"]}), 201)
    return tenant, rows


def seen(server, headers, rows):
    """What the tenant sees of its numbers, wherever the server is."""
    client = server.api(headers)
    found = ok(client.get("/api/v1/numbers", params={"limit": 100}), 200)
    by_label = ok(client.get("/api/v1/numbers", params={"q": "line 7.", "limit": 100}), 200)
    by_digits = ok(client.get("/api/v1/numbers", params={"q": rows[3]["e164"][-8:]}), 200)
    assert (len(found["data"]), len(by_digits["data"])) == (51, 1) and len(by_label["data"]) == 1
    return json.dumps([found, by_label, by_digits]).replace(f":{server.sip_port}", "")


def test_a_file_goes_to_postgresql_and_is_served_there(source, target, tmp_path):
    with while_up(source):
        tenant, rows = fill(source, 50)
        headers = dict(tenant.native.headers)
        before, money = seen(source, headers, rows), tenant.balance()
    code, said = copy(source.store.url, target.url)
    assert code == 0 and "rows copied and compared" in said and "numbers: 51 of 51 compared" in said, said
    served = Server(tmp_path / "target", store=target)
    with while_up(served):
        assert seen(served, headers, rows) == before
        balance = ok(served.admin.get(f"/api/v1/organizations/{tenant.id}/balance"), 200)
        assert balance["balance_cents"] == money < 1_000_000
        # It goes on: a number of its own, which nobody had before.
        number = {"e164": new_number(), "provider_id": ok(served.api(headers).get("/api/v1/providers"), 200)["data"][0]["id"]}
        ok(served.api(headers).post("/api/v1/numbers", json=number), 201)
    checked = served.doctor()
    assert checked.returncode == 0, checked.stdout
    code, said = copy(source.store.url, target.url)
    assert code != 0 and "not empty" in said, said


def test_a_copy_that_was_killed_is_not_served_and_goes_on(source, target, tmp_path):
    with while_up(source):
        fill(source, 9_000)
    run = copy(source.store.url, target.url, wait=False)
    deadline = time.monotonic() + 60
    while run.poll() is None and time.monotonic() < deadline:
        if target.sql("SELECT count(*) FROM pg_class WHERE relname = 'copying'") != [("1",)]:
            continue
        if int(target.sql("SELECT count(*) FROM numbers")[0][0]) >= 2_000:
            run.send_signal(signal.SIGKILL)
            break
    run.communicate()
    assert run.returncode == -signal.SIGKILL, "it was over too soon"
    served = Server(tmp_path / "target", store=target)
    with pytest.raises(AssertionError):
        served.start()
    assert "trunkline copy" in served.last_log()
    code, said = copy(source.store.url, target.url)
    assert code == 0 and "were there from before" in said, said
    assert served.doctor().returncode == 0


def test_what_is_not_there_or_the_same_is_refused(source, target, tmp_path):
    code, said = copy(f"sqlite:{tmp_path / 'nowhere.db'}", target.url)
    assert code != 0 and "is not there" in said and not (tmp_path / "nowhere.db").exists()
    code, said = copy(target.url, target.url)
    assert code != 0 and "one store" in said
    with while_up(source):
        code, said = copy(source.store.url, target.url)
        assert code != 0 and "a service has" in said, said
    password = target.url.replace("://", "://nobody:sesame@", 1) if "@" not in target.url else target.url
    code, said = copy(source.store.url, password.replace("127.0.0.1", "127.0.0.2"))
    assert code != 0 and "--to" in said and "sesame" not in said, said
