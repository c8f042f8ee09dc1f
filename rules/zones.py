"""Detectors of the group family about zones: gas lost between a check meter and its homes, pressure falling. Pure.

A zone is a place (building, compound or district) that check meters feed. What a balance does not know widens its
bound; it never becomes zero.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median

from rules.gate import admit
from rules.model import Cleared, Finding, Rule

SETTLED = timedelta(days=1)
"""A day's readings may arrive a day after it: balances end this long before the day on which they are made."""


@dataclass(frozen=True, slots=True)
class Metered:
    """Volume of one meter over the period of a balance, in litres; None: it was not read at both ends.

    `check`: it feeds the zone. `pulse_l`: what its register counts at a time.
    """

    code: str
    used_l: float | None
    check: bool
    pulse_l: float = 0.0


@dataclass(frozen=True, slots=True)
class Balance:
    """What went in and what came out of a zone over aligned days, in litres.

    `error_l`: what metering errors, temperature and pressure, and counted steps may make of the difference.
    """

    in_l: float
    out_l: float
    homes: int
    unread: tuple[str, ...]
    unread_l: float
    error_l: float

    @property
    def loss_l(self) -> float:
        """Loss with the unread homes at the mean of the read ones."""
        return self.in_l - self.out_l - self.unread_l

    @property
    def bound_l(self) -> float:
        """How far the loss may be off: the errors, and the whole of what unread homes may differ by."""
        return self.error_l + self.unread_l

    @property
    def certain_l(self) -> float:
        """The part of the loss that no error explains; negative: none."""
        return self.loss_l - self.bound_l


def balance(rule: Rule, meters: Sequence[Metered]) -> Balance | None:
    """Balance of a zone; None when a check meter was not read, or there is none, or no home was."""
    checks, homes = [one for one in meters if one.check], [one for one in meters if not one.check]
    read = [one.used_l for one in homes if one.used_l is not None]
    if not checks or not read or any(one.used_l is None for one in checks):
        return None
    in_l, out_l = sum(one.used_l or 0.0 for one in checks), sum(read)
    unread = tuple(sorted(one.code for one in homes if one.used_l is None))
    error_l = (
        in_l * rule["check_error_pct"] / 100
        + out_l * (rule["home_error_pct"] + rule["gas_state_pct"]) / 100
        + 2 * sum(one.pulse_l for one in meters)
    )
    return Balance(in_l, out_l, len(homes), unread, len(unread) * out_l / len(read), error_l)


def zone_loss(
    rule: Rule, subject: str, name: str, meters: Sequence[Metered], first_at: datetime, last_at: datetime
) -> Finding | None:
    """Loss of a zone that its bound does not explain and that is `loss_min_pct` of what went in.

    Not judged when more than `unread_share_max` of the homes were not read.
    """
    found = balance(rule, meters)
    if found is None or len(found.unread) > rule["unread_share_max"] * found.homes or found.in_l <= 0:
        return None
    share_pct = found.loss_l / found.in_l * 100
    if found.certain_l <= 0 or share_pct < rule["loss_min_pct"]:
        return None
    return Finding(
        rule_id=rule.rule_id,
        subject=subject,
        first_at=first_at,
        last_at=last_at,
        severity=rule.severity,
        sentence=f"{name} lost {found.loss_l / 1000:,.1f} ± {found.bound_l / 1000:,.1f} m³ ({share_pct:.1f} %) in"
        f" {(last_at - first_at).days} days: {found.in_l / 1000:,.1f} m³ in, {found.out_l / 1000:,.1f} m³ at"
        f" {found.homes - len(found.unread)} homes, {len(found.unread)} unread",
        evidence={
            "in_l": found.in_l,
            "out_l": found.out_l,
            "homes": found.homes,
            "unread": list(found.unread[:100]),
            "unread_l": found.unread_l,
            "error_l": found.error_l,
            "loss_l": found.loss_l,
            "bound_l": found.bound_l,
            "check_meters": sorted(one.code for one in meters if one.check),
        },
        value=round(share_pct, 2),
        unit="%",
    )


def balanced_period(rule: Rule, now: datetime) -> tuple[datetime, datetime]:
    """The whole UTC days over which a zone is balanced on a day."""
    to_at = datetime.combine((now - SETTLED).astimezone(UTC).date(), time(), UTC)
    return to_at - timedelta(days=rule["days"]), to_at


def judge_zone(
    rule: Rule, subject: str, name: str, meters: Sequence[Metered], now: datetime
) -> list[Finding | Cleared]:
    """The loss of a zone on a day, or the word that it balances; nothing while too little is known."""
    found = zone_loss(rule, subject, name, meters, *balanced_period(rule, now))
    if found is not None:
        return list(admit(rule, [found]))
    return [Cleared(rule.rule_id, subject, now)] if balance(rule, meters) is not None else []


# ---------------------------------------------------------------------------------------------- pressure of a zone


@dataclass(frozen=True, slots=True)
class Pressure:
    """A pressure reading, as sent: falls are differences of one device, so gauge and absolute do not mix."""

    device_id: int
    code: str
    at: datetime
    pressure_pa: float


def fall_pa(rule: Rule, readings: Sequence[Pressure], at: datetime) -> float | None:
    """How far one device's pressure fell: median of the base time before the window less the newest in the window.

    None when either is unknown.
    """
    since = at - timedelta(minutes=rule["within_min"])
    base_since = since - timedelta(hours=rule["base_h"])
    base = [one.pressure_pa for one in readings if base_since <= one.at < since]
    now = [one for one in readings if since <= one.at <= at]
    if not base or not now:
        return None
    newest = max(now, key=lambda one: (one.at, -one.pressure_pa))
    return median(base) - newest.pressure_pa


def zone_pressure(rule: Rule, subject: str, name: str, readings: Iterable[Pressure], at: datetime) -> Finding | None:
    """Pressure fell by `fall_min_pa` at `share_min` of at least `devices_min` devices of a zone within `within_min`.

    A share is robust: one blocked regulator or a faulty sensor moves nothing.
    """
    by_device: dict[int, list[Pressure]] = {}
    for one in readings:
        by_device.setdefault(one.device_id, []).append(one)
    falls = {device_id: fall for device_id, own in by_device.items() if (fall := fall_pa(rule, own, at)) is not None}
    fallen = {device_id: fall for device_id, fall in falls.items() if fall >= rule["fall_min_pa"]}
    if len(falls) < rule["devices_min"] or len(fallen) < rule["share_min"] * len(falls):
        return None
    middle_pa = median(fallen.values())
    newest = {device_id: max(one.at for one in by_device[device_id] if one.at <= at) for device_id in fallen}
    shown = [one for device_id in sorted(fallen)[:20] for one in by_device[device_id]]
    kept = sorted(shown, key=lambda one: (one.at, one.device_id, one.pressure_pa))
    return Finding(
        rule_id=rule.rule_id,
        subject=subject,
        first_at=min(newest.values()),
        last_at=at,
        severity=rule.severity,
        sentence=f"Pressure fell by {middle_pa:,.0f} Pa at {len(fallen)} of {len(falls)} devices of {name}"
        f" within {rule['within_min']:g} min",
        evidence={
            "columns": ["at", "device", "pressure_pa"],
            "samples": [[one.at.isoformat(), one.code, one.pressure_pa] for one in kept[-100:]],
            "devices": len(falls),
            "fallen": len(fallen),
        },
        value=float(round(middle_pa)),
        unit="Pa",
    )
