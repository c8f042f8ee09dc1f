"""Kinds of the absence family: who has not been heard."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

KINDS: Mapping[str, Kind] = {
    "device_silent": Kind(
        family="absence",
        summary="A device was not heard for several of its own intervals while its gateway spoke and we listened.",
        parameters={
            "intervals_missed": Parameter("intervals", 3, 1, 255, "own reporting intervals without a word"),
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
}
