"""The key in `.env`: what of the file is taken, what stays where it is, and what cannot be read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rtcvoice.cli import dot_env, main
from rtcvoice.cli.dot_env import from_file, take_key, wants_key
from rtcvoice.cli.options import parse
from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import ConfigError
from rtcvoice.rest.credentials import ApiKey
from rtcvoice.system import small_files

OPENAI, AZURE, ADDRESS = "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "OPENAI_BASE_URL"
RESOURCE = "https://mine.openai.azure.com"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder; what a test puts into the environment is taken out again."""
    monkeypatch.chdir(tmp_path)
    for name in (OPENAI, AZURE, ADDRESS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def dot_env_of(data: str | bytes) -> None:
    Path(".env").write_bytes(data.encode() if isinstance(data, str) else data)


@pytest.mark.parametrize(
    ("values", "present", "taken"),
    [
        ({OPENAI: "sk-a"}, set(), {OPENAI: "sk-a"}),
        ({OPENAI: "sk-a", ADDRESS: "http://g/v1"}, set(), {OPENAI: "sk-a", ADDRESS: "http://g/v1"}),
        ({OPENAI: " ", ADDRESS: "http://g/v1"}, set(), {}),
        ({OPENAI: None, AZURE: None, ADDRESS: None}, set(), {}),
        # A key of the shell goes to the shell's address, or to the default one.
        ({ADDRESS: "http://g/v1"}, {OPENAI}, {}),
        ({OPENAI: "sk-a", ADDRESS: "http://g/v1"}, {OPENAI}, {}),
        ({OPENAI: "sk-a", ADDRESS: "http://g/v1"}, {ADDRESS}, {OPENAI: "sk-a"}),
        # Another key in the file does not make the address its own.
        ({AZURE: "a", ADDRESS: "http://g/v1"}, {OPENAI}, {}),
        ({OPENAI: "sk-a", ADDRESS: RESOURCE}, {AZURE}, {}),
        ({AZURE: "a", ADDRESS: RESOURCE}, {OPENAI}, {AZURE: "a", ADDRESS: RESOURCE}),
        ({OPENAI: "a", ADDRESS: RESOURCE}, set(), {OPENAI: "a", ADDRESS: RESOURCE}),
        ({AZURE: "a", ADDRESS: RESOURCE}, {AZURE}, {}),
        ({OPENAI: "sk-a", ADDRESS: "http://["}, set(), {OPENAI: "sk-a", ADDRESS: "http://["}),
        # No other name is read.
        (
            {OPENAI: "sk-a", "HTTPS_PROXY": "http://p", "SSL_CERT_FILE": "c", "PYTHONPATH": "p"},
            set(),
            {OPENAI: "sk-a"},
        ),
    ],
)
def test_what_is_taken(
    values: dict[str, str | None], present: set[str], taken: dict[str, str]
) -> None:
    assert from_file(values, present) == taken


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_variable_hides_nothing(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPENAI, blank)
    monkeypatch.setenv(ADDRESS, blank)
    dot_env_of("OPENAI_API_KEY=sk-file\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n")
    take_key()
    config = CallConfig.from_options({})
    assert config.credentials_source() == ApiKey("sk-file")
    assert config.base_url == "http://127.0.0.1:9/v1"


def test_nothing_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "hunter2")
    dot_env_of("OPENAI_API_KEY=x\nOPENAI_BASE_URL=http://g/${SECRET_OF_THE_SHELL}\n")
    before = set(os.environ)
    take_key()
    assert "hunter2" not in os.environ[ADDRESS]
    assert set(os.environ) - before == {OPENAI, ADDRESS}


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfOPENAI_API_KEY=sk-x\r\n",
        "OPENAI_API_KEY=sk-x\n".encode("utf-16"),
        b"export OPENAI_API_KEY=sk-x\n",
        b'OPENAI_API_KEY = "sk-x"  # mine\n',
        b"name=M\xfcller\nOPENAI_API_KEY=sk-x\n",
        b"{this is no\nline = of = it]\nOPENAI_API_KEY=sk-x",
    ],
)
def test_files_as_editors_leave_them(data: bytes) -> None:
    dot_env_of(data)
    take_key()
    assert os.environ[OPENAI] == "sk-x"


def test_a_pipe_is_read_to_its_end() -> None:
    os.mkfifo(".env")
    writer = threading.Thread(target=Path(".env").write_text, args=("OPENAI_API_KEY=sk-x\n",))
    writer.start()
    take_key()
    writer.join()
    assert os.environ[OPENAI] == "sk-x"


def test_a_pipe_without_a_writer_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_files, "READ_TIMEOUT", 0.01)
    os.mkfifo("pipe")
    before = set(threading.enumerate())
    with pytest.raises(small_files.UnreadableFile, match="nobody writes"):
        small_files.read_text("pipe", most_bytes=100)
    assert set(threading.enumerate()) <= before
    writer = os.open("pipe", os.O_RDWR)  # begins, and does not end
    os.write(writer, b"OPENAI_")
    with pytest.raises(small_files.UnreadableFile, match="did not end"):
        small_files.read_text("pipe", most_bytes=100)
    os.close(writer)


def test_a_pipe_in_the_place_of_a_file_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    dot_env_of("OPENAI_API_KEY=sk-x\n")
    of_file = Path(".env").stat()
    Path(".env").unlink()
    os.mkfifo(".env")  # after the file was looked at
    monkeypatch.setattr(small_files, "READ_TIMEOUT", 0.0)
    monkeypatch.setattr(Path, "stat", lambda *_, **__: of_file)
    with pytest.raises(small_files.UnreadableFile, match="nobody writes"):
        small_files.read_text(".env", most_bytes=100)


def _folder_instead() -> None:
    Path(".env").mkdir()


def _pipe_without_writer() -> None:
    os.mkfifo(".env")


def _huge() -> None:
    with open(".env", "wb") as file:
        file.truncate(dot_env.MOST_BYTES + 1)


def _device() -> None:
    Path(".env").symlink_to("/dev/zero")


def _utf16_without_mark() -> None:
    dot_env_of("OPENAI_API_KEY=sk-x\n".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (_folder_instead, "it is a folder"),
        (_pipe_without_writer, "a named pipe that nobody writes into"),
        (_huge, "larger than 64 KiB"),
        (_device, "it is not a file"),
        (_utf16_without_mark, "perhaps UTF-16"),
    ],
)
def test_what_cannot_be_read_is_named_where_a_key_is_missing(
    make, cause: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(small_files, "READ_TIMEOUT", 0.0)
    make()
    with pytest.raises(ConfigError, match=cause):
        take_key()
    assert main(["--text", "Hi", "--output", "none"]) == 2
    assert cause in capsys.readouterr().err
    # It stops nothing that does not need it.
    monkeypatch.setenv(OPENAI, "sk-shell")
    assert main(["--text", "Hi", "--output", "none", "--base-url", "http://127.0.0.1:1/v1"]) == 4
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0


@pytest.mark.parametrize(
    "line", ["", "sk-bare", "OPENAI_API_KEY", "OPENAI_KEY=sk-x", "OPENAI_API_KEY: sk-x"]
)
def test_a_file_without_a_key_is_not_told_to_be_missing(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dot_env_of(f"{line}\nOTHER=1\n")
    assert main(["--text", "Hi", "--output", "none"]) == 3
    assert ".env has no line OPENAI_API_KEY=sk-..." in capsys.readouterr().err
    monkeypatch.setenv(OPENAI, "sk-shell")
    take_key()  # the file is not needed


def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    dot_env_of("OPENAI_API_KEY=sk-x\n")
    monkeypatch.setattr(small_files, "_read", refuse)
    with pytest.raises(ConfigError, match=r"\.env cannot be read: permission denied"):
        take_key()


@pytest.mark.parametrize(
    ("arguments", "wants"),
    [
        (["--text", "hi"], True),
        (["text"], True),
        (["translate", "--to", "French"], True),
        (["doctor"], True),
        (["token-server"], True),
        (["--emulator"], False),
        (["doctor", "--emulator"], False),
        (["--api-key-file", "key"], False),
        (["--token-url", "http://h/token"], False),
        (["batch", "calls.yaml"], True),
        (["load", "--base-url", "http://h/v1"], True),
        (["batch", "calls.yaml", "--emulator"], False),
        (["devices"], False),
        (["emulator"], False),
    ],
)
def test_which_commands_look_into_it(arguments: list[str], wants: bool) -> None:
    assert wants_key(parse(arguments)) is wants
