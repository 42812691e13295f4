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
