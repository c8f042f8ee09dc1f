"""Sources in the settings: which are accepted, and the sentence for each that is wrong."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.settings import effective, load_settings
from app.sources import SettingsError
from ingest.foreign import FOREIGN
from ingest.intake import read_foreign
from ingest.lanes import Lane
from ingest.model import Foreign
from ingest.params import IngestParams
from ingest.sources import SourceParams, matches, overlap, source_of

_URLS = {"DATABASE_URL": "postgresql://app:s3cret@db/gas", "MQTT_URL": "mqtt://worker:pw@broker:1883"}
_NOW = datetime(2026, 11, 20, tzinfo=UTC)
_PART = st.sampled_from(["a", "b", "+"])
_FILTERS = st.builds(
    lambda parts, tail: "/".join(parts + tail), st.lists(_PART, min_size=1, max_size=4), st.sampled_from([[], ["#"]])
)
_TOPICS = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=6).map("/".join)

WRONG = [
    ({"format": "morse"}, "'morse' is no format; there are senml-json, senml-cbor"),
    ({"format": "dsmr", "topics": ["a/#/b"]}, "'a/#/b' is no MQTT topic filter"),
    ({"format": "dsmr", "topics": ["$SYS/#"]}, "'$SYS/#' is no MQTT topic filter"),
    ({"format": "senml-json"}, "messages of senml-json name no gateway: set gateway or gateway_segment"),
    ({"format": "dsmr", "gateway": "G", "gateway_segment": 1}, "gateway is one name"),
    ({"format": "dsmr", "gateways": {"x": "no code"}}, "'no code' is no gateway code"),
    ({"format": "dsmr", "site_zone": "Mars/Base"}, "'Mars/Base' is not a time zone of the IANA database"),
    ({"format": "dsmr", "profiles": {"1": {}}}, "dsmr has no profiles of products"),
    ({"format": "dsmr", "colour": "red"}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("fields", "sentence"), WRONG)
def test_wrong_source(fields: dict[str, object], sentence: str) -> None:
    """Each rule that a source breaks is named."""
    with pytest.raises(ValidationError) as caught:
        SourceParams.model_validate({"area": "D01"} | fields)
    assert sentence in str(caught.value)


def test_sources_of_a_file(tmp_path: Path) -> None:
    """Sources are tables of the TOML file; what is in force is shown."""
    path = tmp_path / "gaswarden.toml"
    path.write_text(
        '[[ingest.sources]]\nformat = "chirpstack"\narea = "D01"\ngateway = "LNS-1"\n'
        '[[ingest.sources]]\nformat = "onenet"\narea = "D02"\n'
        '[ingest.sources.profiles.90273.measures]\nvolume = { gives = "index_ml", factor = "1000" }\n'
    )
    settings, _ = load_settings(_URLS, path)
    first, second = settings.ingest.sources
    assert first.filters[0] == "application/+/device/+/event/up"
    assert second.profiles["90273"].measures["volume"].factor == 1000
    shown = dict(effective(settings))
    assert "onenet on onenet/# in D02" in shown["ingest", "sources"]


def test_overlapping_sources(tmp_path: Path) -> None:
    """Two sources that share topics are a settings error that names both filters; so is one that takes native ones."""
    path = tmp_path / "gaswarden.toml"
    path.write_text(
        '[[ingest.sources]]\nformat = "ctwing"\narea = "D01"\ntopics = ["nb/+/up"]\n'
        '[[ingest.sources]]\nformat = "onenet"\narea = "D01"\ntopics = ["nb/90273/#"]\n'
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(_URLS, path)
    assert str(caught.value) == f"{path}: ingest.sources: sources 1 and 2: nb/+/up and nb/90273/# share topics"
    path.write_text('[[ingest.sources]]\nformat = "ctwing"\narea = "D01"\ntopics = ["+/v1/#"]\n')
    with pytest.raises(SettingsError, match=r"source 1: \+/v1/# would take native messages"):
        load_settings(_URLS, path)


@given(_FILTERS, _FILTERS, _TOPICS)
def test_a_topic_of_two_filters_is_an_overlap(first: str, second: str, topic: str) -> None:
    """When some topic matches both filters they overlap, whichever comes first."""
    if matches(first, topic) and matches(second, topic):
        assert overlap(first, second)
        assert overlap(second, first)


@pytest.mark.parametrize(
    ("first", "second"), [("a/+", "b/+"), ("a/b", "a/b/c"), ("a/+/up", "a/+/down"), ("x/#", "y/#"), ("+/a", "+")]
)
def test_filters_apart(first: str, second: str) -> None:
    """Filters without a common topic do not overlap."""
    assert not overlap(first, second)


def test_a_filter_of_a_tree_takes_its_root() -> None:
    """`a/#` also takes `a`, as MQTT says."""
    assert matches("a/#", "a")
    assert overlap("a/#", "a")


def test_the_usual_topics_of_all_formats_are_apart() -> None:
    """Every format can be configured beside every other, and its samples' topics are among its own."""
    sources = tuple(SourceParams(format=word, area="D01", gateway="G") for word in FOREIGN)
    assert IngestParams(sources=sources).own_sources == sources
    for source in sources:
        for sample in source.form.samples:
            assert source_of(sources, sample.topic) == source


def test_a_slot_subscribes_to_the_sources_of_its_areas() -> None:
    """Sources of other areas are another slot's; without any source of its own there is no lane."""
    ours = SourceParams(format="dsmr", area="D01")
    theirs = SourceParams(format="wmbusmeters", area="D02")
    params = IngestParams(areas=("D01",), sources=(ours, theirs))
    assert Lane.of_sources(params).filters == ours.filters


def test_the_gateway_of_a_message() -> None:
    """The gateway is the source's, the topic's or the message's; a name that is no code is looked up."""
    fixed = SourceParams(format="dsmr", area="D01", gateway="G-1")
    topic = SourceParams(format="dsmr", area="D01", gateway_segment=2)
    named = SourceParams(format="dsmr", area="D01", gateways={"im871a[1]": "RX-1"})
    assert fixed.gateway_name("a/b/c", "x") == "G-1"
    assert topic.gateway_name("a/b/c", "x") == "b"
    assert topic.gateway_name("a", "x") is None
    assert named.gateway_name("a/b", "PRS/edge") == "PRS/edge"
    assert [named.gateway_code(one) for one in ("PRS/edge", "im871a[1]", "no code")] == ["PRS:edge", "RX-1", None]


@given(st.sampled_from(sorted(FOREIGN)), st.binary(max_size=200), st.data())
def test_reading_never_raises(word: str, payload: bytes, data: st.DataObject) -> None:
    """Whatever is published on a source's topic becomes an answer or a reason."""
    source = SourceParams(format=word, area="D01", gateway="G")
    topic = data.draw(st.sampled_from([one.topic for one in source.form.samples]) | st.text(max_size=40))
    read = read_foreign(source, topic, payload, _NOW)
    assert isinstance(read.content, Foreign)
