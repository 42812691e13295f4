//! What an organization has besides numbers: itself, keys, money, agents, endpoints, providers.

use super::{of_agents, of_endpoints, of_organizations, of_providers, text};

#[test]
fn organizations_keys_and_money() {
    insta::assert_snapshot!(text(of_organizations()), @r#"
    POST /api/v1/organizations {"kyc":"approved","name":"acme","number_slots":null,"settings":{"imports":"open"}}
    → OrganizationCreate(OrganizationNew { name: "acme", kyc: Approved, number_slots: None, settings: {"imports": String("open")} })
    ← 201
    etag: "3"
    location: /api/v1/organizations/11111111-1111-1111-1111-111111111111
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created_at": "2026-03-01T12:00:00.250000Z",
      "id": "11111111-1111-1111-1111-111111111111",
      "kyc": "approved",
      "name": "acme",
      "number_slots": null,
      "settings": {
        "imports": "open"
      },
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/organizations?limit=1
    → OrganizationList(Page { limit: 1, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"MTExMTExMTEtMTExMS0xMTExLTExMTEtMTExMTExMTExMTEx"}

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111
    → OrganizationGet(OrganizationId(11111111-1111-1111-1111-111111111111))
    ← 200
    etag: "3"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/organizations/11111111-1111-1111-1111-111111111111 {"number_slots":5}
    → OrganizationUpdate(OrganizationId(11111111-1111-1111-1111-111111111111), OrganizationPatch { name: None, kyc: None, number_slots: Set(5), settings: None }, Some(2))
    ← 200
    etag: "3"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    POST /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys {"dialect":"native","mode":"test","name":"ci","role":"member","scopes":["numbers:read"]}
    → KeyCreate(OrganizationId(11111111-1111-1111-1111-111111111111), KeyNew { name: "ci", dialect: DialectName("native"), role: Member, scopes: Some([Scope { area: Numbers, access: Read }]), mode: Test, allowed_addresses: [], expires_at: None })
    ← 201
    location: /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys/22222222-2222-2222-2222-222222222222
    cache-control: no-store
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "allowed_addresses": [],
      "created_at": "2026-03-01T12:00:00.250000Z",
      "dialect": "native",
      "expires_at": null,
      "id": "22222222-2222-2222-2222-222222222222",
      "key": "tl_test_abcdef",
      "mode": "test",
      "name": "ci",
      "prefix": "tl_test_abcd",
      "replaced_at": null,
      "revoked_at": null,
      "role": "member",
      "scopes": [
        "numbers:read"
      ]
    }

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys
    → KeyList(OrganizationId(11111111-1111-1111-1111-111111111111), Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "allowed_addresses": [],
          "created_at": "2026-03-01T12:00:00.250000Z",
          "dialect": "native",
          "expires_at": null,
          "id": "22222222-2222-2222-2222-222222222222",
          "mode": "test",
          "name": "ci",
          "prefix": "tl_test_abcd",
          "replaced_at": null,
          "revoked_at": null,
          "role": "member",
          "scopes": [
            "numbers:read"
          ]
        }
      ],
      "next_cursor": "MjIyMjIyMjItMjIyMi0yMjIyLTIyMjItMjIyMjIyMjIyMjIy"
    }

    DELETE /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys/22222222-2222-2222-2222-222222222222
    → KeyDelete(OrganizationId(11111111-1111-1111-1111-111111111111), KeyId(22222222-2222-2222-2222-222222222222))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    POST /api/v1/organizations/11111111-1111-1111-1111-111111111111/ledger {"amount_cents":500,"reason":"top up"}
    → LedgerPost(OrganizationId(11111111-1111-1111-1111-111111111111), 500, "top up")
    ← 201
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "account": "wallet",
      "amount_cents": -2,
      "amount_micros": -15001,
      "balance_after_cents": 98,
      "balance_after_micros": 984999,
      "call_id": null,
      "created_at": "2026-03-01T12:00:00.250000Z",
      "id": 9,
      "kind": "rental",
      "number_id": "77777777-7777-7777-7777-777777777777",
      "period": 3,
      "posting_id": "33333333-3333-3333-3333-333333333333",
      "reason": "call"
    }

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111/ledger?cursor=OQ
    → LedgerList(OrganizationId(11111111-1111-1111-1111-111111111111), Page { limit: 100, start: After(9) })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"OQ"}

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111/balance
    → BalanceGet(OrganizationId(11111111-1111-1111-1111-111111111111))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "balance_cents": 98,
      "currency": "USD"
    }
    "#);
}

#[test]
fn agents() {
    insta::assert_snapshot!(text(of_agents()), @r#"
    POST /api/v1/agents {"description":null,"name":"Ada"}
    → AgentCreate(None, AgentPatch { name: Some("Ada"), description: Keep, bags: {} })
    ← 201
    etag: "1"
    location: /api/v1/agents/ada
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created_at": "2026-03-01T12:00:00.250000Z",
      "description": null,
      "id": "ada",
      "name": "Ada",
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/agents?limit=1000&cursor=YWRh
    → AgentList(Page { limit: 1000, start: After(AgentId("ada")) })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"YWRh"}

    GET /api/v1/agents/ada
    → AgentGet(AgentId("ada"))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/agents/ada {"description":null}
    → AgentUpdate(AgentId("ada"), AgentPatch { name: None, description: Clear, bags: {} }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/agents/ada
    → AgentDelete(AgentId("ada"), Some(1))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}

#[test]
fn endpoints() {
    insta::assert_snapshot!(text(of_endpoints()), @r#"
    POST /api/v1/endpoints {"agent_id":"ada","environment":"live","is_default":null,"kind":"sip","name":"desk","source_addresses":["192.0.2.77/24"],"targets":[{"uri":"sip:agent@127.0.0.1:5080"},{"enabled":false,"priority":0,"uri":"sip:b@h","weight":1}]}
    → EndpointCreate(EndpointPatch { name: Some("desk"), kind: Some(Sip), status: None, url: Keep, config: None, agent_id: Set(AgentId("ada")), environment: Some(Live), is_default: None, targets: Some([Target { uri: TargetUri { text: "sip:agent@127.0.0.1:5080", user: Some("agent"), host: "127.0.0.1", port: Some(5080), transport: Udp, named: false }, priority: 10, weight: 10, enabled: true }, Target { uri: TargetUri { text: "sip:b@h", user: Some("b"), host: "h", port: None, transport: Udp, named: false }, priority: 0, weight: 1, enabled: false }]), source_addresses: Some([AddressRule { network: 192.0.2.0, prefix: 24 }]), allow_transfer: None, manner: MannerPatch { login: Keep, credentials: Keep, media_encryption: None, headers: Keep, to_form: None, ring_seconds: Keep }, rules: EndpointRulesPatch { failover: Keep, answer_seconds: Keep, health: Keep, fallback: Keep }, bags: {} })
    ← 201
    etag: "1"
    location: /api/v1/endpoints/44444444-4444-4444-4444-444444444444
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "agent_id": "ada",
      "allow_transfer": true,
      "answer_seconds": null,
      "config": {},
      "created_at": "2026-03-01T12:00:00.250000Z",
      "environment": "live",
      "failover": null,
      "fallback": null,
      "headers": {},
      "health": {
        "enabled": false,
        "interval_seconds": 30
      },
      "id": "44444444-4444-4444-4444-444444444444",
      "is_default": false,
      "kind": "sip",
      "media_encryption": "allowed",
      "name": "desk",
      "ring_seconds": null,
      "source_addresses": [
        "192.0.2.0/24"
      ],
      "status": "active",
      "targets": [
        {
          "enabled": true,
          "priority": 10,
          "uri": "sip:agent@127.0.0.1:5080",
          "weight": 10
        }
      ],
      "to_form": "as_received",
      "updated_at": "2026-03-01T12:00:00.250000Z",
      "url": null,
      "username": null
    }

    GET /api/v1/endpoints
    → EndpointList(Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"NDQ0NDQ0NDQtNDQ0NC00NDQ0LTQ0NDQtNDQ0NDQ0NDQ0NDQ0"}

    GET /api/v1/endpoints/44444444-4444-4444-4444-444444444444
    → EndpointGet(EndpointId(44444444-4444-4444-4444-444444444444))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    GET /api/v1/endpoints/44444444-4444-4444-4444-444444444444/health
    → EndpointHealth(EndpointId(44444444-4444-4444-4444-444444444444))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "enabled": true,
      "interval_seconds": 30,
      "targets": [
        {
          "cause": "answered",
          "checked_at": "1970-01-01T00:00:00.000000Z",
          "since": "1970-01-01T00:00:00.000000Z",
          "sip_status": 200,
          "state": "up",
          "uri": "sip:agent@127.0.0.1:5080"
        }
      ]
    }

    PATCH /api/v1/endpoints/44444444-4444-4444-4444-444444444444 {"agent_id":null,"targets":[]}
    → EndpointUpdate(EndpointId(44444444-4444-4444-4444-444444444444), EndpointPatch { name: None, kind: None, status: None, url: Keep, config: None, agent_id: Clear, environment: None, is_default: None, targets: Some([]), source_addresses: None, allow_transfer: None, manner: MannerPatch { login: Keep, credentials: Keep, media_encryption: None, headers: Keep, to_form: None, ring_seconds: Keep }, rules: EndpointRulesPatch { failover: Keep, answer_seconds: Keep, health: Keep, fallback: Keep }, bags: {} }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/endpoints/44444444-4444-4444-4444-444444444444
    → EndpointDelete(EndpointId(44444444-4444-4444-4444-444444444444), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}

#[test]
fn providers_never_show_a_password() {
    insta::assert_snapshot!(text(of_providers()), @r#"
    POST /api/v1/providers {"inbound":{"allowed_addresses":["127.0.0.1"],"credentials":{"password":"hush","username":"in"}},"kind":"sip_trunk","label":"carrier","outbound":{"address":"sip.example.com:5061","transport":"tls"}}
    → ProviderCreate(SipTrunk, ProviderIn { label: Some("carrier"), inbound: Set(InboundIn { allowed_addresses: Some([AddressRule { network: 127.0.0.1, prefix: 32 }]), allowed_numbers: None, allowed_hosts: Some([]), media_encryption: None, credentials: Set(CredentialsIn { username: "in", password: Some(Secret(…)) }), certificate_names: None }), outbound: Set(OutboundIn { address: Some("sip.example.com:5061"), transport: Some(Tls), place: Movable, destination_country: Keep, media_encryption: None, credentials: Keep, number_format: None, prefix: Keep, headers: Keep, from: None, emergency: None, calls_per_second: Keep, priority: None }), register: Keep, account: None, calls_max: Keep })
    ← 201
    etag: "1"
    location: /api/v1/providers/55555555-5555-5555-5555-555555555555
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "account_sid": null,
      "api_key_sid": null,
      "created_at": "2026-03-01T12:00:00.250000Z",
      "id": "55555555-5555-5555-5555-555555555555",
      "inbound": {
        "allowed_addresses": [
          "127.0.0.1"
        ],
        "allowed_numbers": [],
        "certificate_names": [],
        "media_encryption": "allowed",
        "username": "in"
      },
      "kind": "sip_trunk",
      "label": "carrier",
      "max_concurrent_calls": null,
      "organization_id": "11111111-1111-1111-1111-111111111111",
      "outbound": {
        "address": "sip.example.com:5061",
        "calls_per_second": null,
        "destination_country": null,
        "emergency": false,
        "from": "as_sent",
        "headers": {},
        "media_encryption": "disabled",
        "number_format": "e164",
        "prefix": null,
        "priority": 10,
        "transport": "tls",
        "username": null
      },
      "region": null,
      "register": {
        "domain": null,
        "expires_seconds": 600,
        "registrar": "sip.example.com",
        "transport": "udp",
        "user": "+4930123",
        "username": "line"
      },
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/providers
    → ProviderList(Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"NTU1NTU1NTUtNTU1NS01NTU1LTU1NTUtNTU1NTU1NTU1NTU1"}

    GET /api/v1/providers/55555555-5555-5555-5555-555555555555
    → ProviderGet(ProviderId(55555555-5555-5555-5555-555555555555))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    GET /api/v1/providers/55555555-5555-5555-5555-555555555555/status
    → ProviderStatus(ProviderId(55555555-5555-5555-5555-555555555555))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "hosts": [
        {
          "addresses": [
            "192.0.2.9"
          ],
          "failing": true,
          "looked_up_at": "2026-03-01T12:00:00.250000Z",
          "name": "sip.example.com",
          "next_look_up_at": null
        }
      ],
      "registration": {
        "contact": "sip:tr00@edge.example.com:5060",
        "expires_at": null,
        "failures": 1,
        "next_attempt_at": "2026-03-01T12:00:00.250000Z",
        "problem": "The carrier refuses it.",
        "registrar": "udp:192.0.2.9:5060",
        "service_route": [
          "<sip:proxy.example.com;lr>"
        ],
        "sip_status": 403,
        "state": "refused"
      }
    }

    PATCH /api/v1/providers/55555555-5555-5555-5555-555555555555 {"register":{"credentials":{"password":"hush","username":"line"},"domain":null,"expires_seconds":600,"registrar":"sip.example.com","user":"+4930123"}}
    → ProviderUpdate(ProviderId(55555555-5555-5555-5555-555555555555), ProviderIn { label: None, inbound: Keep, outbound: Keep, register: Set(RegisterIn { registrar: Some("sip.example.com"), transport: Some(Udp), domain: Clear, user: Set("+4930123"), credentials: Set(CredentialsIn { username: "line", password: Some(Secret(…)) }), expires_seconds: Some(600) }), account: None, calls_max: Keep }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/providers/55555555-5555-5555-5555-555555555555 {"inbound":{"allowed_addresses":[],"credentials":null}}
    → ProviderUpdate(ProviderId(55555555-5555-5555-5555-555555555555), ProviderIn { label: None, inbound: Set(InboundIn { allowed_addresses: Some([]), allowed_numbers: None, allowed_hosts: Some([]), media_encryption: None, credentials: Clear, certificate_names: None }), outbound: Keep, register: Keep, account: None, calls_max: Keep }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/providers/55555555-5555-5555-5555-555555555555
    → ProviderDelete(ProviderId(55555555-5555-5555-5555-555555555555), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}
