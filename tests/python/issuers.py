"""A local identity provider: keys, signed tokens, and a server of its key set. It shares no code with the service."""

import base64
import contextlib
import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_ALGORITHMS = {"RS256": "rsa", "PS256": "rsa", "ES256": "p256", "ES384": "p384", "EdDSA": "ed25519"}
_MAKERS = {
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


class SigningKey:
    """A private key with an id."""

    def __init__(self, key_id, algorithm="RS256", *, with_alg=True):
        self.id, self.algorithm, self.with_alg = key_id, algorithm, with_alg
        self.private = _MAKERS[_ALGORITHMS[algorithm]]()

    def jwk(self):
        """The public half, as a key set lists it."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        jwk = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {k: v for k, v in jwk.items() if k != "key_ops"} | {"use": "sig", "kid": self.id} | ({"alg": self.algorithm} if self.with_alg else {})

    def pem(self):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form)

    def token(self, claims, *, algorithm=None, **header):
        """A token with these claims; `header` changes what its head says, without changing how it is signed."""
        made = jwt.api_jws.PyJWS()
        payload = json.dumps(claims).encode()
        return made.encode(payload, self.private, algorithm or self.algorithm, headers={"kid": self.id, "typ": "JWT"} | header)


def b64(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def key_set(*keys):
    return json.dumps({"keys": [key.jwk() for key in keys]})


def claims_of(issuer, audience, subject="ada", *, now=None, seconds=300, **more):
    """Claims that hold from a moment ago for some minutes."""
    now = int(now or time.time())
    return {"iss": issuer, "aud": audience, "sub": subject, "iat": now, "exp": now + seconds} | more


class KeyServer:
    """Serves one document on loopback, counts who asks, and can be away."""

    def __init__(self, port):
        self.port, self.body, self.asked, self.status = port, "{}", 0, 200
        self.url = f"http://127.0.0.1:{port}/keys"
        self._server = None

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = outer.body.encode()
                self.send_response(outer.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
