"""Kinds of the asset family: what a device's own life says."""

from collections.abc import Mapping

from rules.kinds.model import Kind

KINDS: Mapping[str, Kind] = {}
