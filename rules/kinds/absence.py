"""Kinds of the absence family: who has not been heard, is heard late because a gateway floods, or cannot be read."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

KINDS: Mapping[str, Kind] = {
    "device_silent": Kind(
        family="absence",
        summary="A device was not heard for several of its own intervals while its gateway spoke and we listened, or "
        "its platform says that it is gone.",
        parameters={
            "intervals_missed": Parameter("intervals", 3, 1, 255, "own reporting intervals without a word"),
            "learned_share_min": Parameter(
                "1", 0.25, 0.01, 1, "a learned interval is at least this share of the registered one"
            ),
            "learned_factor_max": Parameter("1", 3, 1, 30, "and at most this multiple of it"),
            "offline_min_s": Parameter("s", 3600, 0, 604_800, "how long its platform must have said that it is gone"),
        },
        value_unit="h",
        high_when="the device is a leak detector: silence is not safety",
        lasting=True,
    ),
    "gateway_silent": Kind(
        family="absence",
        summary="A gateway was not heard for several of its intervals, or its last will stands for long.",
        parameters={
            "intervals_missed": Parameter("intervals", 2, 1, 255, "own reporting intervals without a word"),
            "offline_min_s": Parameter("s", 3600, 0, 604_800, "how long its last will must stand"),
        },
        value_unit="h",
        lasting=True,
    ),
    "cell_silent": Kind(
        family="absence",
        summary="Most devices of a building or compound, or most compounds or gateways of a district, are silent: one "
        "cause, one incident instead of one alert each.",
        parameters={
            "devices_min": Parameter("devices", 5, 2, 100_000, "a place with fewer watched devices is no cell"),
            "share_min": Parameter("1", 0.6, 0.1, 1, "share of them that must be overdue"),
            "share_end": Parameter("1", 0.3, 0.01, 1, "below this share the incident is over"),
            "overdue_intervals": Parameter(
                "intervals", 1.5, 1, 30, "own intervals without a word that count as overdue"
            ),
            "members_min": Parameter(
                "compounds", 2, 2, 10_000, "dead compounds, or silent gateways, from which on it is the district's"
            ),
        },
        ordered=(("share_end", "share_min"),),
        value_unit="devices",
        high_when="it is a district",
    ),
    "gateway_flood": Kind(
        family="absence",
        summary="A gateway has been above its rate limit for some time: what its devices say waits for its turn.",
        parameters={
            "lasting_min": Parameter("min", 10, 0, 10_080, "how long the flood must have gone on"),
        },
    ),
    "alarm_unread": Kind(
        family="absence",
        summary="What may be a leak or carbon monoxide alarm arrived and could not be stored: it is in quarantine, "
        "because its device is not registered, its time is impossible or it cannot be read.",
        parameters={
            "critical_lel_pct": Parameter(
                "%LEL", 20.0, 1, 100, "from this concentration on it is as bad as an alarm of the high set-point"
            ),
        },
        value_unit="%LEL",
        high_when="it can be read as an alarm or a measurement of gas, of level 2 or of a level that it does not tell, "
        "or critical_lel_pct is reached",
        leak=True,
    ),
}
