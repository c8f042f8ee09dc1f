"""Kinds of the desk family: the alert desk itself does not work as it must. Found by rules/notices/watch.py."""

from collections.abc import Mapping

from rules.kinds.model import Kind

KINDS: Mapping[str, Kind] = {
    "channel_dead": Kind(
        family="desk",
        summary="A contact of a person did not take several notices in a row (the setting notices.dead_after).",
        parameters={},
        value_unit="attempts",
    ),
    "rota_gap": Kind(
        family="desk",
        summary="Nobody is planned at a level of the on-duty rota, now or within the time that is warned of.",
        parameters={},
        high_when="the gap has begun",
    ),
    "duty_unreachable": Kind(
        family="desk",
        summary="A person on duty now or within a day confirmed the newest test message by no contact in time.",
        parameters={},
    ),
}
