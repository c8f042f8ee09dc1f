"""DSMR P1 gas: dsmr-reader's topics, and telegrams of every version."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders.dsmr import SAMPLES, decode
from ingest.decoders.model import Clock, Measured, Moment, Sample, Undecodable, Understood

# Telegrams of ndokter/dsmr_parser, MIT (tests/data/dsmr_p1/README.md).
_TELEGRAMS = Path(__file__).parents[1] / "data" / "dsmr_p1"
_LATEST = "v5_two_mbus"


def _telegram(name: str) -> bytes:
    return (_TELEGRAMS / f"{name}.txt").read_bytes()


def _local(*parts: Any, summer: bool | None) -> Moment:
    return Moment(Clock.METER, datetime(*parts), summer=summer)  # noqa: DTZ001 - local on purpose


def _gas(said: Understood) -> Measured:
    (one,) = said.observations
    assert isinstance(one, Measured)
    return one


def _crc(body: bytes) -> bytes:
    """The checksum line of a telegram that ends with its !, by the table-free form of CRC-16/ARC."""
    crc = 0
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 * (crc & 1))
    return body + b"%04X\r\n" % crc


def _with(channel: str, *lines: str, time: str = "0-0:1.0.0(261120001500W)") -> bytes:
    inner = "\r\n".join(["/XXX5\\TEST", "", "1-3:0.2.8(50)", time, *(f"0-{channel}:{line}" for line in lines), "!"])
    return _crc(inner.encode("latin-1"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.topic)
def test_samples_give_exactly_what_they_say(sample: Sample) -> None:
    """Each sample becomes the observations beside it."""
    assert decode(sample.topic, sample.payload) == sample.understood


@pytest.mark.parametrize(
    ("name", "gateway", "device", "moment", "register", "index_ml", "converted"),
    [
        ("v2_2", "00000000000000", "000000000000", _local(2016, 11, 7, 19, summer=None), "24.2.1", 1_001_000, True),
        (
            "v3",
            "4B384547303034303436333935353037",
            "3232323241424344313233343536373839",
            _local(2009, 2, 12, 16, summer=None),
            "24.2.1",
            1_001_000,
            True,
        ),
        (
            "v4_2",
            "3960221976967177082151037881335713",
            "4819243993373755377509728609491464",
            _local(2016, 11, 29, 20, summer=False),
            "24.2.1",
            981_443_000,
            True,
        ),
        (
            "v5",
            "4B384547303034303436333935353037",
            "3232323241424344313233343536373839",
            _local(2017, 1, 2, 16, 10, 5, summer=False),
            "24.2.1",
            107_000,
            True,
        ),
        (
            "v5_two_mbus",
            "4530303434303037333832323436303139",
            "4730303339303031393336393930363139",
            _local(2020, 4, 26, 22, 30, 1, summer=True),
            "24.2.1",
            246_138_000,
            True,
        ),
        (
            "fluvius_v171",
            "3153414733313031303231363035",
            "37464C4F32313139303333373333",
            _local(2020, 5, 12, 13, 45, 58, summer=True),
            "24.2.3",
            112_384_000,
            False,
        ),
        (
            "fluvius_v171_alt",
            "3153414733313030373231333236",
            "37464C4F32313233303838303237",
            _local(2023, 11, 2, 12, 10, 2, summer=False),
            "24.2.3",
            92_287_000,
            False,
        ),
    ],
)
def test_telegrams_of_every_version_give_their_gas(
    name: str, gateway: str, device: str, moment: Moment, register: str, index_ml: int, converted: bool
) -> None:
    """Value, time, register and both identifiers, exactly; the identifiers are text as sent."""
    said = decode("dsmr/raw", _telegram(name))
    assert said.observations == (Measured(device, moment, register, index_ml=index_ml, converted=converted),)
    assert said.gateway == gateway


@pytest.mark.parametrize("name", ["unpadded_crc", "sagemcom_t210_d_r", "esy5q3db1024_v304"])
def test_a_telegram_without_gas_says_nothing_of_gas(name: str) -> None:
    """Heat in GJ on register 24.2.1, electricity alone: understood, and no reading made of it."""
    assert decode("dsmr/raw", _telegram(name)).observations == ()


def test_the_device_type_decides_and_never_the_channel() -> None:
    """Type 7 is water though it stands on channel 1 in register 24.2.1; type 3 may be written 3, 03 or 003."""
    for kind, is_gas in (("3", True), ("03", True), ("003", True), ("007", False), ("004", False), ("033", False)):
        telegram = _with("1", f"24.1.0({kind})", "96.1.0(AB01)", "24.2.1(261120001000W)(00001.500*m3)")
        assert bool(decode("dsmr/raw", telegram).observations) is is_gas


def test_a_meter_whose_type_is_not_said_is_named() -> None:
    """Without a type nobody knows that it is gas."""
    said = decode("dsmr/raw", _with("1", "96.1.0(AB01)", "24.2.1(261120001000W)(00001.500*m3)"))
    assert (said.observations, said.unread) == ((), ("0-1: a meter whose type is not said",))


def test_a_dead_device_is_named_and_the_living_one_is_read() -> None:
    """Channel 1 shows (700101010000W)(00000000), the real meter is on channel 2."""
    said = decode("dsmr/raw", _telegram("v5_two_mbus"))
    assert said.unread == ("0-1:24.2.1: a connection without a meter",)
    assert _gas(said).index_ml == 246_138_000


@pytest.mark.parametrize(
    "time", ["632525252525S", "632525252525W", "700101000000W", "260230120000W", "2611200010W", ""]
)
def test_a_value_with_an_invalid_time_gives_no_reading(time: str) -> None:
    """All ones, a clock never set, the 30th of February: no other time is put in its place."""
    said = decode("dsmr/raw", _with("1", "24.1.0(003)", "96.1.0(AB01)", f"24.2.1({time})(00001.500*m3)"))
    assert (said.observations, said.unread) == ((), (f"0-1:24.2.1: {time} is no time",))


def test_the_repeated_hour_is_told_apart_by_the_summer_flag() -> None:
    """02:30 on the night summer time ends comes twice: S first, then W; both stay local."""
    moments = [
        _gas(
            decode("dsmr/raw", _with("1", "24.1.0(3)", "96.1.0(A)", f"24.2.1(261025023000{flag})(00001.500*m3)"))
        ).moment
        for flag in "SW"
    ]
    assert moments == [_local(2026, 10, 25, 2, 30, summer=True), _local(2026, 10, 25, 2, 30, summer=False)]


def test_a_gas_meter_without_identifier_is_named() -> None:
    """No identity, no reading: the channel number is none."""
    said = decode("dsmr/raw", _with("1", "24.1.0(003)", "96.1.0()", "24.2.1(261120001000W)(00001.500*m3)"))
    assert (said.observations, said.unread) == ((), ("0-1:24.2.1: a meter without identifier",))


@pytest.mark.parametrize("value", ["00001.500*GJ", "00001.500", "1e3*m3", "-0001.500*m3", "*m3", "00001,500*m3"])
def test_gas_in_anything_but_cubic_metres_is_refused(value: str) -> None:
    """A unit or number that is not of a gas register sends the telegram to quarantine."""
    with pytest.raises(Undecodable) as raised:
        decode("dsmr/raw", _with("1", "24.1.0(003)", "96.1.0(AB01)", f"24.2.1(261120001000W)({value})"))
    assert raised.value.field == "0-1:24.2.1"


def test_a_wrong_digit_breaks_the_checksum() -> None:
    """One digit of the register changed on the way."""
    with pytest.raises(Undecodable, match="crc: must fit"):
        decode("dsmr/raw", _telegram("v5").replace(b"00000.107", b"00009.107"))


def test_a_missing_checksum_is_missed_from_version_4_on_only() -> None:
    """Versions 2 and 3 end with a bare !; later ones do not."""
    assert decode("dsmr/raw", _telegram("v3")).observations
    with pytest.raises(Undecodable, match="crc: must be there"):
        decode("dsmr/raw", _telegram("v5").replace(b"!6EEE", b"!"))


def test_a_checksum_without_its_leading_zero_fits() -> None:
    """`!B9F` is 0B9F: some gateways do not pad."""
    assert decode("dsmr/raw", _telegram("unpadded_crc")).unread == ()


def test_line_ends_changed_on_the_way_do_not_break_the_checksum() -> None:
    """A script that reads lines publishes them with a bare line feed; the checksum was made over CR LF."""
    assert decode("dsmr/raw", _telegram("v5").replace(b"\r\n", b"\n")) == decode("dsmr/raw", _telegram("v5"))


@pytest.mark.parametrize(
    "payload", [b"", b"!", b"/XXX5\r\n", b"!\r\n/XXX5\r\n", b"/A\r\n\r\n!\r\n/B\r\n\r\n!\r\n", b"/" * 70_000]
)
def test_what_is_not_one_whole_telegram_is_refused(payload: bytes) -> None:
    """No beginning, no end, or two."""
    with pytest.raises(Undecodable):
        decode("dsmr/raw", payload)


@pytest.mark.parametrize(
    ("body", "moment"),
    [
        (
            '{"read_at":"2026-11-20T01:00:00+01:00","delivered":1.5}',
            Moment(Clock.METER, datetime(2026, 11, 20, tzinfo=UTC)),
        ),
        (
            '{"read_at":"2026-11-20T00:00:00Z","delivered":"1.5"}',
            Moment(Clock.METER, datetime(2026, 11, 20, tzinfo=UTC)),
        ),
        ('{"read_at":"2026-11-20T00:00:00","delivered":1.5}', _local(2026, 11, 20, summer=None)),
        ('{"read_at":null,"delivered":1.500}', Moment(Clock.ARRIVAL)),
    ],
)
def test_the_json_topic_gives_the_register_at_its_capture_time(body: str, moment: Moment) -> None:
    """Numbers as numbers or text, the time in UTC, with an offset, or local: the capture is the meter's."""
    assert decode("home-17/dsmr/consumption/gas/json", body.encode()).observations == (
        Measured("home-17/dsmr", moment, index_ml=1_500_000),
    )


def test_sites_are_told_apart_by_the_beginning_of_the_topic() -> None:
    """The message names no meter, so two sites on one topic would be one device."""
    devices = {_gas(decode(f"{site}/consumption/gas/delivered", b"1")).device for site in ("a/dsmr", "b/dsmr")}
    assert devices == {"a/dsmr", "b/dsmr"}


def test_split_topics_give_the_register_and_name_what_means_nothing_alone() -> None:
    """A register stands on its arrival; a time without value and a volume of no said interval are named."""
    assert _gas(decode("dsmr/consumption/gas/delivered", b" 956.739\n")).index_ml == 956_739_000
    for name in ("read_at", "currently_delivered"):
        said = decode(f"dsmr/consumption/gas/{name}", b"0.509")
        assert said.observations == ()
        assert said.unread[0].startswith(name)


@pytest.mark.parametrize("payload", [b"", b'{"read_at":"2026-11-20T00:00:00Z","delivered":null}'])
def test_an_empty_value_is_unknown_and_not_zero(payload: bytes) -> None:
    """No register, no reading."""
    name = "json" if payload else "delivered"
    assert decode(f"dsmr/consumption/gas/{name}", payload).observations == ()


@pytest.mark.parametrize(
    ("topic", "payload", "field"),
    [
        ("dsmr/consumption/gas/json", b'{"read_at":"2026-11-20T00:00:00Z","gas":1.5}', "delivered"),
        ("dsmr/consumption/gas/json", b'{"read_at":"tonight","delivered":1.5}', "read_at"),
        ("dsmr/consumption/gas/json", b'{"read_at":1795132800,"delivered":1.5}', "read_at"),
        ("dsmr/consumption/gas/json", b'{"read_at":"0001-01-01T00:00:00+14:00","delivered":1.5}', "read_at"),
        ("dsmr/consumption/gas/json", b"[]", "payload"),
        ("dsmr/consumption/gas/delivered", b"none", "delivered"),
        ("dsmr/consumption/gas/delivered", b"-1", "index_ml"),
        ("dsmr/consumption/gas/delivered", b"\xff", "payload"),
        ("dsmr/consumption/gas/today", b"1", "topic"),
        ("/consumption/gas/json", b'{"delivered":1}', "topic"),
    ],
)
def test_what_breaks_a_rule_is_named(topic: str, payload: bytes, field: str) -> None:
    """Undecodable says which field."""
    with pytest.raises(Undecodable) as raised:
        decode(topic, payload)
    assert raised.value.field == field


_NAMES = ("v2_2", "v3", "v4_2", "v5", "v5_two_mbus", "fluvius_v171")


@given(st.sampled_from(_NAMES), st.data())
def test_a_truncated_telegram_is_refused_or_whole(name: str, data: st.DataObject) -> None:
    """Cut before its end it is Undecodable; what is cut after it was no part of it."""
    whole = _telegram(name)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        said = decode("dsmr/raw", cut)
    except Undecodable:
        assert len(cut) < len(whole.rstrip())
    else:
        assert said == decode("dsmr/raw", whole)
        assert len(cut) >= len(whole.rstrip())


@given(st.sampled_from(("v4_2", "v5", "fluvius_v171")), st.data())
def test_no_changed_byte_of_a_telegram_with_checksum_changes_a_reading(name: str, data: st.DataObject) -> None:
    """A burst of up to 16 bits is always caught by the checksum; so the answer is a refusal or the same reading."""
    whole = _telegram(name)
    place = data.draw(st.integers(0, len(whole) - 3))
    changed = whole[:place] + data.draw(st.binary(min_size=1, max_size=2)) + whole[place + 2 :]
    try:
        said = decode("dsmr/raw", changed)
    except Undecodable:
        return
    assert said.observations == decode("dsmr/raw", whole).observations


@given(
    st.sampled_from(("dsmr/raw", "dsmr/consumption/gas/json", "dsmr/consumption/gas/delivered")), st.binary(max_size=80)
)
def test_random_bytes_raise_nothing_but_undecodable(topic: str, payload: bytes) -> None:
    """Noise on any topic."""
    for noise in (payload, b"/A\r\n\r\n0-1:24.1.0(3)\r\n" + payload + b"\r\n!\r\n"):
        try:
            assert isinstance(decode(topic, noise), Understood)
        except Undecodable as error:
            assert error.field  # noqa: PT017 - either way is right, but a refusal says what it refuses
