"""Kinds of the desk family: the desk itself does not work as it must. Found by rules/notices/watch.py."""

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
    "request_unanswered": Kind(
        family="desk",
        summary="Residents of a district wait for a first answer to their requests past its time.",
        parameters={},
        value_unit="requests",
    ),
    "request_unsettled": Kind(
        family="desk",
        summary="Requests of a district are answered but not settled in time, or a call after a poor rating lacks.",
        parameters={},
        value_unit="requests",
    ),
    "case_overdue": Kind(
        family="desk",
        summary="Cases of a district have no plan, or no end, by the day of their kind.",
        parameters={},
        value_unit="cases",
    ),
}
