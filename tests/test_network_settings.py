"""Bad networks as people write them: what is meant, and what is refused with a cure."""

import pickle
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.errors import ConfigError
from rtcvoice.network.settings import NAMED, CallNetwork, Network, OneWay

LOSSY = OneWay(loss=0.05, delay=0.1)


def rtp(number, ssrc=7):
    return struct.pack("!BBHLL", 0x80, 111, number & 0xFFFF, 960 * number & 0xFFFFFFFF, ssrc)


def arrivals(link, packets):
    """Return the places of those packets that arrive."""
    arrived = []
    for place, packet in enumerate(packets):
        link.send(packet, place * 0.02, place)
        arrived += [to for _, to in link.arrived(place * 0.02)]
    return arrived + [to for _, to in link.arrived(float("inf"))]


@pytest.mark.parametrize(
    "said",
    [
        Network(uplink=LOSSY, downlink=LOSSY),
        Network(uplink={"loss": 0.05, "delay": 0.1}, downlink="loss=5%, delay=100ms"),
        {"loss": 0.05, "delay": 0.1},
        {"loss": "5%", "delay": "100ms"},
        {"loss": 0.05, "uplink": {"delay": 0.1}, "downlink": {"delay": "0.1s"}},
        "loss=5%,delay=100 ms",
        "loss=0.05, uplink.delay=0.1, downlink.delay=.1",
        {"loss": 0.05, "uplink": OneWay(delay=0.1), "downlink": LOSSY},
    ],
)
def test_the_same_network_can_be_said_in_several_ways(said):
    assert Network.of(said, "network") == Network(uplink=LOSSY, downlink=LOSSY)


def test_one_direction_may_be_bad_and_a_name_may_be_changed():
    assert Network.of("uplink.loss=10%", "network") == Network(uplink=OneWay(loss=0.1))
    wifi = Network.of("wifi, seed=3, delay=20ms", "network")
    assert wifi.uplink == wifi.downlink == OneWay(wifi=True, delay=0.02)
    assert wifi.seed == 3
    mixed = Network.of("uplink=wifi, uplink.delay=20ms, downlink=far", "network")
    assert mixed == Network(uplink=wifi.uplink, downlink=OneWay(delay=0.125))
    assert Network.of({"uplink": "wifi, delay=20ms", "downlink": "far"}, "network") == mixed
    assert pickle.loads(pickle.dumps(mixed)) == mixed
    assert Network.of("rate_bps=500k", "network").uplink.rate_bps == 500_000
    for name in NAMED:
        assert Network.of(name, "network") != Network()


@pytest.mark.parametrize("said", [{"seed": 3}, {"seed": "3"}, "seed=3", "seed = +3"])
def test_a_seed_is_the_same_number_however_it_is_written(said):
    assert Network.of(said, "network") == Network(seed=3)


@pytest.mark.parametrize(
    ("said", "what", "cure"),
    [
        ({"los": 0.1}, "there is no 'los'", "did you mean 'loss'?"),
        ({"uplink": {"los": 0.1}}, "there is no 'los'", "did you mean 'loss'?"),
        ({"up": {}}, "there is no 'up'", "uplink"),
        ({3: 1}, "there is no 3", "known are"),
        ({"loss": 5}, "loss=5.0 is not a share", "5 % is 0.05"),
        ({"loss": -0.1}, "loss=-0.1 is negative", ""),
        ({"loss": float("nan")}, "loss=nan is negative or no number", ""),
        ({"loss": True}, "loss: True cannot be", "a number"),
        ({"loss": None}, "loss: None cannot be", "a number"),
        ({"loss": [0.1]}, "loss: [0.1] cannot be", "a number"),
        ({"delay": 100}, "delay=100 is more than 60 s", "100 ms is 0.1"),
        ({"delay": float("inf")}, "delay=inf is more than 60 s", "100 ms is 0.1"),
        ({"jitter": 3600.0}, "jitter=3600 is more than 60 s", "100 ms is 0.1"),
        ({"rate_bps": 0}, "rate_bps=0 carries nothing", "1000"),
        ({"rate_bps": 1e-300}, "carries nothing", "1000"),
        ({"rate_bps": 1e400}, "rate_bps=inf is more than", "leave it out"),
        ({"loss_burst": 3}, "bursts need a loss", "5 %"),
        ({"loss_burst": 0.5, "loss": 0.1}, "loss_burst=0.5 is not from 1", "in a row"),
        ({"loss_burst": 3, "loss": 1}, "bursts need a loss", "5 %"),
        ({"stall_every": 0.2}, "do not fit", ""),
        ({"stall_every": 1e9}, "more than 3600 s", ""),
        ({"stall_every": 5e-324, "stall": 0}, "less than 0.01 s", "0 is never"),
        ({"loss_burst": 2, "loss": 0.9}, "lose at most 0.6667", "loss_burst=9, or less loss"),
        ({"delay": 10**400}, "delay=inf is more than 60 s", "100 ms is 0.1"),
        ({"loss": -(10**400)}, "loss=-inf is negative", ""),
        ({"rate_bps": 10**400}, "rate_bps=inf is more than", "leave it out"),
        ({"seed": 10**400}, "seed=inf is more than", "a whole number"),
        ({"limit": 10**400}, "limit=1000", "packets"),
        ({"seed": -(10**400)}, "seed=-1000", "negative"),
        ({"limit": "9" * 5000}, "is no number", "such as"),
        ({"loss": "9" * 50_000 + "!"}, "is no number", "such as"),
        ({"limit": 0}, "limit=0", "packets"),
        ({"limit": 10**9}, "limit=1000000000", "packets"),
        ({"seed": "x"}, "seed: 'x' is no number", "such as"),
        ({"seed": 1.5}, "seed: 1.5 cannot be", "a whole number"),
        ({"seed": -1}, "seed=-1 is negative", ""),
        ({"seed": 2**63}, "is more than", "a whole number"),
        ({"uplink": 5}, "uplink: 5 cannot be", "rtcvoice.OneWay"),
        ({"uplink": {"seed": 1}}, "there is no 'seed'", ""),
        (0.1, "network is a float", "wifi"),
        ([], "network is a list", "wifi"),
        ("wi-fi", "there is no network 'wi-fi'", "did you mean 'wifi'?"),
        ("", "network is empty", "loss=5%"),
        ("loss", "there is no network 'loss'", "loss=5%"),
        ("loss=", "loss: '' is no number", "loss=5%"),
        ("loss=5 percent", "the unit 'percent' does not fit", "%"),
        ("loss=5ms", "the unit 'ms' does not fit", "%"),
        ("delay=5%", "the unit '%' does not fit", "ms, s"),
        ("delay=1h", "the unit 'h' does not fit", "ms, s"),
        ({"seed": "5s"}, "the unit 's' does not fit", "a number alone"),
        ({"seed": "1.5"}, "seed: 1.5 cannot be", "a whole number"),
        ({"seed": "true"}, "seed: True cannot be", "a whole number"),
        ("seed=1.5", "seed: 1.5 cannot be", "a whole number"),
        ("seed=5s", "the unit 's' does not fit", "a number alone"),
        ("loss=500%", "loss=5.0 is not a share", "5 % is 0.05"),
        ("loss=" + "9" * 5000, "more than 1000 characters", ""),
        ("delay=1e999", "delay=inf is more than 60 s", ""),
        ({"uplink": {"\x1b[31m": "x"}}, "there is no '\\x1b[31m'", ""),
        ("\x1b[31m=x", "there is no '\\x1b[31m'", ""),
        ({"uplink": {"a" * 9000: "x"}}, "there is no 'aaa", ""),
        ("sideways.loss=0.1", "there is no 'sideways.loss'", ""),
    ],
)
def test_what_cannot_be_is_told_with_its_cure(said, what, cure):
    with pytest.raises(ConfigError) as refused:
        Network.of(said, "network")
    assert what in str(refused.value)
    assert cure in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 400


_VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
_NAMES = st.sampled_from(["uplink", "downlink", "seed", "loss", "delay", "loss_burst", "stall"])


@settings(deadline=None, max_examples=80)
@given(
    st.dictionaries(_NAMES, _VALUES | st.dictionaries(_NAMES, _VALUES, max_size=3), max_size=4)
    | st.text(max_size=30)
)
def test_nothing_but_a_network_or_a_config_error_comes_of_anything(said):
    try:
        network = Network.of(said, "network")
    except ConfigError:
        return
    arrivals(network.link("uplink"), [rtp(n) for n in range(5)])
    assert Network.of(str(network), "network") == network  # as results and reports tell it


def test_the_nth_packet_of_sound_meets_the_same_whatever_else_is_sent():
    network = Network.of("loss=20%, loss_burst=2, jitter=10ms, seed=4", "network")
    alone = arrivals(network.link("uplink"), [rtp(n) for n in range(65_000, 66_000)])
    between = [p for n in range(1000) for p in (rtp(n + 65_000), b"\x17dtls", b"\x80\xc8rtcp" * 3)]
    mixed = arrivals(network.link("uplink"), between)
    assert 600 < len(alone) < 900
    assert [place // 3 for place in mixed if place % 3 == 0] == alone


def test_packets_that_are_overtaken_keep_their_fates_and_repeated_ones_get_another():
    network = Network.of("loss=30%", "network")
    in_order = set(arrivals(network.link("uplink"), [rtp(n) for n in range(400)]))
    swapped = [0, *(n + 1 if n % 2 else n - 1 for n in range(1, 401))]
    found = arrivals(network.link("uplink"), [rtp(n) for n in swapped])
    assert {swapped[place] for place in found} - {400} == in_order
    link = network.link("uplink")
    arrivals(link, [rtp(n) for n in range(10)])
    again = arrivals(link, [rtp(5)] * 200)
    assert 100 < len(again) < 180  # not all, and not none


def test_streams_of_strangers_and_jumps_of_numbers_cost_no_time_and_no_memory():
    link = Network.of("loss=10%", "network").link("downlink")
    for n in range(3000):
        link.send(rtp(n * 20_011, ssrc=n), n * 0.001)
        link.send(rtp(n * 20_011, ssrc=1), n * 0.001)
        link.due(n * 0.001)
    assert len(link._fates._streams) <= 16
    assert all(len(s._skipped) <= 500 for s in link._fates._streams.values())


def test_each_connection_and_direction_has_fates_of_its_own_by_the_seed():
    told = {"loss": 0.3, "rate_bps": 5e5, "uplink": {"wifi": True}, "seed": 7}
    network = Network.of(told, "network")
    assert str(network) == (
        "uplink.loss=0.3, uplink.rate_bps=500000.0, uplink.wifi=true, downlink.loss=0.3,"
        " downlink.rate_bps=500000.0, seed=7"
    )
    assert CallNetwork(network).stats.asked == str(network)

    def seen(seed):
        call = CallNetwork(Network.of({"loss": 0.3, "seed": seed}, "network"))
        links = [link for _ in range(2) for link in call.next_links()]
        return [arrivals(link, [rtp(n) for n in range(200)]) for link in links]

    first, again, other = seen(1), seen(1), seen(2)
    assert first == again
    assert all(a != b for a, b in pairwise([*first, *other]))
