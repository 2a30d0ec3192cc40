"""What the tests of the emulator's HTTP side share."""

import json

OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
ANSWER = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
SESSION = {"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief."}
SECRETS = "/v1/realtime/client_secrets"
CALLS = "/v1/realtime/calls"
SDP = {"Content-Type": "application/sdp"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


KEY = bearer("sk-test")


class FakeCalls:
    """Answers every offer, or raises what it is told to; remembers what it was given."""

    def __init__(self):
        self.running = {}
        self.offers = []
        self.raises = None

    async def answer(self, offer_sdp, settings, call_id):
        if self.raises:
            raise self.raises
        self.offers.append(offer_sdp)
        self.running[call_id] = settings
        return ANSWER

    async def hang_up(self, call_id):
        return self.running.pop(call_id, None) is not None


class Clock:
    """Unix time that moves when told."""

    def __init__(self):
        self.now = 1_800_000_000.9

    def __call__(self):
        return self.now


def form(sdp=OFFER, session=SESSION, *, types=True, filename="", **others):
    """Return a form's body and headers; its parts with or without content types and file names."""
    parts = {"sdp": sdp} if sdp is not None else {}
    if session is not None:
        parts["session"] = session if isinstance(session, str) else json.dumps(session)
    kinds = {"sdp": "application/sdp", "session": "application/json"} if types else {}
    body = b""
    for name, value in (parts | others).items():
        extra = f'; filename="{filename}"' if filename else ""
        kind = f"\r\nContent-Type: {kinds[name]}" if name in kinds else ""
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"{extra}{kind}\r\n\r\n'
        body += head.encode() + (value.encode() if isinstance(value, str) else value) + b"\r\n"
    return body + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


async def post_form(client, headers=KEY, **parts):
    body, kind = form(**parts)
    return await client.post(CALLS, data=body, headers=headers | kind)


async def error(response, status, code):
    """Check a refusal and return its error object."""
    text = await response.text()
    assert response.status == status, text
    body = json.loads(text)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert body["error"]["code"] == code
    assert response.headers["x-request-id"].startswith("req_")
    return body["error"]
