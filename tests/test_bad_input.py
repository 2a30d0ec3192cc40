"""Whatever is wrong, the command line says so in one line, with a hint, and a documented exit code.

`main()` runs here in the test's own process and thread; the emulator, which does the servers'
faults, in another thread.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import ssl
import wave
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from deadlines import NEVER, too_late_in
from town import Town

from rtcvoice import PipeSink
from rtcvoice.cli import main
from rtcvoice.cli.call_ends import chosen_ends
from rtcvoice.cli.network_options import network_from
from rtcvoice.cli.options import parse
from rtcvoice.emulator import AnswerFault, Faults, HttpFault, prompt_path

SECRET = "sk-bad-input-0123456789abcdef"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    town = Town()
    yield town
    town.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the cases name, and a key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("This is not audio at all.\n" * 50)
    whole = prompt_path("stop").read_bytes()
    (tmp_path / "torn.ogg").write_bytes(whole[:40])
    (tmp_path / "noise.mp3").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "full.wav").symlink_to("/dev/full")
    (tmp_path / "key").write_text("")
    os.mkfifo(tmp_path / "fifo.wav")
    with wave.open(str(tmp_path / "short.wav"), "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(bytes(4800))
    return tmp_path


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was complained of: one line, and a hint."""
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert SECRET not in out + err
    lines = err.splitlines()
    assert len(lines) == 2, err
    assert lines[0].startswith("rtcvoice: ")
    assert lines[1].startswith("  what to do: ")
    assert "  " not in lines[0]
    return err


FILES = [
    (["--input", "missing.wav"], 6, "does not exist"),
    (["--input", "folder.wav"], 6, "is a directory"),
    (["--input", "empty.wav"], 6, "is empty"),
    (["--input", "text.wav"], 6, "text.wav"),
    (["--input", "torn.ogg"], 6, "torn.ogg"),
    (["--input", "noise.mp3"], 6, "noise.mp3"),
    (["--output", "folder.wav"], 6, "it is a directory"),
    (["--output", "missing/a.wav"], 6, "create the folder"),
    (["--output", "a.mp3"], 2, "name it a.wav"),
    (["--output", "full.wav"], 6, "No space left"),
    (["--output", "fifo.wav"], 6, "nobody reads the pipe fifo.wav"),
    (["--microphone", "no such device"], 6, ""),
    (["--speaker", "99"], 6, ""),
]


@pytest.mark.parametrize(("arguments", "code", "says"), FILES, ids=lambda each: str(each)[:40])
def test_files_and_devices(
    town: Town,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    if "--output" in arguments or "--speaker" in arguments:
        arguments = ["--text", "Hi", *arguments]
    assert main([*arguments, "--base-url", town.emulator.url]) == code
    assert says in complaint(capsys)


OPTIONS = [
    (["--input", "short.wav", "--microphone", "0"], "not allowed with"),
    (["--text", "Hi", "--raw"], "--raw works only with --output -"),
    (["--text", "Hi", "--live"], "--live works only with --input -"),
    (["--text", "Hi", "--script", "a.yaml"], "add --emulator"),
    (["--emulator", "--script", "missing.yaml"], "missing.yaml"),
    (["--emulator", "--seconds", "0"], "not a number above 0"),
    (["--emulator", "--seconds", "nan"], "not a number above 0"),
    (["--text", "Hi", "--base-url", "localhost"], "not a web address"),
    (["emulator", "--port", "65536"], "'65536' is not a port"),
    (["token-server", "--port", "-1"], "'-1' is not a port"),
    (["token-server", "--host", "0.0.0.0"], "--client-key-file"),
    (["--text", os.fsdecode(b"\xff\xfe")], "is not text in UTF-8"),
    (["--text", "Hi", "--instructions", os.fsdecode(b"\xff")], "is not text in UTF-8"),
    (["translate", "--to", os.fsdecode(b"\xff")], "is not text in UTF-8"),
    (["text", "--tools", "dmeo"], "did you mean demo?"),
    (["text", "--tools", "x" * 5000], "there is no such file"),
]


@pytest.mark.parametrize(("arguments", "says"), OPTIONS, ids=lambda each: str(each)[:40])
def test_options(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(arguments) == 2
    assert says in complaint(capsys)


def test_a_voice_that_there_is_not(
    town: Town, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--text", "Hi", "--base-url", town.emulator.url, "--voice", "nosuch"]) == 4
    assert complaint(capsys).endswith("look at --voice\n")


def test_words_without_a_locale_are_utf8() -> None:
    grüße = "Grüße".encode().decode("ascii", "surrogateescape")  # as Python takes them there
    options = parse(["--text", grüße, "--output", grüße])
    assert options.text == "Grüße"
    assert options.output == grüße  # a path: it has to find its file again


def test_the_key_itself_is_offered_where_that_is_wished() -> None:
    assert network_from(parse(["--direct"]))["direct"] is True
    assert "direct" not in network_from(parse([]))


@pytest.mark.parametrize(
    ("key", "arguments", "code", "says"),
    [
        ("", [], 3, "put it into .env or a file (--api-key-file)"),
        ("   ", [], 3, "no API key"),
        ("sk-with space", [], 3, "has spaces or control characters in it"),
        ("sk-two\nlines", [], 3, "has a line break in it"),
        ("ek_unknown", [], 4, "HTTP 401"),
        ("not-a-key", [], 4, "HTTP 401"),
        ("", ["--api-key-file", "key"], 3, "empty"),
        ("", ["--api-key-file", "missing"], 3, "missing"),
    ],
)
def test_keys(
    town: Town,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert main(["--text", "Hi", "--base-url", town.emulator.url, *arguments]) == code
    assert says in complaint(capsys)


def test_a_dotenv_file_that_is_none(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    (folder / ".env").write_bytes(b"OPENAI_API_KEY=\0")
    assert main(["--text", "Hi"]) == 2
    assert ".env" in complaint(capsys)


SERVERS = [
    (Faults(http=HttpFault.INVALID_KEY), 4, "check the key"),
    (Faults(http=HttpFault.RATE_LIMIT), 4, "HTTP 429"),
    (Faults(http=HttpFault.QUOTA), 4, "billing"),
    (Faults(http=HttpFault.SERVER_ERROR), 4, "status page"),
    (Faults(http=HttpFault.HTML), 4, "HTTP 502"),
    (Faults(http=HttpFault.HTML_OK), 4, "is --base-url the address of a Realtime API?"),
    (Faults(http=HttpFault.HTML_OK, http_only="call"), 5, "not SDP"),
    (Faults(http=HttpFault.CUT), 4, "cannot talk to"),
    (Faults(http=HttpFault.HANG), 5, "'token'"),
    (Faults(http=HttpFault.HANG, http_only="call"), 5, "'answer'"),
    (Faults(answer=AnswerFault.EMPTY), 5, "not SDP"),
    (Faults(answer=AnswerFault.GARBAGE), 5, "not SDP"),
    (Faults(answer=AnswerFault.NO_CANDIDATES), 5, "candidate"),
    (Faults(answer=AnswerFault.NO_AUDIO), 5, "refuses audio"),
    (Faults(answer=AnswerFault.NO_CHANNEL), 5, "refuses the event channel"),
    (Faults(answer=AnswerFault.WRONG_FINGERPRINT), 5, "DTLS handshake"),
    (Faults(ice_silent=True), 5, "firewall"),
    (Faults(dtls_silent=True), 5, "encryption"),
    (Faults(channel_silent=True), 5, "event channel"),
]

SILENT = {
    "token": lambda faults: faults.http is HttpFault.HANG and faults.http_only != "call",
    "answer": lambda faults: faults.http is HttpFault.HANG,
    "ice": lambda faults: faults.ice_silent,
    "dtls": lambda faults: faults.dtls_silent,
    "channel": lambda faults: faults.channel_silent,
}
"""Where nothing follows, with which faults."""


@pytest.mark.parametrize(
    ("faults", "code", "says"), SERVERS, ids=lambda each: str(each)[:60].replace(" ", "")
)
def test_servers(
    town: Town,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    faults: Faults,
    code: int,
    says: str,
) -> None:
    town.emulator.faults = faults
    try:
        silent = next((stage for stage, at in SILENT.items() if at(faults)), None)
        waits = nullcontext(NEVER) if silent is None else too_late_in(silent)
        arguments = ["--text", "Hi", "--base-url", town.emulator.url, "--transport", "webrtc"]
        arguments += ["--transport", "webrtc"]  # else a WebSocket serves
        with waits as patience:
            assert main([*arguments, "--connect-timeout", f"{patience}"]) == code
        assert says in complaint(capsys)
    finally:
        town.emulator.faults = Faults()


@pytest.mark.parametrize(
    ("faults", "code", "says"),
    [
        (Faults(closed_after=0.0), (5, 7), "closed"),
        (Faults(channel_closed_after=0.0), (5, 7), "closed"),
        (Faults(session_expires_after=0.3), (5, 7), "maximum duration"),
    ],
    ids=["peer", "channel", "session"],
)
def test_a_server_that_hangs_up(
    town: Town,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    faults: Faults,
    code: tuple[int, int],
    says: str,
) -> None:
    """Before we were ready (5) or after (7): that is a race."""
    town.emulator.faults = faults
    try:
        arguments = ["--text", "Hi", "--base-url", town.emulator.url, "--reconnect", "0"]
        assert main([*arguments, "--transport", "webrtc"]) in code
        assert says in complaint(capsys)
    finally:
        town.emulator.faults = Faults()


def test_nobody_listens(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        assert main(["--text", "Hi", "--base-url", url]) == 4
    assert "is the emulator running?" in complaint(capsys)


def test_a_certificate_that_nobody_trusts(
    town: Town, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = town.serve(never_asked, tls=self_signed(folder))
    assert main(["--text", "Hi", "--base-url", f"https://127.0.0.1:{port}/v1"]) == 4
    assert "SSL_CERT_FILE" in complaint(capsys)


def test_https_where_only_http_is_spoken(
    town: Town, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = town.emulator.url.replace("http:", "https:")
    assert main(["--text", "Hi", "--base-url", url]) == 4
    assert "cannot talk to" in complaint(capsys)


async def never_asked(request: web.Request) -> web.Response:
    raise AssertionError("the client must not talk to it")


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "server.pem"
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, *private))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


BIG = "x" * 1_000_000
NONSENSE = [
    *("", "nonsense", "{", "[]", "null", '{"type": 5}', '{"no": "type"}', "\x00\x1b[2J"),
    f'{{"type": "error", "error": {{"type": "t", "message": "\\u001b[2J{BIG}"}}}}',
    BIG,
]


def test_messages_that_make_no_sense_change_nothing(
    town: Town,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bend(peer: Any) -> None:
        opened = peer._session.open

        def babble() -> None:
            peer._channel._limit = lambda: 10**7  # nobody sends more than we say we take
            peer._peer.sctp._remote_max_message_size = 0
            for text in NONSENSE:
                peer._channel.send_text(text)

        def open_and_babble(now: float) -> None:
            opened(now)
            asyncio.get_running_loop().call_later(0.3, babble)

        peer._session.open = open_and_babble

    monkeypatch.setattr(town.emulator, "_bend", bend)
    assert main(["--text", "Hi", "--base-url", town.emulator.url, "--seconds", "6"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert "call       the server says: [2Jxxx" in out
    assert "you        Hi" in out
    assert "hung up" in out
    assert max(map(len, out.splitlines())) < 600


def test_a_disk_that_is_full_in_mid_call(
    town: Town, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files fails as a full disk does: in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, before[1]))
    try:
        code = main(["--text", "Hi", "--output", "a.wav", "--base-url", town.emulator.url])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 6
    _, err = capsys.readouterr()
    assert err.splitlines()[0].startswith("rtcvoice: a.wav cannot be written: ")
    assert "what it has, 1 s, can be played" in err
    with wave.open(str(folder / "a.wav")) as file:
        frames = file.getnframes()  # what a busy machine writes at once may be more than a second
        assert 24_000 <= frames <= 70_000 // 2
        assert len(file.readframes(frames)) == 2 * frames


def test_what_is_no_file_is_written_to_as_a_pipe(folder: Path) -> None:
    said = {
        "input": "none",
        **dict.fromkeys(("text", "microphone", "speaker", "raw", "live", "emulator")),
    }
    reader = os.open("fifo.wav", os.O_RDONLY | os.O_NONBLOCK)
    try:
        for name in ("/dev/null", "fifo.wav"):
            with ExitStack() as stack:
                ends = chosen_ends(argparse.Namespace(**{**said, "output": name}), stack)
                assert isinstance(ends.sink, PipeSink)
    finally:
        os.close(reader)
