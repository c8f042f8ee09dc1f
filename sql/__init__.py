"""Every SQL statement of the product, as named blocks in `queries/*.sql`.

A block starts with `-- name(parameter, ...) --`, the parameters in the order of `$1, $2 ...`, then a comment that says
what it returns, then one statement. The name of a query is the name of the Python function that calls it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(r"^-- (\w+)\(([\w, ]*)\) --\n", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$(\d+)")


class InvalidQuery(Exception):
    """A block of a query file breaks the format; the message names file, block and rule."""


@dataclass(frozen=True, slots=True)
class Query:
    """One statement: its name, its parameters in order, its text."""

    name: str
    parameters: tuple[str, ...]
    text: str

    def bind(self, **values: object) -> tuple[object, ...]:
        """Return `(text, value, ...)` for `conn.fetch(*query.bind(...))`; refuses missing and unknown names."""
        if values.keys() != set(self.parameters):
            missing, unknown = set(self.parameters) - values.keys(), values.keys() - set(self.parameters)
            raise TypeError(f"query {self.name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
        return (self.text, *(values[name] for name in self.parameters))


def parse_queries(source: str, origin: str) -> dict[str, Query]:
    """Split the text of a query file into its blocks; raises InvalidQuery."""
    parts = _HEADER.split(source)
    found: dict[str, Query] = {}
    for name, parameters, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        query = Query(name, tuple(p.strip() for p in parameters.split(",") if p.strip()), text.strip())
        _check(query, origin)
        if name in found:
            raise InvalidQuery(f"{origin}: {name} is there twice")
        found[name] = query
    return found


def _check(query: Query, origin: str) -> None:
    code = re.sub(r"--[^\n]*", "", query.text)
    used = {int(number) for number in _PLACEHOLDER.findall(code)}
    if used != set(range(1, len(query.parameters) + 1)):
        raise InvalidQuery(f"{origin}: {query.name} names {len(query.parameters)} parameters, uses ${sorted(used)}")
    if not query.text.startswith("--"):
        raise InvalidQuery(f"{origin}: {query.name} has no description line")


def load_queries(folder: Path) -> dict[str, Query]:
    """Read every `*.sql` file of a folder; a name may appear once over all files."""
    found: dict[str, Query] = {}
    for path in sorted(folder.glob("*.sql")):
        for name, query in parse_queries(path.read_text("utf-8"), path.name).items():
            if name in found:
                raise InvalidQuery(f"{path.name}: {name} is there twice")
            found[name] = query
    return found


queries: dict[str, Query] = load_queries(Path(__file__).parent / "queries")
