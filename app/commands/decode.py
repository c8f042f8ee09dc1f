"""`gaswarden decode`: what a payload becomes, field by field, without storing it and without any server."""

import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.terminal import JsonOption, WentWrong, show_json, show_table
from ingest.decoders.lorawan import CODECS
from ingest.decoders.model import Clock, Moment, Observation, Undecodable, Understood
from ingest.foreign import FOREIGN, Hints
from ingest.formats import FORMATS
from ingest.local_time import to_utc, zone
from ingest.model import Decoded, Rejected

_NATIVE = "native"


def decode(
    file: Annotated[
        str | None, typer.Argument(help="File with one payload as it was published; - reads it here.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="One of those that --list shows.")] = None,
    topic: Annotated[
        str | None, typer.Option(help="Topic it was published on; none: that of the first sample.")
    ] = None,
    codec: Annotated[str | None, typer.Option(help="How a LoRaWAN device's bytes are read, as registered.")] = None,
    site_zone: Annotated[str | None, typer.Option(help="IANA zone of a clock that tells none.")] = None,
    hexadecimal: Annotated[bool, typer.Option("--hex", help="The file holds hexadecimal text of the payload.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the formats, their topics and families.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a payload becomes, field by field, without storing it; no server is asked.

    What only the registry knows (volume of a pulse, site, gateway) is said to be missing, not made up.
    Exit codes: 0 understood, 1 not of this format, 2 wrong usage.
    """
    if show_list:
        _show_formats(as_json=as_json)
        return
    if form is None or file is None:
        raise typer.BadParameter("a format and a file are needed: --format F FILE; --list shows the formats")
    payload = _payload(file, hexadecimal=hexadecimal)
    if form == _NATIVE:
        _show_native(topic or FORMATS[_NATIVE].samples[0].topic, payload, as_json=as_json)
    else:
        _show_foreign(form, topic, payload, codec, _checked_zone(site_zone), as_json=as_json)


def _show_formats(*, as_json: bool) -> None:
    rows = [(_NATIVE, "native/1", "native", ["gas/v1/#"], len(FORMATS[_NATIVE].samples))]
    rows += [(word, one.name, one.family, list(one.topic_filters), len(one.samples)) for word, one in FOREIGN.items()]
    columns = ("format", "decoder", "family", "topics", "samples")
    if as_json:
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        show_table("Formats", list(columns), [(*row[:3], "\n".join(row[3]), row[4]) for row in rows])


def _payload(file: str, *, hexadecimal: bool) -> bytes:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return bytes.fromhex(data.decode("ascii")) if hexadecimal else data
    except OSError as error:
        raise WentWrong(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise WentWrong(f"{file}: is not hexadecimal text") from error


def _checked_zone(name: str | None) -> str | None:
    try:
        if name is not None:
            zone(name)
    except (OSError, ValueError, KeyError):
        raise typer.BadParameter(f"{name} is not a time zone of the IANA database") from None
    return name


def _show_native(topic: str, payload: bytes, *, as_json: bool) -> None:
    decoded = FORMATS[_NATIVE].decode(topic, payload)
    if isinstance(decoded, Rejected):
        raise WentWrong(f"{decoded.reason}: {decoded.detail}")
    _show(
        decoded.gateway, decoded.decoder, [_said(item) for item in decoded.items], (), _facts(decoded), as_json=as_json
    )


def _facts(decoded: Decoded) -> dict[str, str]:
    return {"area": decoded.area, "family": decoded.family}


def _show_foreign(
    word: str, topic: str | None, payload: bytes, codec: str | None, site_zone: str | None, *, as_json: bool
) -> None:
    form = FOREIGN.get(word)
    if form is None:
        raise typer.BadParameter(f"there is no format {word}; there are {', '.join((_NATIVE, *FOREIGN))}")
    if codec is not None and codec not in CODECS:
        raise typer.BadParameter(f"there is no codec {codec}; there are {', '.join(CODECS)}")
    try:
        understood = form.decode(topic or form.samples[0].topic, payload, Hints(lambda _device: codec))
    except Undecodable as error:
        raise WentWrong(f"invalid_field: {error}") from None
    said = [_said(one) | _settled(one, site_zone) for one in understood.observations]
    facts = {"family": understood.family} | ({"key": understood.message_key} if understood.message_key else {})
    _show(understood.gateway, understood.decoder, said, _loose_ends(understood), facts, as_json=as_json)
    if not said:
        raise WentWrong("not_understood: it says nothing that has a place here")


def _loose_ends(understood: Understood) -> tuple[str, ...]:
    asked = [f"to publish on {one.topic}: {one.reason}" for one in understood.requests]
    return (*(f"not read: {one}" for one in understood.unread), *asked)


def _said(item: Any) -> dict[str, Any]:
    """The fields of an observation or item that say something, moments taken apart."""
    found: dict[str, Any] = {"says": type(item).__name__.lower()}
    for field in fields(item):
        value = getattr(item, field.name)
        if isinstance(value, Moment):
            found |= {
                "clock": value.clock.value,
                "at": value.at,
                "summer": value.summer,
                "offset_s": value.offset_s or None,
            }
        elif not (value is None or value == () or value is False):
            found[field.name] = value
    return {name: value for name, value in found.items() if value is not None}


def _settled(one: Observation, site_zone: str | None) -> dict[str, Any]:
    """What becomes of an observation as far as that can be told without the registry."""
    found: dict[str, Any] = {"settled_at": _settled_at(one.moment, site_zone)}
    pulses = getattr(one, "pulses", None)
    if pulses is not None:
        found["settled_index_ml"] = f"{pulses} x pulse_ml of the device"
    return found


def _settled_at(moment: Moment, site_zone: str | None) -> str:
    if moment.clock is Clock.ARRIVAL:
        at = (moment.at or datetime.now(UTC)) + timedelta(seconds=moment.offset_s)
        return f"{at.isoformat(timespec='seconds')} (of arrival, were it now)"
    assert moment.at is not None
    if moment.at.tzinfo is not None:
        return moment.at.isoformat()
    if site_zone is None:
        return "local time: needs the site's zone"
    try:
        at, sure = to_utc(moment.at, zone(site_zone), moment.summer)
    except (ValueError, OverflowError) as error:
        return f"time_out_of_range: {error}"
    return at.isoformat() + ("" if sure else " (clock_unsure)")


def _show(
    gateway: str | None,
    decoder: str,
    said: Sequence[dict[str, Any]],
    loose_ends: Sequence[str],
    facts: dict[str, str],
    *,
    as_json: bool,
) -> None:
    if as_json:
        show_json({"decoder": decoder, "gateway": gateway, **facts, "says": list(said), "notes": list(loose_ends)})
        return
    typer.echo(f"{'decoder:':20}{decoder}\n{'gateway:':20}{gateway or 'not named'}")
    for name, value in facts.items():
        typer.echo(f"{name + ':':20}{value}")
    for one in said:
        typer.echo(f"\n{one['says']}")
        for name, value in one.items():
            if name != "says":
                typer.echo(f"  {name + ':':18}{value}")
    for line in loose_ends:
        typer.echo(f"\n{line}")
