"""The vendor's own SDK, unmodified: only the base URL and the key are ours."""

import cartesia
import pytest
from cartesia import BaseModel, Cartesia
from cartesia.pagination import SyncCursorIDPage
from harness import new_number, ok, wait_for
from sip import Agent, Caller


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


def test_the_sdk_reads_changes_and_deletes_agents(holder, client):
    made = holder.agent("Sdk")
    assert made["id"] in [a.id for a in client.agents.list().summaries]
    changed = client.agents.update(made["id"], name="Renamed", description="d", tts_voice="v", tts_language="de")
    assert (changed.name, changed.description, changed.tts_voice, changed.tts_language) == ("Renamed", "d", "v", "de")
    assert client.agents.retrieve(made["id"]) == changed
    assert len(client.agents.retrieve(holder.its_agent["id"]).phone_numbers) == 11
    client.agents.delete(made["id"])
    with pytest.raises(cartesia.NotFoundError):
        client.agents.retrieve(made["id"])


def test_the_sdk_pages_through_the_calls_of_an_agent(holder, client):
    agent = holder.agent("Phone")
    with Agent() as answering, Caller(holder.server.sip, "127.0.3.1") as caller:
        endpoint = holder.endpoint(answering.uri, agent=agent)
        number = holder.number(trunk=holder.trunk("127.0.3.1"), endpoint_id=endpoint["id"])
        for _ in range(3):
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            call.bye()

    def ended():
        found = list(client.agents.calls.list(agent_id=agent["id"], limit=2))  # asks on until a page is empty
        return found if [c.status for c in found] == ["completed"] * 3 else None

    found = wait_for(ended, "three completed calls")
    one = client.agents.calls.retrieve(found[0].id)
    assert one == found[0] and one.agent_id == agent["id"] and one.telephony_params.to == "+12125550100"
    gone = client.delete(f"/agents/calls/{one.id}", cast_to=object)
    assert gone["redacted_at"] and gone["telephony_params"] is None


def test_the_sdks_generic_verbs_reach_what_it_has_no_methods_for(holder, client):
    trunk = {"type": "sip_trunk", "label": "sdk", "inbound": {"allowed_addresses": ["192.0.2.99"]}}
    made = client.post("/agents/phone-numbers/providers", cast_to=object, body=trunk)
    body = {"label": "by sdk", "number": new_number(), "provider": {"id": made["id"]}}
    number = client.post("/agents/phone-numbers", cast_to=Number, body=body)
    with pytest.raises(cartesia.ConflictError):
        client.post("/agents/phone-numbers", cast_to=Number, body=body)
    with pytest.raises(cartesia.ConflictError):
        client.delete(f"/agents/phone-numbers/providers/{made['id']}", cast_to=object)
    changed = client.patch(f"/agents/phone-numbers/{number.id}", cast_to=Number, body={"label": "other"})
    assert changed.label == "other"
    client.delete(f"/agents/phone-numbers/{number.id}", cast_to=object)
    client.delete(f"/agents/phone-numbers/providers/{made['id']}", cast_to=object)
    holder.server.stock()
    provisioned = client.post("/agents/phone-numbers/provision", cast_to=Number, body={"label": "bought"})
    assert client.get(f"/agents/phone-numbers/{provisioned.id}", cast_to=Number).label == "bought"
    client.delete(f"/agents/phone-numbers/{provisioned.id}", cast_to=object)
