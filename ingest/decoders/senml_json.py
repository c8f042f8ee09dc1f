"""SenML packs in JSON (RFC 8428 section 5), media type application/senml+json."""

from datetime import UTC, datetime

from ingest.decoders import senml
from ingest.decoders.jsontext import read_json
from ingest.decoders.model import Clock, Measured, Moment, Sample, Understood

NAME = "senml-json/1"
FAMILY = senml.FAMILY
TOPIC_FILTERS = ("senml/json/#",)


def decode(topic: str, payload: bytes) -> Understood:  # noqa: ARG001 - a pack says all of itself
    """What a pack says; raises Undecodable naming record and rule."""
    return senml.understand_pack(read_json(payload), NAME)


def _said(*observations: Measured, unread: tuple[str, ...] = ()) -> Understood:
    return Understood(FAMILY, NAME, None, observations, unread=unread)


_RFC = "RFC 8428, section 5.1 (core-wg/senml-spec); code components of RFCs: Revised BSD"
_OWN = "written for this project after RFC 8428"

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "senml/json/pack",
        b'[{ "n": "urn:dev:ow:10e2073a01080063", "v":23.1, "u":"Cel" }]',
        _said(Measured("urn:dev:ow:10e2073a01080063", Moment(Clock.ARRIVAL), temperature_c=23.1)),
        _RFC,
    ),
    Sample(
        "senml/json/pack",
        b'[\n    {"bn": "2001:db8::2/",\n     "bt": 1320078429,\n     "n": "temperature", "v": 25.2, "u": "Cel" },\n'
        b'    { "n": "humidity", "v": 30, "u": "%RH" },\n    {"bn": "2001:db8::1/",\n'
        b'     "n": "temperature", "v": 12.3, "u": "Cel" },\n    { "n": "humidity", "v": 67, "u": "%RH" } \n]\n',
        _said(
            Measured(
                "2001:db8::2", Moment(Clock.GATEWAY, datetime(2011, 10, 31, 16, 27, 9, tzinfo=UTC)), temperature_c=25.2
            ),
            Measured(
                "2001:db8::1", Moment(Clock.GATEWAY, datetime(2011, 10, 31, 16, 27, 9, tzinfo=UTC)), temperature_c=12.3
            ),
            unread=("2001:db8::2/humidity (%RH)", "2001:db8::1/humidity (%RH)"),
        ),
        _RFC,
    ),
    Sample(
        "senml/json/pack",
        b'[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1795132800.25,"n":"volume","u":"m3","v":6842.784},'
        b'{"n":"flow","u":"m3/s","v":0.0001},{"n":"battery","u":"V","v":3.59},'
        b'{"n":"volume","u":"m3","t":-3600,"v":6842.424}]',
        _said(
            Measured(
                "urn:dev:mac:0024befffe804ff1",
                Moment(Clock.GATEWAY, datetime(2026, 11, 20, 0, 0, 0, 250_000, tzinfo=UTC)),
                register="volume",
                index_ml=6_842_784_000,
                flow_lh=360.0,
                battery_mv=3590,
            ),
            Measured(
                "urn:dev:mac:0024befffe804ff1",
                Moment(Clock.GATEWAY, datetime(2026, 11, 19, 23, 0, 0, 250_000, tzinfo=UTC)),
                register="volume",
                index_ml=6_842_424_000,
            ),
        ),
        _OWN,
    ),
)
