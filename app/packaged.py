"""Rules and catalogues that a process goes by: the settings' own files, or the packaged ones."""

from app.services import CannotStart
from app.settings import Settings
from inspections.catalogues import catalogue_files
from rules.catalog import Catalog
from rules.model import InvalidRule
from rules.rule_sets import catalog_at


def packaged_rules(settings: Settings) -> Catalog:
    """The rules that are in force while no set is activated: the settings' own, or the packaged ones."""
    try:
        return catalog_at(settings.rules.file)
    except InvalidRule as error:
        raise CannotStart(f"rules: {error}") from error


def readable_catalogues(settings: Settings) -> None:
    """Raises CannotStart in one sentence when a catalogue of inspections is wrong: it would fail at its first use."""
    for file in catalogue_files(settings.roster):
        if not file.ok:
            raise CannotStart(f"{file.name}: {file.fact}")
