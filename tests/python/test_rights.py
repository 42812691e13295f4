"""What a key may pass on, and what a repeat may show: no key gives or learns more than it has itself."""

from harness import credential, ok


def with_key(tenant, **how):
    return tenant.server.api(credential("native", tenant.key("native", **how)))


def test_no_key_makes_or_revokes_one_above_itself(tenant):
    keys = f"/api/v1/organizations/{tenant.id}/keys"
    new = {"name": "more", "dialect": "native", "role": "admin"}
    narrow = with_key(tenant, role="admin", scopes=["api-keys:write"])
    same = ok(narrow.post(keys, json=new), 201)["key"]
    assert tenant.server.api(credential("native", same)).get("/api/v1/numbers").status_code == 403
    assert narrow.post(keys, json=new | {"scopes": ["numbers:write"]}).status_code == 403
    ok(narrow.post(keys, json=new | {"scopes": ["api-keys:read"]}), 201)
    test = with_key(tenant, role="owner", mode="test")
    assert test.post(keys, json=new).status_code == 403
    ok(test.post(keys, json=new | {"mode": "test"}), 201)
    owners = ok(tenant.native.post(keys, json=new | {"role": "owner"}), 201)
    assert with_key(tenant, role="admin").delete(f"{keys}/{owners['id']}").status_code == 403
    ok(tenant.native.delete(f"{keys}/{owners['id']}"))


def test_a_repeat_under_another_role_shows_no_password(tenant):
    number, again = tenant.number(), {"idempotency-key": "renew"}
    path = f"/api/v1/numbers/{number['id']}/sip-credentials"
    shown = ok(with_key(tenant, role="admin").post(path, headers=again), 200)["sip_password"]
    assert ok(with_key(tenant, role="admin").post(path, headers=again), 200)["sip_password"] == shown
    for repeat in (with_key(tenant, role="member"), with_key(tenant, role="owner", mode="test")):
        refused = repeat.post(path, headers=again)
        assert refused.status_code == 422 and shown not in refused.text
    unchanged = ok(tenant.krosai.get(f"/v1/phone-numbers/{number['id']}"), 200)
    assert unchanged["sip_credentials"]["sip_password"] == shown
