"""What is asked of the server where the line down is narrow."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rtcvoice.cli.network_options import network_from
from rtcvoice.cli.options import parse
from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import ConfigError
from rtcvoice.wire.downlink import OpusWish, narrowed, wish_for

OFFER = (
    "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n"
    "a=fmtp:111 minptime=10;useinbandfec=1\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
)


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        (100_000, OpusWish(59_400, 20)),
        (56_000, OpusWish(22_000, 20)),
        (50_000, OpusWish(29_700, 40)),
        (40_000, OpusWish(21_200, 40)),
        (30_000, OpusWish(16_966, 60)),
        (20_000, OpusWish(8_466, 60)),
    ],
)
def test_what_is_asked_for_fits_with_its_headers(line: int, wish: OpusWish) -> None:
    assert wish_for(line) == wish
    headers = 64 * 8 * 1000 / wish.packet
    assert wish.bitrate + headers <= 0.85 * line + 1


def test_an_offer_names_bitrate_and_length_of_packets_of_opus_alone() -> None:
    assert narrowed(OFFER, None) == OFFER
    assert narrowed(OFFER, 40_000) == OFFER.replace(
        "a=rtpmap:111", "a=ptime:40\r\na=rtpmap:111"
    ).replace("useinbandfec=1", "useinbandfec=1;maxaveragebitrate=21200")


@pytest.mark.parametrize("line", [True, 0, -1, 19_999, math.nan, math.inf, 10**400, "40000"])
def test_what_is_no_line_for_speech_is_refused(line: Any) -> None:
    with pytest.raises(ConfigError, match="must be bits per second, from 20000 on"):
        CallConfig.from_options({"downlink_bps": line})


def test_it_may_be_given_on_the_command_line() -> None:
    assert network_from(parse(["--downlink-bps", "4e4"]))["downlink_bps"] == 40_000
    for text in ("40", "nan", "much"):
        with pytest.raises(ConfigError, match=f"'{text}' is no number of bits per second"):
            parse(["--downlink-bps", text])
