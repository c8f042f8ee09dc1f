"""The list of pure modules in pyproject.toml is whole; import-linter holds its members to it."""

import ast
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_FEATURES = ("ingest", "rules", "inspections")


def _contract() -> tuple[set[str], set[str]]:
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    pure = next(contract for contract in contracts if contract["name"].startswith("Decisions are pure"))
    return set(pure["source_modules"]), set(pure["forbidden_modules"])


def _imports(path: Path) -> set[str]:
    """Full names of what a module imports, each with the modules it may name (`from sql import store`)."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_every_module_that_does_no_input_or_output_is_on_the_list() -> None:
    """A feature's module is on the list unless it imports something forbidden, directly or through one that does."""
    listed, forbidden = _contract()
    imports = {
        ".".join(path.relative_to(_ROOT).with_suffix("").parts): _imports(path)
        for feature in _FEATURES
        for path in sorted((_ROOT / feature).rglob("*.py"))
        if path.stem != "__init__"
    }
    impure = {name for name, names in imports.items() if {part.split(".")[0] for part in names} & forbidden}
    while more := {name for name, names in imports.items() if names & impure} - impure:
        impure |= more
    unlisted = [
        name for name in sorted(set(imports) - impure) if not any(f"{name}.".startswith(f"{one}.") for one in listed)
    ]
    assert unlisted == [], "add these to the purity contract in pyproject.toml"
