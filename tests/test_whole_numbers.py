"""Numbers of more digits than Python takes, and odd YAML, at each door for text from outside."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from rtcvoice.cli import config_file
from rtcvoice.cli.options import all_parsers
from rtcvoice.cli.parser import device_meant
from rtcvoice.config.dialect import config_for
from rtcvoice.emulator.fault_parser import parse_live, parse_options
from rtcvoice.emulator.offer import OfferError, check_offer
from rtcvoice.emulator.session.client_events import decode
from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.script_file import parse_script
from rtcvoice.errors import ConfigError
from rtcvoice.fleet.spec_file import read_specs
from rtcvoice.network.settings import Network
from rtcvoice.system.whole_numbers import MOST_DIGITS, whole_number
from rtcvoice.token_server.session_file import session_options

LONG = "9" * 5000
IN_YAML = [LONG, "-" + LONG, "0x" + "f" * 6000, "1" + ":59" * 3000]
"""Those after the first two Python reads, and fails where it is to show them."""

TYPES = {
    (name, flag): action.type
    for name, parser in all_parsers().items()
    for flag, action in parser.by_name.items()
    if callable(action.type) and action.type.__name__ not in ("words", "message", "file_or_stdio")
}


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    return file


def clear(error: BaseException) -> str:
    text = str(error)
    assert "set_int_max" not in text, text
    assert len(text) < 300, text
    return text


def test_a_number_that_is_read():
    assert whole_number("-" + "9" * (MOST_DIGITS - 1)) < 0
    with pytest.raises(ValueError, match=r"9999999999\.\.\. has more than 1,000 digits"):
        whole_number("9" * (MOST_DIGITS + 1))


@pytest.mark.parametrize(("command", "flag"), TYPES)
def test_options_of_the_command_line(command, flag):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        TYPES[command, flag](LONG)
    clear(caught.value)


def test_a_device_of_that_number_is_looked_for_by_name():
    assert device_meant(LONG) == LONG


@pytest.mark.parametrize("number", IN_YAML)
def test_yaml(number, tmp_path):
    doors = [
        lambda text: config_for(session_options(written(tmp_path, "s.yaml", f"speed: {text}"))),
        lambda text: read_specs(written(tmp_path, "c.yaml", f"calls: [{{seed: {text}}}]")),
        lambda text: parse_script(f"faults: {{http_times: {text}}}"),
        lambda text: parse_script(f"- hears: hi\n  says: {text}"),
        lambda text: parse_options([f"http_times={text}"]),
        lambda text: parse_options([f"network={{seed: {text}}}"]),
        lambda text: parse_live([f"hearing_delay={text}"]),
    ]
    for door in doors:
        with pytest.raises(ConfigError) as caught:
            door(number)
        assert "digits" in clear(caught.value)


def test_json(tmp_path):
    session, calls = f'{{"speed": {LONG}}}', f'{{"calls": [{{"seed": {LONG}}}]}}'
    doors = [
        lambda: session_options(written(tmp_path, "s.json", session)),
        lambda: read_specs(written(tmp_path, "c.json", calls)),
        lambda: read_specs(written(tmp_path, "c.jsonl", f'{{"seed": {LONG}}}\n')),
    ]
    for door in doors:
        with pytest.raises(ConfigError) as caught:
            door()
        assert "digits" in clear(caught.value)


@pytest.mark.parametrize("number", [LONG, "0x" + "f" * 6000])
@pytest.mark.parametrize("option", ["speed", "proxy", "ice-server"])
def test_the_users_own_file(number, option, tmp_path):
    file = written(tmp_path, "c.toml", f"{option} = {number}\n")
    parser = all_parsers()["talk"]
    with pytest.raises(ConfigError) as caught:
        config_file.apply(
            parser, "talk", [], {"speed", "proxy", "ice-server"}, config_file.read(str(file)), []
        )
    assert "digits" in clear(caught.value)


def test_a_network_in_words():
    for text in (f"seed={LONG}", f"loss={LONG}%", "seed=" + "9" * 400):
        with pytest.raises(ConfigError) as caught:
            Network.of(text, "network")
        clear(caught.value)


def test_what_clients_send_to_the_emulator():
    with pytest.raises(RequestError) as caught:
        decode(f'{{"type": "response.create", "n": {LONG}}}')
    assert "digits" in clear(caught.value)
    with pytest.raises(OfferError) as refused:
        check_offer(f"m=audio {LONG} RTP/AVP 0\r\na=fingerprint:sha-256 AA\r\n")
    assert "digits" in clear(refused.value)


@pytest.mark.parametrize("value", ["!!int ''", "!!float ''", "!!bool x", "!!timestamp x"])
def test_a_value_that_does_not_fit_its_tag_is_an_error_of_its_place(value, tmp_path):
    cause = f"this is no {value[2:].split()[0]}"
    with pytest.raises(ConfigError, match=cause):
        parse_options([f"delay={value}"])
    with pytest.raises(ConfigError, match=cause):
        read_specs(written(tmp_path, "calls.yaml", f"calls:\n- id: {value}\n"))
    with pytest.raises(ConfigError, match=cause):
        session_options(written(tmp_path, "session.yaml", f"voice: {value}\n"))
