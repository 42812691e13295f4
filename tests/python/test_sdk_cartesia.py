"""The vendor's own SDK, unmodified: only the base URL and the key are ours."""

import cartesia
import pytest
from cartesia import BaseModel, Cartesia
from cartesia.pagination import SyncCursorIDPage
from harness import ok


class Number(BaseModel):
    id: str
    number: str
    label: str | None = None


@pytest.fixture(scope="module")
def holder(server):
    tenant = server.tenant("sdk")
    tenant.its_agent = tenant.agent("Ada")
    endpoint = tenant.endpoint("sip:127.0.0.1:5999", agent=tenant.its_agent)
    for index in range(23):
        tenant.number(label=f"line {index}", **({"endpoint_id": endpoint["id"]} if index % 2 else {}))
    return tenant


@pytest.fixture(scope="module")
def client(holder):
    return Cartesia(api_key=holder.key("cartesia"), base_url=holder.server.url)


def test_the_sdk_lists_the_numbers_of_an_agent(holder, client):
    numbers = client.agents.list_phone_numbers(holder.its_agent["id"])
    assert len(numbers) == 11
    held = {n["e164"] for n in holder.pages("/api/v1/numbers") if n["agent_id"] == holder.its_agent["id"]}
    assert {n.number for n in numbers} == held
    for number in numbers:
        assert number.agent_id == holder.its_agent["id"] and number.is_cartesia_managed is True
        assert number.created_at and number.updated_at


@pytest.mark.parametrize("limit", [None, 1, 10, 23])
def test_the_sdk_pages_through_all_numbers(holder, client, limit):
    options = {"params": {"limit": limit}} if limit else {}
    pages = client.get_api_list("/agents/phone-numbers", page=SyncCursorIDPage[Number], model=Number, options=options)
    everything = [n.number for n in pages]  # asks on until a page is empty
    assert len(everything) == 23
    assert sorted(everything) == sorted(n["e164"] for n in holder.pages("/api/v1/numbers"))


def test_the_sdk_pages_backwards(holder, client):
    everything = ok(holder.cartesia.get("/agents/phone-numbers", params={"limit": 100}), 200)["data"]
    options = {"params": {"limit": 5, "ending_before": everything[-1]["id"]}}
    pages = client.get_api_list("/agents/phone-numbers", page=SyncCursorIDPage[Number], model=Number, options=options)
    found = [[n.id for n in page.data] for page in pages.iter_pages()]
    assert [n for page in reversed(found) for n in page] == [n["id"] for n in everything[:-1]]


def test_the_sdk_raises_the_vendors_errors(holder, client):
    with pytest.raises(cartesia.NotFoundError) as missing:
        client.agents.list_phone_numbers("agent_nobody")
    assert set(missing.value.body) >= {"error_code", "title", "message", "request_id"}
    stranger = Cartesia(api_key="sk_car_nobody", base_url=holder.server.url)
    with pytest.raises(cartesia.AuthenticationError):
        stranger.agents.list_phone_numbers(holder.its_agent["id"])
    other = Cartesia(api_key=holder.server.tenant("other").key("cartesia"), base_url=holder.server.url)
    with pytest.raises(cartesia.NotFoundError):
        other.agents.list_phone_numbers(holder.its_agent["id"])
