"""What the tests of numbers over months share: a simulation, its clock, a calendar of our own, the ledger."""

import calendar
import datetime

import pytest
from harness import Server, ok, while_up

DAY = 86_400


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("months"), arguments=["--sim"])
    with while_up(running):
        yield running


def when(text):
    return datetime.datetime.fromisoformat(text)


def now(server):
    return when(ok(server.admin.get("/sim/clock"), 200)["now"])


def move(server, *, to=None, **by):
    body = {"now": to.isoformat()} if to else {"advance_seconds": int(datetime.timedelta(**by).total_seconds())}
    ok(server.admin.post("/sim/clock", json=body), 200)


def month_after(start, count):
    """The same day so many months later, or the last of a shorter month."""
    months = start.year * 12 + start.month - 1 + count
    year, month = months // 12, months % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))


def ledger(tenant):
    """The wallet's entries, oldest first."""
    entries = tenant.pages(f"/api/v1/organizations/{tenant.id}/ledger")
    assert sum(entry["amount_micros"] for entry in entries) == 0
    own = [entry for entry in reversed(entries) if entry["account"] == "wallet"]
    # Not the balance asked for beside: rents may be posted in between.
    assert sum(entry["amount_cents"] for entry in own) == own[-1]["balance_after_cents"]
    return own


def rents(tenant, number):
    return [e["period"] for e in ledger(tenant) if e["kind"] == "rental" and e["number_id"] == number["id"]]


def buy(tenant, row, client=None):
    return ok((client or tenant.native).post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)


def release(tenant, number):
    return ok(tenant.native.delete(f"/api/v1/numbers/{number['id']}"), 200)


def restore(tenant, number):
    return tenant.native.post(f"/api/v1/numbers/{number['id']}/restore")


def hold(tenant, row):
    return tenant.native.post(f"/api/v1/stock/{row['id']}/hold")


def on_sale(tenant, row):
    """What a tenant sees of a number in stock."""
    rows = ok(tenant.native.get("/api/v1/stock", params={"q": row["e164"].lstrip("+")}), 200)["data"]
    return rows[0] if rows else None


def events(tenant, name):
    return [e for e in tenant.pages("/api/v1/events") if e["name"] == name]


# Reservations
