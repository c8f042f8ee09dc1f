"""Where settings come from: a TOML file, then the environment; every value keeps the name of its source for errors."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

PREFIX = "GASWARDEN_"
CONFIG_VARIABLE = "GASWARDEN_CONFIG"
PLAIN_NAMES = {
    "DATABASE_URL": ("database", "url"),
    "ADMIN_DATABASE_URL": ("database", "admin_url"),
    "GASWARDEN_CITY_TIMEZONE": ("roster", "city_timezone"),
}
# Read by the scripts, not by the services: where the clone keeps its servers, which programs to start.
_SCRIPT_NAMES = frozenset({CONFIG_VARIABLE, "GASWARDEN_VAR", "GASWARDEN_PYTHON", "GASWARDEN_PG_BIN"})
_SECRET_WORDS = ("url", "password", "token", "secret", "contact_key", "signing_key")

KeyPath = tuple[str, ...]


class SettingsError(Exception):
    """The settings are wrong; each line of the message is a sentence naming a key and the rule it breaks."""


@dataclass(slots=True)
class Gathered:
    """Values by nested key, the source of each, and sentences about keys that are no settings."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def put(self, path: KeyPath, value: object, source: str) -> None:
        """Set one leaf; a later source wins over an earlier one."""
        place = self.values
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
        self.sources[path] = source


def is_group(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a field holds settings of its own rather than a value."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def leaf_paths(model: type[BaseModel], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every setting of a model, nested ones included, with its annotation."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if is_group(inner):
            yield from leaf_paths(inner, (*above, name))
        else:
            yield (*above, name), inner


def variable_name(path: KeyPath) -> str:
    """The environment variable of a setting."""
    plain = next((name for name, known in PLAIN_NAMES.items() if known == path), None)
    return plain or PREFIX + "__".join(path).upper()


def gather_file(path: Path, model: type[BaseModel], into: Gathered) -> None:
    """Read a TOML file; raises SettingsError when it cannot be read at all."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from error
    leaves = {known for known, _ in leaf_paths(model)}
    for key, value in _flatten(values, leaves):
        name = ".".join(key)
        if key in leaves:
            into.put(key, value, f"{path}: {name}")
        else:
            into.faults.append(f"{path}: {name} is not a setting{_near(name, map('.'.join, leaves))}")


def _flatten(values: Mapping[str, Any], leaves: set[KeyPath], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for name, value in values.items():
        key = (*above, name)
        if isinstance(value, Mapping) and key not in leaves and value:
            yield from _flatten(value, leaves, key)
        elif value != {}:
            yield key, value


def gather_environment(environ: Mapping[str, str], model: type[BaseModel], into: Gathered) -> None:
    """Read DATABASE_URL, ADMIN_DATABASE_URL and every GASWARDEN_ variable; an empty one counts as unset."""
    known = {variable_name(path): (path, annotation) for path, annotation in leaf_paths(model)}
    known |= {PREFIX + "__".join(path).upper(): (path, annotation) for path, annotation in leaf_paths(model)}
    for name, text in sorted(environ.items()):
        if not text or name in _SCRIPT_NAMES:
            continue
        if name in known:
            path, annotation = known[name]
            into.put(path, _split(text) if takes_many(annotation) else text, name)
        elif name.startswith(PREFIX):
            into.faults.append(f"{name} is not a setting{_near(name, known)}")


def takes_many(annotation: Any) -> bool:
    """Whether a type holds several values, which a variable gives with commas between them."""
    if get_origin(annotation) in {Union, UnionType}:
        return any(takes_many(part) for part in get_args(annotation))
    return get_origin(annotation) in {list, tuple, set, frozenset}


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _near(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def sentence(fault: ErrorDetails, sources: Mapping[KeyPath, str]) -> str:
    """What pydantic refused, as one sentence that names the source and the rule, and never shows a secret."""
    path = tuple(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return f"{variable_name(path)} is required and not set"
    source = next((sources[path[:n]] for n in range(len(path), 0, -1) if path[:n] in sources), variable_name(path))
    rule = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    shown = fault["input"]
    secret = any(word in ".".join(path).lower() for word in _SECRET_WORDS)
    tell = isinstance(shown, str | int | float) and not secret and repr(shown) not in rule
    said = f" (it is {shown!r})" if tell else ""
    return f"{source}: {rule}{said}"
