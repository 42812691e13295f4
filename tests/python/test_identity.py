"""People who sign in elsewhere: tokens of a local issuer, over HTTP, in each API that takes them."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from harness import Server, credential, free_port, ok, wait_for
from issuers import KeyServer, SigningKey, b64, claims_of, key_set

SUPABASE, ENTRA = "https://project.supabase.example/auth/v1", "https://login.example/{tid}/v2.0"
NUMBERS = {"krosai": "/v1/phone-numbers", "neo": "/public-api/phone/numbers", "native": "/api/v1/numbers"}
NOBODY = "0190b5b0-1111-7222-8333-444455556666"


class World:
    """A server that trusts three issuers: Supabase's kind (keys by URL), Entra's kind (keys in a file), and one whose keys are away."""

    def __init__(self, folder):
        self.keys = {name: SigningKey(name, algorithm) for name, algorithm in (("s1", "ES256"), ("s2", "RS256"), ("a1", "EdDSA"))}
        self.keys["e1"] = SigningKey("e1", with_alg=False)  # as Entra lists its keys
        self.supabase = KeyServer(free_port()).start()
        self.supabase.body = key_set(self.keys["s1"])
        self.late = KeyServer(free_port())
        self.late.body = key_set(self.keys["a1"])
        self.file = folder / "entra.json"
        self.file.write_text(key_set(self.keys["e1"]))
        self.config = folder / "trunkline.toml"
        self.config.write_text(f"""
[[issuers]]
name = "supabase"
dialects = ["krosai", "native"]
issuer = "{SUPABASE}"
audience = "authenticated"
jwks = "{self.supabase.url}"
organization_claim = "app_metadata.organizations"
role_claim = "app_metadata.role"
roles = {{ owner = "owner", staff = "member", guest = "viewer" }}
refresh_seconds = 3600

[[issuers]]
name = "entra"
dialects = ["neo"]
issuer = "{ENTRA}"
audience = ["api://trunkline", "trunkline"]
jwks = "entra.json"
organization_claim = "tid"
role_claim = "roles"
roles = {{ "Phone.Admin" = "admin", "Phone.Read" = "viewer" }}
default_role = "viewer"
leeway_seconds = 60
organizations = {{ "tid-1" = "{NOBODY}" }}

[[issuers]]
name = "late"
dialects = ["krosai"]
issuer = "https://late.example"
audience = "late"
jwks = "{self.late.url}"
organization_claim = "org"
default_role = "viewer"
refresh_seconds = 3
""")
        self.server = Server(folder, arguments=["--sim", "--config", str(self.config)], environment={"RUST_LOG": "debug"})

    def start(self):
        """Starts, makes a tenant, and starts again with the tenant under Entra's id for it."""
        self.server.start()
        self.acme, self.other = self.server.tenant("acme"), self.server.tenant("other")
        self.server.stop()
        self.config.write_text(self.config.read_text().replace(NOBODY, self.acme.id))
        self.server.start()
        self.number = self.acme.number()
        return self

    def stop(self):
        self.supabase.stop()
        self.late.stop()
        return self.server.stop()

    def now(self):
        """The server's clock, which the tests of this file move."""
        from datetime import datetime

        return datetime.fromisoformat(ok(self.server.admin.get("/sim/clock"), 200)["now"]).timestamp()

    def kros_claims(self, role="owner", organizations=None, **more):
        meta = {"organizations": self.acme.id if organizations is None else organizations, "role": role}
        return claims_of(SUPABASE, "authenticated", now=self.now()) | {"app_metadata": meta} | more

    def neo_claims(self, roles=("Phone.Admin",), **more):
        base = claims_of("https://login.example/tid-1/v2.0", "trunkline", now=self.now())
        return base | {"tid": "tid-1", "roles": list(roles)} | more

    def kros(self, key="s1", **more):
        return self.keys[key].token(self.kros_claims(**more))

    def neo(self, **more):
        return self.keys["e1"].token(self.neo_claims(**more))

    def api(self, token, **headers):
        return self.server.api({"authorization": f"Bearer {token}"} | headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("identity"))
    try:
        yield made.start()
        made.server.assert_up()
    finally:
        code = made.stop() if made.server.process else None
    assert code == 0, made.server.last_log()


def refused(world, token, dialect="krosai", status=401, **headers):
    """A refusal in the dialect's shape, which says nothing of why; gives its sentence."""
    response = world.api(token, **headers).get(NUMBERS[dialect])
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    assert world.number["e164"] not in response.text
    body = response.json()
    if dialect == "neo":
        assert body["error"]["code"] == {401: "UNAUTHORIZED", 403: "FORBIDDEN", 503: "SERVICE_UNAVAILABLE"}[status]
        assert body["meta"]["request_id"] == response.headers["x-request-id"]
        return body["error"]["message"]
    if dialect == "native":
        return body["detail"]
    if status == 401:
        assert body["code"] == "INVALID_API_KEY"
    return body["error"]


# --- Who comes in --------------------------------------------------------------------------------------------------------


def test_a_token_opens_its_apis_and_no_other(world):
    for token, own in ((world.kros(), ("krosai", "native")), (world.neo(), ("neo",))):
        for dialect, path in NUMBERS.items():
            response = world.api(token).get(path)
            assert response.status_code == (200 if dialect in own else 401), f"{dialect}: {response.text[:300]}"
            assert (world.number["e164"] in response.text) == (dialect in own)
        # An API without an issuer takes a token for an unknown key.
        for path in ("/agents/phone-numbers", f"/v1/agents/{NOBODY}/telephony/phone-numbers"):
            assert world.api(token, **{"cartesia-version": "2026-03-01", "x-api-key": token}).get(path).status_code == 401


def test_a_token_comes_as_bearer_only(world):
    assert world.server.api({"x-api-key": world.kros()}).get(NUMBERS["krosai"]).status_code == 401
    assert world.acme.krosai.get(NUMBERS["krosai"]).status_code == 200, "keys work beside tokens"


def test_roles_are_what_the_map_says(world):
    path = f"/v1/phone-numbers/{world.number['id']}"
    owner, staff, guest = (world.api(world.kros(role=role)) for role in ("owner", "staff", "guest"))
    assert "sip_password" in ok(owner.get(path), 200)["sip_credentials"]
    for client in (staff, guest):
        assert "sip_password" not in ok(client.get(path), 200)["sip_credentials"]
    ok(staff.patch(path, json={"allowOutbound": True}), 200)
    response = guest.patch(path, json={"allowOutbound": False})
    assert response.status_code == 403 and response.json()["code"] == "INSUFFICIENT_SCOPE"
    assert ok(guest.get(path), 200)["allow_outbound"] is True
    assert "no role" in refused(world, world.kros(role="king"), status=403)
    # The highest of several; who has none has the default.
    for roles, status in ((["Phone.Read", "Phone.Admin"], 201), (["Phone.Read"], 403), ([], 403), (["?"], 403)):
        made = world.api(world.neo(roles=roles)).post("/public-api/api-keys", json={"name": "by role"})
        assert made.status_code == status, made.text
        assert world.api(world.neo(roles=roles)).get(NUMBERS["neo"]).status_code == 200


def test_the_audit_log_names_the_person(world):
    token = world.keys["s1"].token(world.kros_claims(sub="grace"))
    path = f"/v1/phone-numbers/{world.number['id']}"
    ok(world.api(token).patch(path, json={"allowInbound": True, "allowOutbound": False}), 200)
    event = ok(world.acme.admin.get("/api/v1/events?limit=1"), 200)["data"][0]
    assert (event["actor"], event["key_id"], event["name"]) == ("person", None, "number.updated")
    assert event["person"] == {"issuer": SUPABASE, "subject": "grace"}


def test_every_kind_of_key_verifies(world, tmp_path):
    keys = [SigningKey(a, a) for a in ("RS256", "PS256", "ES256", "ES384", "EdDSA")]
    one_of_rsa = SigningKey("plain", with_alg=False)
    (tmp_path / "keys.json").write_text(key_set(*keys, one_of_rsa))
    issuer = {
        "name": "all", "dialects": ["native"], "issuer": "https://all.example", "audience": "x", "jwks": "keys.json",
        "organization_claim": "https://x.example/org", "default_role": "viewer",
    }  # fmt: skip
    server = Server(tmp_path, environment={"TRUNKLINE_ISSUER": json.dumps(issuer)}).start()
    try:
        claims = claims_of("https://all.example", ["y", "x"]) | {"https://x.example/org": server.tenant().id}
        for key in keys:
            assert server.api({"authorization": f"Bearer {key.token(claims)}"}).get("/api/v1/numbers").status_code == 200, key.id
        for algorithm in ("RS512", "PS384"):
            token = one_of_rsa.token(claims, algorithm=algorithm)
            assert server.api({"authorization": f"Bearer {token}"}).get("/api/v1/numbers").status_code == 200, algorithm
    finally:
        assert server.stop() == 0


# --- Who stays out -------------------------------------------------------------------------------------------------------


def test_what_the_issuer_did_not_sign_is_refused_alike(world):
    good, key = world.kros_claims(), world.keys["s1"]
    head, body, signature = key.token(good).split(".")
    stranger = SigningKey("s1", "ES256")
    public = key.pem()
    words = {
        refused(world, token)
        for token in (
            stranger.token(good),
            f"{head}.{b64(good | {'sub': 'eve'})}.{signature}",
            f"{head}.{body}.",
            f"{head}.{body}.{signature[:-4]}AAAA",
            f"{b64({'alg': 'none', 'typ': 'JWT'})}.{body}.",
            f"{b64({'alg': 'None', 'kid': 's1'})}.{body}.{signature}",
            # Key confusion: the public key taken for a shared secret, in each form it could be read in.
            *(hs256({"kid": "s1"}, good, secret) for secret in (public, public.strip(), json.dumps(key.jwk()).encode())),
            key.token(good, crit=["exp"]),
            key.token(good, kid="s9"),
            stranger.token(good, jwk=stranger.jwk()),
            world.keys["s2"].token(good),
            "a.b.c",
            "..",
            f"{head}.{body}.{'A' * 9000}",
        )
    }
    assert words == {"The token is not valid here."}
    rsa_public = world.keys["e1"].pem()
    assert refused(world, hs256({"kid": "e1"}, world.neo_claims(), rsa_public), "neo") == "The token is not valid here."


def hs256(header, claims, secret):
    """Signed by hand: libraries refuse to sign with a public key."""
    import hashlib
    import hmac

    message = f"{b64({'alg': 'HS256', 'typ': 'JWT'} | header)}.{b64(claims)}"
    return f"{message}.{b64(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def test_a_key_that_the_token_brings_along_counts_for_nothing(world):
    good, stranger = world.kros_claims(), SigningKey("s1", "ES256")
    assert world.api(world.keys["s1"].token(good, jwk=stranger.jwk())).get(NUMBERS["krosai"]).status_code == 200


def test_tokens_for_others_are_refused(world):
    for change in ({"aud": "anon"}, {"aud": []}, {"iss": SUPABASE + "/"}, {"iss": "https://elsewhere.example"}, {"sub": ""}, {"exp": None}):
        refused(world, world.keys["s1"].token(world.kros_claims() | change))
    for change in ({"tid": "tid-2"}, {"iss": "https://login.example/tid-2/v2.0"}, {"aud": "authenticated"}):
        refused(world, world.keys["e1"].token(world.neo_claims() | change), "neo")


def test_time_is_the_servers_with_a_minutes_grace(world):
    now = int(world.now())
    for change, fits in (
        ({"exp": now - 50}, True),
        ({"exp": now - 62}, False),
        ({"nbf": now + 50}, True),
        ({"nbf": now + 75}, False),
        ({"exp": now + 5.5, "nbf": now - 5.5}, True),
    ):
        token = world.keys["s1"].token(world.kros_claims() | change)
        if fits:
            assert world.api(token).get(NUMBERS["krosai"]).status_code == 200, change
        else:
            words = refused(world, token)
            assert ("expired" in words) == ("exp" in change)


def test_a_token_that_was_verified_still_ends(world):
    token = world.kros()
    assert world.api(token).get(NUMBERS["krosai"]).status_code == 200
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 300}), 200)
    assert world.api(token).get(NUMBERS["krosai"]).status_code == 200, "the minute of grace"
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 61}), 200)
    assert "expired" in refused(world, token)


# --- Organizations -------------------------------------------------------------------------------------------------------


def test_the_claim_decides_the_organization_and_the_header_chooses_among_it(world):
    both = [NOBODY, "no id", world.acme.id, world.other.id]
    first = world.api(world.kros(organizations=both)).get(NUMBERS["krosai"])
    assert [n["organization_id"] for n in ok(first, 200)] == [world.acme.id]
    named = world.api(world.kros(organizations=both), **{"x-organization-id": world.other.id}).get(NUMBERS["krosai"])
    assert ok(named, 200) == []
    for claimed, wanted in ((world.acme.id, world.other.id), (both, NOBODY), ([], world.acme.id)):
        refused(world, world.kros(organizations=claimed), status=403, **{"x-organization-id": wanted})
    for claimed in (NOBODY, "acme", [], {}, 7):
        assert "no organization" in refused(world, world.kros(organizations=claimed), status=403)
    refused(world, world.neo(), "neo", 403, **{"x-organization-id": world.other.id})


def test_another_organizations_number_is_not_there(world):
    theirs = world.other.number()
    path = f"/v1/phone-numbers/{theirs['id']}"
    assert world.api(world.kros()).get(path).status_code == 404
    assert world.api(world.kros()).patch(path, json={"allowInbound": False}).status_code == 404
    assert world.other.read(theirs)["allow_inbound"] is True


# --- Keys that change and go away ----------------------------------------------------------------------------------------


def test_a_new_key_is_asked_for_at_once_and_not_too_often(world):
    new = [SigningKey(f"new{n}", "ES256") for n in range(2)]
    world.supabase.body = key_set(world.keys["s1"], new[0])
    # Other tests named keys that are not there; half a minute later one may again.
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 31}), 200)
    before = world.supabase.asked
    token = new[0].token(world.kros_claims())
    assert world.api(token).get(NUMBERS["krosai"]).status_code == 200
    assert world.supabase.asked == before + 1
    # Strangers' keys do not make us ask again and again.
    for n in range(5):
        refused(world, new[1].token(world.kros_claims(), kid=f"stranger{n}"))
    assert world.supabase.asked == before + 1
    # A key that is gone from the set opens nothing, though the token was verified before.
    world.supabase.body = key_set(new[0])
    old = world.kros()
    assert world.api(old).get(NUMBERS["krosai"]).status_code == 200
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 3_600}), 200)
    wait_for(lambda: world.supabase.asked > before + 1, "the keys are read again by the hour")
    fresh = new[0].token(world.kros_claims())
    wait_for(lambda: world.api(world.kros()).get(NUMBERS["krosai"]).status_code == 401, "the old key is out")
    assert world.api(fresh).get(NUMBERS["krosai"]).status_code == 200
    world.supabase.body = key_set(world.keys["s1"])
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 3_600}), 200)
    wait_for(lambda: world.api(world.kros()).get(NUMBERS["krosai"]).status_code == 200, "and back")


def test_keys_that_are_away_or_broken_leave_the_known_ones_in_use(world):
    good = world.supabase.body
    for body, status in (("{", 200), ('{"keys": {}}', 200), (good, 500), ("[" + " " * 300_000 + "]", 200)):
        world.supabase.body, world.supabase.status = body, status
        before = world.supabase.asked
        ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 3_600}), 200)
        wait_for(lambda before=before: world.supabase.asked > before, "the keys are asked for")
        time.sleep(0.1)
        assert world.api(world.kros()).get(NUMBERS["krosai"]).status_code == 200, body[:20]
    world.supabase.body, world.supabase.status = good, 200
    world.supabase.stop()
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 3_600}), 200)
    assert world.api(world.kros()).get(NUMBERS["krosai"]).status_code == 200
    world.supabase.start()


def test_a_set_that_is_emptied_takes_every_token_back(world):
    good, token = world.supabase.body, world.kros()
    assert world.api(token).get(NUMBERS["krosai"]).status_code == 200
    for empty in ('{"keys": []}', key_set().replace("[]", '[{"kty": "oct", "kid": "s1", "k": "c2VjcmV0"}]')):
        world.supabase.body = empty
        ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 3_600}), 200)
        wait_for(lambda: world.api(world.kros()).get(NUMBERS["krosai"]).status_code == 401, "the emptied set is obeyed")
        assert refused(world, world.kros()) == "The token is not valid here."
        world.supabase.body = good
        ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 3_600}), 200)
        wait_for(lambda: world.api(world.kros()).get(NUMBERS["krosai"]).status_code == 200, "and its keys again")


def test_keys_that_could_not_be_read_for_a_day_count_no_longer(world):
    def advance(hours):
        ok(world.server.admin.post("/sim/clock", json={"advance_seconds": hours * 3_600}), 200)

    def status():
        return world.api(world.kros()).get(NUMBERS["krosai"]).status_code

    before = world.supabase.asked
    advance(1)
    wait_for(lambda: world.supabase.asked > before, "the keys are confirmed now")
    time.sleep(0.1)
    world.supabase.status = 500
    try:
        advance(23)
        assert status() == 200
        advance(2)
        assert "try again" in refused(world, world.kros(), status=503)
        # Nor do they where a token was verified before; and nobody else is kept out.
        token = world.kros()
        assert [world.api(token).get(NUMBERS["krosai"]).status_code for _ in range(2)] == [503, 503]
        assert world.api(world.neo()).get(NUMBERS["neo"]).status_code == 200
    finally:
        world.supabase.status = 200
    advance(1)
    wait_for(lambda: status() == 200, "the same keys, confirmed")


def test_an_issuer_that_was_never_there_keeps_only_its_own_out_until_it_comes(world):
    def token():
        return world.keys["a1"].token(claims_of("https://late.example", "late", now=world.now()) | {"org": world.acme.id})

    words = refused(world, token(), status=503)
    assert "try again" in words
    assert world.api(world.kros()).get(NUMBERS["krosai"]).status_code == 200
    assert "issuer=\"late\"" in world.server.log.read_text() or "late" in world.server.log.read_text()
    world.late.start()
    wait_for(lambda: world.api(token()).get(NUMBERS["krosai"]).status_code == 200, "its keys are there", 15)


# --- What a token costs and leaves behind --------------------------------------------------------------------------------


def test_people_and_keys_share_the_tenants_allowance(world):
    def left(client):
        response = client.get(NUMBERS["neo"])
        assert response.status_code == 200 and response.headers["x-ratelimit-limit"] == "1200"
        return int(response.headers["x-ratelimit-remaining"])

    people = [world.api(world.neo(sub=name)) for name in ("ada", "bob")]
    began = time.monotonic()
    for turn in range(300):
        left(people[turn % 2])
    # What people spent is missing to the key, but for the 20 requests that come back each second.
    assert left(world.acme.neo) <= 1200 - 301 + 20 * (time.monotonic() - began) + 1


def test_no_token_reaches_the_log(world):
    good, key = world.kros_claims(sub="secret-person"), world.keys["s1"]
    tokens = [key.token(good), SigningKey("s1", "ES256").token(good), key.token(good | {"exp": 1})]
    for token in tokens:
        world.api(token).get(NUMBERS["krosai"])
    log = world.server.log.read_text()
    for token in tokens:
        assert not any(part in log for part in token.split(".")[1:])
    assert "secret-person" not in log


# --- Neo's keys ----------------------------------------------------------------------------------------------------------


def test_neo_keys_are_made_and_rotated_by_people_alone(world):
    admin, path = world.api(world.neo()), "/public-api/api-keys"
    for role in ("owner", "admin", "viewer"):
        for target in (path, f"{path}/{NOBODY}/rotate"):
            response = world.acme.client("neo", role).post(target, json={"name": "mine"})
            assert response.status_code == 403 and response.json()["error"]["code"] == "FORBIDDEN"
    for body, status in (({}, 422), ({"name": ""}, 422), ({"name": "n" * 201}, 422), ({"name": "a", "expires_at": "soon"}, 422),
                         ({"name": "a", "expires_at": "2001-01-01T00:00:00Z"}, 422), ([], 400)):  # fmt: skip
        response = admin.post(path, json=body)
        assert response.status_code == status, response.text
    made = admin.post(path, json={"name": "n" * 200, "expires_at": None})
    body = ok(made, 201)
    assert set(body["data"]) == {"id", "name", "key", "created_at", "expires_at"} and body["data"]["expires_at"] is None
    assert body["data"]["key"].startswith("neo_sk_prod_") and body["meta"]["request_id"] == made.headers["x-request-id"]
    first = world.api(body["data"]["key"])
    assert first.get(NUMBERS["neo"]).status_code == 200
    assert first.post(path, json={"name": "child"}).status_code == 403
    # A new key now; the old one for a day.
    rotated = ok(admin.post(f"{path}/{body['data']['id']}/rotate"), 200)["data"]
    assert rotated["key"] != body["data"]["key"] and rotated["name"] == "n" * 200 and rotated["expires_at"] is None
    again = admin.post(f"{path}/{body['data']['id']}/rotate")
    assert again.status_code == 409 and "replaced already" in again.json()["error"]["message"]
    second = world.api(rotated["key"])
    assert (first.get(NUMBERS["neo"]).status_code, second.get(NUMBERS["neo"]).status_code) == (200, 200)
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 24 * 3_600 - 60}), 200)
    assert first.get(NUMBERS["neo"]).status_code == 200
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 60}), 200)
    assert (first.get(NUMBERS["neo"]).status_code, second.get(NUMBERS["neo"]).status_code) == (401, 200)
    admin = world.api(world.neo())
    assert admin.post(f"{path}/{body['data']['id']}/rotate").status_code == 409
    assert ok(admin.post(f"{path}/{rotated['id']}/rotate"), 200)["data"]["expires_at"] is None, "the one in its place can be"
    # Of many who rotate one key at once, one does.
    racer = ok(admin.post(path, json={"name": "raced"}), 201)["data"]
    target = f"{path}/{racer['id']}/rotate"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: world.api(world.neo()).post(target), range(8)))
    assert sorted(a.status_code for a in answers) == [200] + [409] * 7, [a.text for a in answers]
    [won] = [a.json()["data"] for a in answers if a.status_code == 200]
    assert won["expires_at"] is None
    # The native API lists and revokes them.
    keys = f"/api/v1/organizations/{world.acme.id}/keys"
    listed = {key["id"]: key for key in ok(world.acme.admin.get(keys), 200)["data"]}
    assert listed[rotated["id"]]["dialect"] == "neo" and rotated["key"] not in json.dumps(listed)
    ok(world.acme.admin.delete(f"{keys}/{rotated['id']}"), 204)
    assert second.get(NUMBERS["neo"]).status_code == 401
    assert admin.post(f"{path}/{rotated['id']}/rotate").status_code == 404
    events = ok(world.acme.admin.get("/api/v1/events"), 200)["data"]
    assert {"key.created", "key.rotated", "key.revoked"} <= {event["name"] for event in events}


def test_a_neo_key_ends_when_it_was_told_to(world):
    until = "2999-01-01T00:00:00.000Z"
    admin = world.api(world.neo())
    assert ok(admin.post("/public-api/api-keys", json={"name": "long", "expires_at": until}), 201)["data"]["expires_at"] == until
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(world.now() + 120))
    key = ok(admin.post("/public-api/api-keys", json={"name": "short", "expires_at": soon}), 201)["data"]["key"]
    assert world.api(key).get(NUMBERS["neo"]).status_code == 200
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": 121}), 200)
    assert world.api(key).get(NUMBERS["neo"]).status_code == 401


def test_another_tenants_neo_key_is_not_rotated(world):
    keys = f"/api/v1/organizations/{world.other.id}/keys"
    theirs = ok(world.other.admin.post(keys, json={"name": "t", "dialect": "neo", "role": "viewer", "mode": "live"}), 201)
    for key_id in (theirs["id"], NOBODY, "7"):
        assert world.api(world.neo()).post(f"/public-api/api-keys/{key_id}/rotate").status_code == 404
    native = ok(world.acme.admin.post(keys.replace(world.other.id, world.acme.id), json={"name": "n", "dialect": "native", "role": "owner"}), 201)
    assert world.api(world.neo()).post(f"/public-api/api-keys/{native['id']}/rotate").status_code == 404
    assert world.server.api(credential("neo", theirs["key"])).get(NUMBERS["neo"]).status_code == 200


def test_a_repeated_neo_post_makes_one_key_and_shows_it_to_its_maker(world):
    again = {"idempotency-key": "neo-key-1"}
    ada, bob = world.api(world.neo(), **again), world.api(world.neo(sub="bob"), **again)
    made = ok(ada.post("/public-api/api-keys", json={"name": "once"}), 201)
    assert ok(ada.post("/public-api/api-keys", json={"name": "once"}), 201) == made
    response = bob.post("/public-api/api-keys", json={"name": "once"})
    assert response.status_code == 422 and made["data"]["key"] not in response.text
    assert ada.post("/public-api/api-keys", json={"name": "twice"}).status_code == 422
    rotate = f"/public-api/api-keys/{made['data']['id']}/rotate"
    first = ok(world.api(world.neo(), **{"idempotency-key": "neo-key-2"}).post(rotate), 200)
    assert ok(world.api(world.neo(), **{"idempotency-key": "neo-key-2"}).post(rotate), 200) == first


def test_neos_document_is_open_and_is_its_own(world):
    anonymous, wrong = world.server.anonymous, world.api("neo_sk_prod_wrong")
    for client in (anonymous, wrong, world.acme.neo):
        answer = client.get("/public-api/openapi.json")
        document = ok(answer, 200)
        # As every answer of this API does; reading the document costs nothing of it.
        assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("1200", "1200")
        assert float(answer.headers["x-ratelimit-reset"]) > 0
        assert document == ok(anonymous.get("/openapi/neo.json"), 200)
    assert document["paths"]["/public-api/openapi.json"]["get"]["security"] == []
    assert anonymous.post("/public-api/openapi.json").status_code == 401


# --- The configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"jwks": "nowhere.json"}, "jwks"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"audience": []}, "audience"),
        ({"dialects": ["fax"]}, "dialects"),
        ({"roles": {"a": "king"}}, "roles"),
        ({"surprise": 1}, "surprise"),
        ({"lapse_seconds": 1}, "lapse_seconds"),
        ({"issuer": "https://i.example/{tid}"}, "organization_claim"),
    ],
)
def test_a_wrong_configuration_does_not_start_and_says_what_is_wrong(tmp_path, change, told):
    import subprocess

    from harness import BINARY

    issuer = {
        "name": "i", "dialects": ["neo"], "issuer": "https://i.example", "audience": "x", "jwks": "http://127.0.0.1:9/keys",
        "organization_claim": "org", "default_role": "viewer",
    }  # fmt: skip
    command = [BINARY, "serve", "--http", f"127.0.0.1:{free_port()}", "--sip", f"udp:127.0.0.1:{free_port()}",
               "--store", f"sqlite:{tmp_path / 't.db'}", "--issuer", json.dumps(issuer | change)]  # fmt: skip
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert ended.returncode != 0 and told in ended.stderr, ended.stderr


def test_the_library_agrees_that_the_good_token_is_good(world):
    """The tokens of this file are what a common library makes and reads: the refusals above are not about their form."""
    key = world.keys["s1"]
    claims = jwt.decode(world.kros(), key.private.public_key(), ["ES256"], audience="authenticated", options={"verify_iat": False, "verify_nbf": False, "verify_exp": False})
    assert claims["iss"] == SUPABASE
