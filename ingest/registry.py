"""Registry files of the devices: rows as CSV columns, and savers that upsert by code.

A saver refuses rows whose references do not exist, with column and value, and saves the others; saving twice changes
nothing. Installations are history: a row is never removed, a meter swap closes one and opens another.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from ingest.decoders.lorawan import CODECS
from ingest.local_time import ZoneName
from sql import queries
from sql.saved import Saved

Identity = Annotated[str, Field(min_length=1, max_length=64)]
IntervalS = Annotated[int, Field(gt=0, le=366 * 86_400)]
LelPercent = Annotated[float, Field(gt=0, le=100)]
Millilitres = Annotated[int, Field(ge=0, le=10**15)]


class Row(BaseModel):
    """A row of a registry file: strings from CSV, an empty string means unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: value for key, value in values.items() if not (isinstance(value, str) and not value.strip())}


class GatewayRow(Row):
    """gateways.csv: what publishes, and the area of its topics."""

    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    area: str
    expected_interval_s: IntervalS = 86_400


class DeviceRow(Row):
    """devices.csv: a meter or a leak detector and the one gateway that may publish it."""

    code: Identity
    family: Identity = "native"
    kind: Literal["meter", "detector"]
    gateway: str
    model: str | None = None
    meter_class: str | None = None
    qmin_lh: float | None = Field(None, gt=0)
    qmax_lh: float | None = Field(None, gt=0)
    pulse_ml: int | None = Field(None, gt=0, le=2**31 - 1)
    register_wrap_ml: int | None = Field(None, gt=0, le=10**15)
    has_valve: bool = False
    expected_interval_s: IntervalS
    warn_lel_pct: LelPercent | None = None
    alarm_lel_pct: LelPercent | None = None
    made_on: date | None = None
    codec: Identity | None = None
    site_zone: ZoneName | None = None
    register_name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    alarm_level: Literal[1, 2] | None = None
    volume_kind: Literal["cumulative", "interval"] = "cumulative"
    check_of: Annotated[str, Field(pattern=r"^(building|compound|district):.{1,128}$")] | None = None

    @field_validator("alarm_level", mode="before")
    @classmethod
    def _level(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value in {"1", "2"} else value

    @field_validator("codec")
    @classmethod
    def _known_codec(cls, value: str | None) -> str | None:
        if value is not None and value not in CODECS:
            raise ValueError(f"{value!r} is no codec; there are {', '.join(CODECS)}")
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> "DeviceRow":
        if self.kind == "meter" and None in (self.qmin_lh, self.qmax_lh, self.pulse_ml):
            raise ValueError("a meter has qmin_lh, qmax_lh and pulse_ml")
        if self.kind != "meter" and self.check_of is not None:
            raise ValueError("check_of: only a meter checks a place")
        if self.kind == "detector" and self.alarm_lel_pct is None:
            raise ValueError("a detector has alarm_lel_pct")
        if self.qmin_lh is not None and self.qmax_lh is not None and self.qmax_lh <= self.qmin_lh:
            raise ValueError("qmax_lh must be above qmin_lh")
        return self


class InstallationRow(Row):
    """installations.csv: where a device was, from when to when; registers at both ends where known."""

    device: Identity
    family: Identity = "native"
    premises: str
    installed_at: AwareDatetime
    removed_at: AwareDatetime | None = None
    index_installed_ml: Millilitres | None = None
    index_removed_ml: Millilitres | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "InstallationRow":
        if self.removed_at is not None and self.removed_at <= self.installed_at:
            raise ValueError("removed_at must be after installed_at")
        return self


Saver = Callable[[asyncpg.Connection, list[tuple[int, Any]]], Awaitable[Saved]]
Refused = tuple[int, str]
T = TypeVar("T")


async def save_gateways(conn: asyncpg.Connection, rows: list[tuple[int, GatewayRow]]) -> Saved:
    """Save gateways; refuses those of an unknown area."""
    wanted, refused = _once(rows, lambda row: row.code, "code")
    areas = await conn.fetch(*queries["known_areas"].bind(codes=[row.area for _, row in wanted]))
    known = {row["code"] for row in areas}
    good = [row for _, row in wanted if row.area in known]
    refused += [(line, f"area: {row.area!r} is not a known district") for line, row in wanted if row.area not in known]
    found = await conn.fetch(*queries["registered_gateways"].bind(codes=[row.code for row in good]))
    before = {row["code"]: (row["area"], row["expected_interval_s"]) for row in found}
    await conn.execute(
        *queries["save_gateways"].bind(
            codes=[row.code for row in good],
            areas=[row.area for row in good],
            intervals=[row.expected_interval_s for row in good],
        )
    )
    return _saved([(before.get(row.code), (row.area, row.expected_interval_s)) for row in good], refused)


async def save_devices(conn: asyncpg.Connection, rows: list[tuple[int, DeviceRow]]) -> Saved:
    """Save devices by identity; refuses those of an unknown gateway, and check meters of an unknown place."""
    wanted, refused = _once(rows, lambda row: (row.family, row.code), "code")
    gateways = await conn.fetch(*queries["registered_gateways"].bind(codes=[row.gateway for _, row in wanted]))
    ids = {row["code"]: row["gateway_id"] for row in gateways}
    good = [row for _, row in wanted if row.gateway in ids]
    refused += [
        (line, f"gateway: {row.gateway!r} is not a known gateway") for line, row in wanted if row.gateway not in ids
    ]
    good, unknown = await _with_known_zones(conn, good, wanted)
    refused += unknown
    found = await _registered_devices(conn, [(row.family, row.code) for row in good])
    await conn.execute(
        *queries["save_devices"].bind(
            codes=[row.code for row in good],
            families=[row.family for row in good],
            kinds=[row.kind for row in good],
            gateway_ids=[ids[row.gateway] for row in good],
            models=[row.model for row in good],
            meter_classes=[row.meter_class for row in good],
            qmins=[row.qmin_lh for row in good],
            qmaxes=[row.qmax_lh for row in good],
            pulses=[row.pulse_ml for row in good],
            wraps=[row.register_wrap_ml for row in good],
            valves=[row.has_valve for row in good],
            intervals=[row.expected_interval_s for row in good],
            warns=[row.warn_lel_pct for row in good],
            alarms=[row.alarm_lel_pct for row in good],
            made_ons=[row.made_on for row in good],
            codecs=[row.codec for row in good],
            site_zones=[row.site_zone for row in good],
            registers=[row.register_name for row in good],
            alarm_levels=[row.alarm_level for row in good],
            volume_kinds=[row.volume_kind for row in good],
            checks=[row.check_of for row in good],
        )
    )
    before = {key: _comparable(row) for key, row in found.items()}
    return _saved([(before.get((row.family, row.code)), _comparable(row.model_dump())) for row in good], refused)


async def _with_known_zones(
    conn: asyncpg.Connection, rows: list[DeviceRow], wanted: Sequence[tuple[int, DeviceRow]]
) -> tuple[list[DeviceRow], list[Refused]]:
    """The rows whose place to check exists (or that check none), and a refusal for each other."""
    words = sorted({row.check_of for row in rows if row.check_of})
    found = await conn.fetch(*queries["known_zones"].bind(words=words)) if words else []
    known = {None, *(row["word"] for row in found)}
    refused = [
        (line, f"check_of: {row.check_of!r} is not a known place") for line, row in wanted if row.check_of not in known
    ]
    return [row for row in rows if row.check_of in known], refused


async def save_installations(conn: asyncpg.Connection, rows: list[tuple[int, InstallationRow]]) -> Saved:
    """Save installations by device and start, the closed ones first.

    Refuses unknown devices and premises, and a device that would be in two places at a time.
    """
    wanted, refused = _once(rows, lambda row: (row.family, row.device, row.installed_at), "installed_at")
    devices = await _registered_devices(conn, [(row.family, row.device) for _, row in wanted])
    premises = await conn.fetch(*queries["known_premises"].bind(codes=[row.premises for _, row in wanted]))
    premises_ids = {row["code"]: row["premises_id"] for row in premises}
    device_ids = {key: row["device_id"] for key, row in devices.items()}
    history = await _history(conn, list(device_ids.values()))
    judged: list[tuple[object, object]] = []
    for line, row in sorted(wanted, key=lambda pair: (pair[1].removed_at is None, pair[1].installed_at)):
        device_id, premises_id = device_ids.get((row.family, row.device)), premises_ids.get(row.premises)
        if device_id is None:
            refused.append((line, f"device: {row.device!r} is not a known {row.family} device"))
        elif premises_id is None:
            refused.append((line, f"premises: {row.premises!r} is not known"))
        elif other := _overlap(history.setdefault(device_id, {}), row):
            refused.append((line, f"installed_at: {row.device!r} is elsewhere from {other.isoformat()}"))
        else:
            place = (premises_id, row.removed_at, row.index_installed_ml, row.index_removed_ml)
            judged.append((history[device_id].get(row.installed_at), place))
            history[device_id][row.installed_at] = place
            await _save_installation(conn, device_id, row.installed_at, place)
    return _saved(judged, refused)


REGISTRY: tuple[tuple[str, type[BaseModel], Saver], ...] = (
    ("gateways.csv", GatewayRow, save_gateways),
    ("devices.csv", DeviceRow, save_devices),
    ("installations.csv", InstallationRow, save_installations),
)

_Place = tuple[int, datetime | None, int | None, int | None]


async def _save_installation(conn: asyncpg.Connection, device_id: int, installed_at: datetime, place: _Place) -> None:
    premises_id, removed_at, index_installed_ml, index_removed_ml = place
    await conn.execute(
        *queries["save_installation"].bind(
            device_id=device_id,
            premises_id=premises_id,
            installed_at=installed_at,
            removed_at=removed_at,
            index_installed_ml=index_installed_ml,
            index_removed_ml=index_removed_ml,
        )
    )


async def _history(conn: asyncpg.Connection, device_ids: Sequence[int]) -> dict[int, dict[datetime, _Place]]:
    found = await conn.fetch(*queries["registered_installations"].bind(device_ids=list(device_ids)))
    history: dict[int, dict[datetime, _Place]] = {}
    for row in found:
        place = (row["premises_id"], row["removed_at"], row["index_installed_ml"], row["index_removed_ml"])
        history.setdefault(row["device_id"], {})[row["installed_at"]] = place
    return history


def _overlap(places: Mapping[datetime, _Place], row: InstallationRow) -> datetime | None:
    """The start of another installation of the same device that this one would overlap."""
    for installed_at, (_, removed_at, _, _) in places.items():
        if installed_at == row.installed_at:
            continue
        starts_before_end = removed_at is None or row.installed_at < removed_at
        ends_after_start = row.removed_at is None or row.removed_at > installed_at
        if starts_before_end and ends_after_start:
            return installed_at
    return None


async def _registered_devices(
    conn: asyncpg.Connection, identities: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    found = await conn.fetch(
        *queries["registered_devices"].bind(
            families=[family for family, _ in identities], codes=[code for _, code in identities]
        )
    )
    return {(row["family"], row["code"]): dict(row) for row in found}


def _comparable(device: Mapping[str, Any]) -> tuple[object, ...]:
    """A device's columns in one order; fractions as the database's 4-byte numbers round them."""
    return tuple(
        round(value, 4) if isinstance(value, float) else value
        for name, value in sorted(device.items())
        if name != "device_id"
    )


def _once(
    rows: Iterable[tuple[int, T]], key: Callable[[T], object], column: str
) -> tuple[list[tuple[int, T]], list[Refused]]:
    """Rows whose key comes first, and a refusal for each later one."""
    first: dict[object, int] = {}
    wanted: list[tuple[int, T]] = []
    refused: list[Refused] = []
    for line, row in rows:
        if (at := first.setdefault(key(row), line)) == line:
            wanted.append((line, row))
        else:
            refused.append((line, f"{column}: is in line {at} already"))
    return wanted, refused


def _saved(judged: Sequence[tuple[object, object]], refused: list[Refused]) -> Saved:
    added = sum(before is None for before, _ in judged)
    changed = sum(before is not None and before != after for before, after in judged)
    return Saved(added, changed, len(judged) - added - changed, tuple(sorted(refused)))
