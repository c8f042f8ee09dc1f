"""Milesight GS101, methane detector with valve and relay: channels of (id, type, value), LoRaWAN port 85.

Source: the maker's payload description, Milesight-IoT/SensorDecoders gs-series/gs101. Every value must be whole: a
frame cut inside a channel is refused, the channels before it included. A channel we do not know ends the reading
(its length is unknown) and is named; what stood before it is kept, so that new firmware cannot hide an alarm.
"""

from ingest.decoders.model import Asserted, Undecodable
from ingest.decoders.uplink import Codec, Reading, Uplink

_GAS = {0: "cleared", 1: "raised"}
_VALVE = {0: "closed", 1: "open"}
_ALARMS = {
    0: ("power_loss", "raised"), 1: ("power_loss", "cleared"), 2: ("fault", "raised"), 3: ("fault", "cleared"),
    5: ("end_of_life", "raised"),
}  # fmt: skip
_END_OF_LIFE_SOON = 4

# (channel, type) -> name and bytes of channels that say nothing we keep
_NOTED = {
    (0x08, 0x90): ("life_remain", 4), (0xFF, 0x01): ("ipso_version", 1), (0xFF, 0x09): ("hardware_version", 2),
    (0xFF, 0x0A): ("firmware_version", 2), (0xFF, 0xFF): ("tsl_version", 2), (0xFF, 0x16): ("sn", 8),
    (0xFF, 0x0F): ("lorawan_class", 1), (0xFF, 0xFE): ("reset_event", 1), (0xFF, 0x0B): ("device_status", 1),
    (0xFE, 0x03): ("report_interval", 2), (0xFE, 0x11): ("timestamp", 4), (0xFE, 0x12): ("time_zone", 2),
    (0xFE, 0x2F): ("led_indicator_enable", 1), (0xFE, 0x3B): ("time_sync_enable", 1),
    (0xFE, 0x3E): ("buzzer_enable", 1), (0xFE, 0x61): ("stop_buzzer_with_silent_time", 2),
}  # fmt: skip


def read(uplink: Uplink) -> Reading:
    """Read gas, valve, power, fault and end of life; raises Undecodable on a cut frame or an unlisted value."""
    found: list[Asserted] = []
    unread: list[str] = []
    at = 0
    while at < len(uplink.data):
        channel, kind = uplink.take(at, 2, "a channel's id and type")
        at += 2
        if (channel, kind) in _NOTED:
            name, size = _NOTED[channel, kind]
            uplink.take(at, size, name)
            unread.append(name)
            at += size
        elif (channel, kind) == (0x05, 0x8E):
            found.append(uplink.asserted("leak_alarm", _word(_GAS, uplink, at, "gas_status")))
            at += 1
        elif (channel, kind) == (0x06, 0x01):
            found.append(uplink.asserted("valve", _word(_VALVE, uplink, at, "valve_status")))
            at += 1
        elif (channel, kind) == (0x07, 0x01):
            unread.append("relay_output_status")
            _word(_VALVE, uplink, at, "relay_output_status")
            at += 1
        elif (channel, kind) == (0xFF, 0x3F):
            code = uplink.take(at, 1, "alarm")[0]
            if code in _ALARMS:
                found.append(uplink.asserted(*_ALARMS[code]))
            elif code == _END_OF_LIFE_SOON:
                unread.append("alarm 4 (the sensor will be invalid soon)")
            else:
                raise Undecodable(f"data[{at}]", f"alarm is 0..5, not {code}")
            at += 1
        elif found or unread:
            unread.append(f"channel {channel:02x} {kind:02x} and what follows it")
            break
        else:
            raise Undecodable("data[0]", f"channel {channel:02x} {kind:02x} is not one of a GS101")
    return Reading(tuple(found), tuple(unread))


def _word(words: dict[int, str], uplink: Uplink, at: int, field: str) -> str:
    value = uplink.take(at, 1, field)[0]
    if value not in words:
        raise Undecodable(f"data[{at}]", f"{field} is 0 or 1, not {value}")
    return words[value]


CODEC = Codec("milesight-gs101", ("gs101",), 85, read)
