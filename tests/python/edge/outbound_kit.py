"""What the tests of calls out share: a tenant with a number on a trunk whose carrier is a plain socket, and an agent that calls."""

import hashlib
import re

from harness import new_number, ok
from sip import Agent, Caller, token

# A number that is in the plan, of the country of the tests' numbers.
CALLED = "+12125550123"
# From where the agents of these tests call: no trunk's address.
PLATFORM = "127.0.0.21"


# An offer of encrypted sound and nothing else (RFC 4568).
SECURE = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 0\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:32\r\n"
)


def answer_to(challenge, call, username, password, *, nc=1, header="Proxy-Authorization"):
    """What a client answers (RFC 7616 section 3.4.1), as a header."""
    part = lambda name: re.search(rf'{name}="?([^",]+)', challenge)[1]  # noqa: E731
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[part("algorithm")]
    hexed = lambda text: hashed(text.encode()).hexdigest()  # noqa: E731
    cnonce = token("n")
    first, second = hexed(f"{username}:{part('realm')}:{password}"), hexed(f"INVITE:{call.target}")
    response = hexed(f"{first}:{part('nonce')}:{nc:08x}:{cnonce}:auth:{second}")
    return (
        header,
        f'Digest username="{username}", realm="{part("realm")}", nonce="{part("nonce")}", uri="{call.target}", '
        f'response="{response}", algorithm={part("algorithm")}, cnonce="{cnonce}", qop=auth, nc={nc:08x}',
    )


class Challenging(Agent):
    """A carrier that asks for credentials (407, MD5 with qop), and takes the right ones."""

    def __init__(self, username, password, host="127.0.0.1"):
        self.login, self.nonce = (username, password), token("nonce")
        super().__init__(host=host)

    def _answer(self, request, source):
        if request.method == "INVITE" and not self._proven(request):
            asked = request.reply(407, "Proxy Authentication Required", to_tag=token("a"))
            value = f'Digest realm="carrier", nonce="{self.nonce}", algorithm=MD5, qop="auth"'
            asked.headers.insert(-1, ("Proxy-Authenticate", value))
            self.send(asked, source)
        else:
            super()._answer(request, source)

    def _proven(self, request):
        given = request.get("proxy-authorization")
        if given is None:
            return False
        part = lambda name: re.search(rf'\b{name}="?([^",]+)', given)[1]  # noqa: E731
        hexed = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
        username, password = self.login
        first, second = hexed(f"{username}:carrier:{password}"), hexed(f"{request.method}:{request.uri}")
        wanted = hexed(f"{first}:{self.nonce}:{part('nc')}:{part('cnonce')}:auth:{second}")
        return (part("username"), part("uri"), part("response")) == (username, request.uri, wanted)


def trunk_to(tenant, carrier, label="carrier", inbound="127.0.0.99", **outbound):
    """A trunk whose calls out go to a socket of the test's."""
    host, port = carrier.address
    side = {"address": f"{host}:{port}", "transport": "udp", **outbound}
    body = {"kind": "sip_trunk", "label": label, "inbound": {"allowed_addresses": [inbound]}, "outbound": side}
    return ok(tenant.admin.post("/api/v1/providers", json=body), 201)


def calling_number(tenant, trunk, **fields):
    """A number that may call out, with its SIP credentials."""
    number = tenant.number(trunk=trunk, e164=fields.pop("e164", None) or new_number())
    number = tenant.patch(number, allow_outbound=True, **fields)
    return number, credentials_of(tenant, number)


def credentials_of(tenant, number):
    given = ok(tenant.admin.post(f"/api/v1/numbers/{number['e164']}/sip-credentials"))
    return given["sip_username"], given["sip_password"]


def dial(agent, number, login, to=CALLED, *, headers=(), algorithm=0, **how):
    """Places a call as an agent does: asked for its credentials, it calls again with them. Gives the second call."""
    how = {"from_user": number["e164"] if isinstance(number, dict) else number, **how}
    first = agent.invite(to, headers=headers, **how)
    asked = first.final()
    assert asked.status == 407, asked
    challenge = asked.all("proxy-authenticate")[algorithm]
    return agent.invite(to, headers=[*headers, answer_to(challenge, first, *login)], **how)


__all__ = ["Agent", "CALLED", "Caller", "Challenging", "PLATFORM", "SECURE", "answer_to", "calling_number", "credentials_of", "dial", "trunk_to"]
