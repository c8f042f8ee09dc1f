"""Watteco Pulse Sens'O ATEX and Torano ATEX, pulse readers for gas meters: three counters, LoRaWAN port 125.

Source: TheThingsNetwork/lorawan-devices vendor/watteco (codec and official examples, Apache-2.0). Bit 0 of the
first byte tells a standard report (one attribute of one endpoint, in the manner of ZigBee's cluster library) from a
batch (ingest/decoders/watteco_batch.py). The counter of endpoint 0, 1, 2 is the register `index_1`, `index_2`,
`index_3`.
"""

from ingest.decoders import watteco_batch
from ingest.decoders.model import Measured, Undecodable
from ingest.decoders.uplink import Codec, Reading, Uplink

COUNTERS = {0: "index_1", 1: "index_2", 2: "index_3"}
_REPORT, _ALARM_REPORT, _READ_ANSWER = 0x0A, 0x8A, 0x01
_COUNT = (0x000F, 0x0402)
_POWER = (0x0050, 0x0006)
_UINT32, _BYTE_STRING = 0x23, 0x41
_DISPOSABLE_BATTERY = 0x04
_BATTERY_BYTES_BEFORE = (0x01, 0x02)  # main supply and rechargeable battery come first, two bytes each, when present

# (cluster, attribute) -> what it is; nothing of these is a measurement with a place of ours
_NOTED = {
    (0x000F, 0x0055): "pin_state", (0x8005, 0x0000): "pin_states", (0x000C, 0x0055): "analog input",
    (0x0000, 0x0002): "firmware",
}  # fmt: skip


def read(uplink: Uplink) -> Reading:
    """Read a report or a batch; raises Undecodable on anything cut off or of a type the attribute does not have."""
    control = uplink.take(0, 1, "frame control")[0]
    if not control & 1:
        return _batch(uplink)
    command = uplink.take(1, 1, "command")[0]
    if command in (_REPORT, _ALARM_REPORT, _READ_ANSWER):
        return _report(uplink, (control & 0xE0) >> 5 | (control & 0x06) << 2, command)
    return Reading((), (f"command {command:02x}",))


def _report(uplink: Uplink, endpoint: int, command: int) -> Reading:
    head = uplink.take(2, 4, "cluster and attribute")
    attribute = int.from_bytes(head[:2]), int.from_bytes(head[2:])
    start = 6
    if command == _READ_ANSWER:
        if status := uplink.take(6, 1, "status")[0]:
            raise Undecodable("data[6]", f"the device could not read the attribute: status {status}")
        start = 7
    kind = uplink.take(start, 1, "attribute type")[0]
    if attribute == _COUNT:
        return _count(uplink, endpoint, kind, start + 1)
    if attribute == _POWER:
        return _power(uplink, kind, start + 1)
    uplink.take(start + 1, 1, "attribute value")
    return Reading((), (_NOTED.get(attribute, f"cluster {attribute[0]:04x} attribute {attribute[1]:04x}"),))


def _count(uplink: Uplink, endpoint: int, kind: int, start: int) -> Reading:
    if kind != _UINT32:
        raise Undecodable(f"data[{start - 1}]", f"a count is of type 23 (32 bits), not {kind:02x}")
    if endpoint not in COUNTERS:
        raise Undecodable("data[0]", f"endpoint {endpoint} has no counter")
    pulses = int.from_bytes(uplink.take(start, 4, "count"))
    return Reading((uplink.measured(register=COUNTERS[endpoint], pulses=pulses),), _rest(uplink, start + 4))


def _power(uplink: Uplink, kind: int, start: int) -> Reading:
    """Supply voltages, each there when its bit is set; the disposable battery's is kept."""
    if kind != _BYTE_STRING:
        raise Undecodable(f"data[{start - 1}]", f"the power attribute is of type 41 (bytes), not {kind:02x}")
    size = uplink.take(start, 1, "length of the power attribute")[0]
    body = uplink.take(start + 1, size, "the power attribute")
    if size < 3 or size != 3 + 2 * (body[1] & 0x1F).bit_count():
        raise Undecodable(f"data[{start}]", "its length does not fit the supplies it names")
    rest = _rest(uplink, start + 1 + size)
    if not body[1] & _DISPOSABLE_BATTERY:
        return Reading((), ("supply voltages", *rest))
    place = 2 + 2 * sum(bool(body[1] & bit) for bit in _BATTERY_BYTES_BEFORE)
    return Reading((uplink.measured(battery_mv=int.from_bytes(body[place : place + 2])),), rest)


def _rest(uplink: Uplink, start: int) -> tuple[str, ...]:
    return ("report causes",) if len(uplink.data) > start else ()


def _batch(uplink: Uplink) -> Reading:
    """Samples of a batch at their own moments; those of one moment stay apart, each is of one counter."""
    batch = watteco_batch.unpack(uplink.data)
    newest = max(sample.at_s for sample in batch.samples)
    found: list[Measured] = []
    others: set[str] = set()
    for sample in batch.samples:
        moment, old = uplink.moment(batch.sent_s - sample.at_s), sample.at_s < newest
        name = watteco_batch.PULSE_ATEX.channels[sample.label].name
        if name in COUNTERS.values():
            found.append(uplink.measured(moment, register=name, pulses=sample.value, historical=old))
        elif name == "battery_mv":
            found.append(uplink.measured(moment, battery_mv=sample.value, historical=old))
        else:
            others.add(name)
    return Reading(tuple(found), tuple(sorted(others)))


CODEC = Codec("watteco-pulse-atex", ("pulsesensoatex", "toranoatex"), 125, read)
