"""Every kind of rule the program knows, from one module per family."""

from collections.abc import Mapping
from types import MappingProxyType

from rules.kinds import absence, asset, desk, event, group, inspection, window
from rules.kinds.model import FAMILIES, Kind, Parameter

__all__ = ["FAMILIES", "KINDS", "Kind", "Parameter"]

KINDS: Mapping[str, Kind] = MappingProxyType(
    {**event.KINDS, **window.KINDS, **absence.KINDS, **group.KINDS, **asset.KINDS, **inspection.KINDS, **desk.KINDS}
)
