"""SenML in JSON and CBOR: the packs of RFC 8428 resolve exactly, gas packs become readings, broken ones say why."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import senml_cbor, senml_json
from ingest.decoders.jsontext import read_json
from ingest.decoders.model import Asserted, Clock, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.senml import resolve, senml_records

# The packs of RFC 8428 and their resolved forms (core-wg/senml-spec; code components of RFCs: Revised BSD).
_PACKS = Path(__file__).parents[1] / "data" / "senml"
_NOW_S = 1_498_780_179  # the moment at which the RFC resolved its relative packs
_RESOLVED = ("ex1", "ex2", "ex3", "ex4", "ex5", "ex6", "ex10", "ex11", "ex12")


def _resolved(name: str) -> Any:
    return read_json((_PACKS / f"{name}.resolved.json").read_bytes())


def _json(text: str) -> Understood:
    return senml_json.decode("senml/json/pack", text.encode())


def _cbor(value: Any) -> Understood:
    return senml_cbor.decode("senml/cbor/pack", cbor2.dumps(value))


@pytest.mark.parametrize("sample", [*senml_json.SAMPLES, *senml_cbor.SAMPLES])
def test_samples_give_exactly_what_they_say(sample: Sample) -> None:
    """Each sample becomes the observations beside it."""
    module = senml_json if "/json/" in sample.topic else senml_cbor
    assert module.decode(sample.topic, sample.payload) == sample.understood


@pytest.mark.parametrize("name", _RESOLVED)
def test_every_pack_of_the_rfc_resolves_exactly(name: str) -> None:
    """RFC 8428 sections 5.1: the resolved form, number for number, with relative times at the RFC's own now."""
    pack = read_json((_PACKS / f"{name}.json").read_bytes())
    assert senml_records(resolve(pack), _NOW_S) == _resolved(name)


@pytest.mark.parametrize("name", ["ex3", "ex5"])
def test_a_pack_in_cbor_resolves_as_in_json(name: str) -> None:
    """RFC 8428 section 6: integer labels and binary numbers say the same as the JSON form."""
    pack = senml_cbor.read_pack((_PACKS / f"{name}.cbor").read_bytes())
    assert senml_records(resolve(pack), _NOW_S) == _resolved(name)


def test_the_pack_without_a_published_resolution_resolves_by_the_rules() -> None:
    """ex13: base time and unit persist into all four records, a later t is added to the base time."""
    records = resolve(read_json((_PACKS / "ex13.json").read_bytes()))
    assert [(r.name[-1], r.unit, r.time_s, r.value) for r in records] == [
        ("3", "/", 1_320_078_429, Decimal("0.5")),
        ("4", "/", 1_320_078_429, Decimal("0.5")),
        ("3", "/", Decimal("1320078429.1"), 0),
        ("4", "/", Decimal("1320078429.1"), 0),
    ]


def test_base_fields_persist_until_the_next_one_and_bases_are_added() -> None:
    """RFC 8428 section 4.1: bn, bt, bu, bv, bs stay in force; bv and bs are added to v and s."""
    text = (
        '[{"bn":"a/","bt":1600000000,"bu":"m3","bv":10,"n":"x","v":1},{"n":"y","t":5,"v":2.5},{"bn":"b/","n":"z","v":0},'
        '{"bs":100,"bu":"m3/s","n":"s","s":1}]'
    )
    assert [(r.name, r.unit, r.time_s, r.value, r.sum) for r in resolve(read_json(text.encode()))] == [
        ("a/x", "m3", 1_600_000_000, 11, None),
        ("a/y", "m3", 1_600_000_005, Decimal("12.5"), None),
        ("b/z", "m3", 1_600_000_000, 10, None),
        ("b/s", "m3/s", 1_600_000_000, None, 101),
    ]


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ('"t":-5,', Moment(Clock.ARRIVAL, offset_s=-5.0)),
        ("", Moment(Clock.ARRIVAL)),
        ('"t":268435455,', Moment(Clock.ARRIVAL, offset_s=268435455.0)),
        ('"t":268435456,', Moment(Clock.GATEWAY, datetime(1978, 7, 4, 21, 24, 16, tzinfo=UTC))),
        ('"bt":1276020076.001,"t":-1,', Moment(Clock.GATEWAY, datetime(2010, 6, 8, 18, 1, 15, 1000, tzinfo=UTC))),
    ],
)
def test_times_below_two_to_the_28_are_relative_to_arrival(time: str, moment: Moment) -> None:
    """RFC 8428 section 4.5.3: the boundary is 2^28 of the sum of base time and time."""
    assert _json(f'[{{"n":"M-7/volume","u":"m3",{time}"v":1}}]').observations == (
        Measured("M-7", moment, register="volume", index_ml=1_000_000),
    )


def test_volumes_are_exact_to_the_millilitre() -> None:
    """6842.784 m3 is 6,842,784,000 ml though no binary float is 6842.784; 17 digits stay 17 digits."""
    said = _json('[{"n":"a/volume","u":"m3","v":6842.784},{"n":"b/volume","u":"m3","v":98765432109.123456}]')
    assert [one.index_ml for one in said.observations if isinstance(one, Measured)] == [
        6_842_784_000,
        98_765_432_109_123_456,
    ]


def test_the_sum_of_a_flow_is_its_volume() -> None:
    """RFC 8428 section 4.2: a sum has the unit of the value times seconds, so m3/s gives m3."""
    assert _json('[{"n":"M-7/flow","u":"m3/s","s":12.5}]').observations == (
        Measured("M-7", Moment(Clock.ARRIVAL), register="flow", index_ml=12_500_000),
    )


def test_an_unknown_quantity_or_unit_is_named_and_never_guessed_at() -> None:
    """Methane as a volume fraction is not LEL, a mains voltage no battery, a daily volume no register."""
    said = _json(
        '[{"bn":"d/","n":"ch4","u":"%","v":0.5},{"n":"voltage","u":"V","v":230},{"n":"daily","u":"m3","v":2},'
        '{"n":"lel","u":"/100","v":12.5},{"n":"volume","v":3}]'
    )
    assert said.observations == (Measured("d", Moment(Clock.ARRIVAL), lel_pct=12.5),)
    assert said.unread == ("d/ch4 (%)", "d/voltage (V)", "d/daily (m3)", "d/volume (no unit)")


def test_two_devices_below_one_base_name_stay_two() -> None:
    """A base name that is a prefix of addresses (RFC 8428 ex12) never becomes the device."""
    said = _json('[{"bn":"urn:dev:mac:","bu":"m3","n":"0024beff","v":1},{"n":"0024be00/volume","v":2}]')
    assert [one.device for one in said.observations if isinstance(one, Measured)] == [
        "urn:dev:mac:0024beff",
        "urn:dev:mac:0024be00",
    ]


def test_identity_is_text_with_its_leading_zeros() -> None:
    """A name of digits is a name."""
    assert _json('[{"n":"00043094","u":"m3","v":1}]').observations[0].device == "00043094"


def test_event_words_with_truth_values_are_assertions() -> None:
    """vb true raises, false clears, of words of ours only; a valve says open or closed."""
    now = Moment(Clock.ARRIVAL)
    said = _json(
        '[{"bn":"LD-7/","n":"leak_alarm","vb":true},{"n":"tamper","vb":false},{"n":"gas","vb":false},'
        '{"n":"valve","vs":"closed"},{"n":"valve","vs":"ajar"}]'
    )
    assert said.observations == (
        Asserted("LD-7", now, "leak_alarm", "raised"),
        Asserted("LD-7", now, "tamper", "cleared"),
        Asserted("LD-7", now, "valve", "closed"),
    )
    assert said.unread == ("LD-7/gas (no unit)", "LD-7/valve (no unit)")


def test_two_values_of_one_field_at_one_moment_are_both_kept() -> None:
    """A repeated quantity is a second observation, not an overwrite."""
    said = _json('[{"n":"a/volume","u":"m3","v":1},{"n":"a/volume","u":"m3","v":2}]')
    assert [one.index_ml for one in said.observations if isinstance(one, Measured)] == [1_000_000, 2_000_000]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{}", "pack"),
        ("[]", "pack"),
        ("[1]", "record 0"),
        ('[{"n":"a","v":1,"vb":true}]', "record 0"),
        ('[{"n":"a"}]', "record 0"),
        ('[{"v":1}]', "record 0.n"),
        ('[{"n":"a","v":"1"}]', "record 0.v"),
        ('[{"n":"a","v":true}]', "record 0.v"),
        ('[{"n":7,"v":1}]', "record 0.n"),
        ('[{"n":"a","v":null}]', "record 0.v"),
        ('[{"n":"a","vb":0}]', "record 0.vb"),
        ('[{"n":"a","v":1,"zone_":2}]', "record 0.zone_"),
        ('[{"n":"a","bver":11,"v":1}]', "bver"),
        ('[{"n":"a","bver":5,"v":1},{"n":"b","bver":6,"v":1}]', "bver"),
        ('[{"n":"a\\u0000b","v":1}]', "record 0.n"),
        ('[{"n":"a","u":"m3","v":-1}]', "index_ml"),
        ('[{"n":"a","u":"m3","v":1e50}]', "index_ml"),
        ('[{"n":"a","u":"m3","v":1e99999}]', "record 0.v"),
        ('[{"n":"a","v":1,"t":1e30}]', "a.t"),
        ('[{"n":"a","v":1,"t":-1600000000}]', "a.t"),
        ('[{"n":"a","v":NaN}]', "payload"),
        ('[{"n":"a","v":1,"v":2}]', "payload"),
        ("[" * 60000, "payload"),
    ],
)
def test_what_breaks_a_rule_is_named(text: str, field: str) -> None:
    """Undecodable says which record, field and rule."""
    with pytest.raises(Undecodable) as raised:
        _json(text)
    assert raised.value.field == field


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        cbor2.dumps([{0: "a", 2: 1}]) + b"\x00",  # bytes after the item
        bytes.fromhex("81a3006161020102 02"),  # the value twice
        bytes.fromhex("9b7fffffffffffffff"),  # an array of 2^63 records
        bytes.fromhex("d81c81d81d00"),  # an array that holds itself
        bytes.fromhex("81a2006161 02c482 1a7fffffff 01"),  # 1e2147483647
        cbor2.dumps([{0: "a", 2: float("nan")}]),
        cbor2.dumps([{0: "a", "n": "b", 2: 1}]),
        cbor2.dumps({0: "a", 2: 1}),
        b"\x81" * 1000,
        b"\x00" * 70_000,
    ],
)
def test_cbor_that_is_no_pack_is_refused(payload: bytes) -> None:
    """Truncated, repeated, endless, deep, self-containing, infinite: each is Undecodable."""
    with pytest.raises(Undecodable):
        senml_cbor.decode("senml/cbor/pack", payload)


def test_a_decimal_fraction_and_a_float_give_the_same_volume() -> None:
    """CBOR tag 4 and a 64-bit float of 6842.784 are the same millilitres."""
    for value in (Decimal("6842.784"), 6842.784):
        assert _cbor([{0: "a", 1: "m3", 2: value}]).observations == (
            Measured("a", Moment(Clock.ARRIVAL), index_ml=6_842_784_000),
        )


_ALL = st.sampled_from([*((senml_json, s) for s in senml_json.SAMPLES), *((senml_cbor, s) for s in senml_cbor.SAMPLES)])


@given(_ALL, st.data())
def test_no_truncated_sample_is_believed(chosen: tuple[Any, Sample], data: st.DataObject) -> None:
    """A pack cut anywhere is Undecodable: an array tells its end. Blanks after the JSON end are no part of it."""
    module, sample = chosen
    whole = sample.payload.rstrip() if module is senml_json else sample.payload
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Undecodable):
        module.decode(sample.topic, whole[:cut])


@given(_ALL, st.data())
def test_mutated_bytes_raise_nothing_but_undecodable(chosen: tuple[Any, Sample], data: st.DataObject) -> None:
    """Whatever a line does to a pack, the answer is an Understood or an Undecodable."""
    module, sample = chosen
    payload = bytearray(sample.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    _understood_or_not(module, bytes(payload))


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_undecodable(payload: bytes) -> None:
    """Noise is refused, or by chance says something."""
    _understood_or_not(senml_json, payload)
    _understood_or_not(senml_cbor, payload)


_LEAF = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
)
_LABEL = st.integers(-7, 9) | st.sampled_from(["n", "v", "bn", "x", "y_"])


@given(st.lists(st.dictionaries(_LABEL, _LEAF | st.lists(_LEAF, max_size=2), max_size=5), max_size=4))
def test_any_cbor_structure_raises_nothing_but_undecodable(pack: list[dict[Any, Any]]) -> None:
    """Well-formed CBOR with any labels and types."""
    _understood_or_not(senml_cbor, cbor2.dumps(pack))


def _understood_or_not(module: Any, payload: bytes) -> None:
    try:
        assert isinstance(module.decode("senml/pack", payload), Understood)
    except Undecodable as error:
        assert error.field  # noqa: PT017 - either way is right, but a refusal says what it refuses
