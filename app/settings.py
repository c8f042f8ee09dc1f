"""All settings: read once, from an optional TOML file and the environment, into the frozen pieces of the packages."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from app.dossier.keys import DossierParams
from app.gateway_params import GatewayParams
from app.http_params import HttpParams
from app.logs import MASK, LogParams
from app.sources import (
    CONFIG_VARIABLE,
    PLAIN_NAMES,
    PREFIX,
    Gathered,
    KeyPath,
    SettingsError,
    gather_environment,
    gather_file,
    is_group,
    sentence,
)
from ingest.broker_params import BrokerParams
from ingest.commanding.params import CommandParams
from ingest.params import IngestParams, RollupParams
from ingest.validation_params import ValidationParams
from inspections.evidence_params import EvidenceParams
from inspections.params import RosterParams
from rules.notices.params import NoticeParams
from rules.params import RuleParams


def _postgres_url(url: SecretStr) -> SecretStr:
    if urlsplit(url.get_secret_value()).scheme not in {"postgresql", "postgres"}:
        raise ValueError("must be a URL that starts with postgresql://")
    return url


_EMBEDDED = "embedded server"
_ZONES: tuple[KeyPath, KeyPath] = (("roster", "city_timezone"), ("rules", "city_timezone"))
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]


class DatabaseParams(BaseModel):
    """Where the database is, and how many connections a process takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: PostgresUrl = Field(description="The serving role's address (DATABASE_URL).")
    admin_url: PostgresUrl | None = Field(
        None, description="The owner's address, for migrations (ADMIN_DATABASE_URL); unset: the same as `url`."
    )
    pool_max: int = Field(10, ge=2, le=200, description="Connections of one process, beside those that listen.")
    command_timeout_s: float = Field(60.0, gt=0, le=3600, description="Longest time of one statement, seconds.")
    start_wait_s: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="How long `run` waits at its start for a database that does not answer, seconds.",
    )

    @property
    def migration_url(self) -> str:
        """The address for migrations and administration."""
        return (self.admin_url or self.url).get_secret_value()


class Settings(BaseModel):
    """Every setting, each in the piece of the package it tunes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: DatabaseParams
    broker: BrokerParams = Field(default_factory=BrokerParams)
    ingest: IngestParams = Field(default_factory=IngestParams)
    rollup: RollupParams = Field(default_factory=RollupParams)
    validation: ValidationParams = Field(default_factory=ValidationParams)
    commands: CommandParams = Field(default_factory=CommandParams)
    rules: RuleParams = Field(default_factory=RuleParams)
    notices: NoticeParams = Field(default_factory=NoticeParams)
    roster: RosterParams = Field(default_factory=RosterParams)
    dossier: DossierParams = Field(default_factory=DossierParams)
    evidence: EvidenceParams = Field(default_factory=EvidenceParams)
    http: HttpParams = Field(default_factory=HttpParams)
    log: LogParams = Field(default_factory=LogParams)
    gateways: GatewayParams = Field(default_factory=GatewayParams)
    drain_s: float = Field(
        30.0, gt=0, le=600, description="Longest time from SIGTERM until every service has ended, seconds."
    )


def load_settings(
    environ: Mapping[str, str], config: Path | None = None, fallback: Mapping[str, str] | None = None
) -> tuple[Settings, Mapping[KeyPath, str]]:
    """Read the settings and where each came from; raises SettingsError with one sentence per fault.

    The file is `config`, else the one GASWARDEN_CONFIG names; the environment wins over it. `fallback` holds the
    addresses of servers to use when neither names any (variables by name, as in the environment).
    """
    gathered = Gathered({name: {} for name, field in Settings.model_fields.items() if is_group(field.annotation)})
    path = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if path is not None:
        gather_file(path, Settings, gathered)
    _add_broker(environ.get("MQTT_URL", ""), "MQTT_URL", gathered)
    gather_environment(environ, Settings, gathered)
    _share_zone(gathered)
    _add_fallback(gathered, fallback or {})
    if gathered.faults:
        raise SettingsError("\n".join(gathered.faults))
    try:
        return Settings.model_validate(gathered.values), gathered.sources
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        told = dict.fromkeys(sentence(fault, gathered.sources) for fault in faults)
        raise SettingsError("\n".join(told)) from None


def _share_zone(gathered: Gathered) -> None:
    """A city has one time zone: what is said of its working days counts for its nights, too, and the reverse."""
    for said, other in (_ZONES, _ZONES[::-1]):
        if said in gathered.sources and other not in gathered.sources:
            gathered.put(other, gathered.values[said[0]][said[1]], gathered.sources[said])
    days, nights = (gathered.values.get(group, {}).get(name) for group, name in _ZONES)
    if days != nights:
        names = " and ".join(gathered.sources[path] for path in _ZONES)
        gathered.faults.append(f"{names}: a city has one time zone, not {days} and {nights}")


def _add_broker(url: str, source: str, gathered: Gathered) -> None:
    """Take a broker's URL apart into the settings it stands for; a wrong one is not shown: it may hold a secret."""
    if not url:
        return
    try:
        parts = BrokerParams.from_url(url).model_dump(exclude_unset=True)
    except ValueError:
        gathered.faults.append(f"{source}: must look like mqtt://user:password@host:1883 (or mqtts://)")
        return
    for name, value in parts.items():
        gathered.put(("broker", name), value, source)


def _add_fallback(gathered: Gathered, fallback: Mapping[str, str]) -> None:
    """A whole server or nothing: an own database never gets the embedded one's owner, nor its broker's password."""
    given = set(gathered.sources)
    if ("database", "url") not in given:
        for name in PLAIN_NAMES.keys() & fallback.keys():
            gathered.put(PLAIN_NAMES[name], fallback[name], _EMBEDDED)
        for name in ("contact_key", "local_directory"):
            variable = f"{PREFIX}NOTICES__{name.upper()}"
            if variable in fallback and ("notices", name) not in given:
                gathered.put(("notices", name), fallback[variable], _EMBEDDED)
        variable = f"{PREFIX}DOSSIER__SIGNING_KEY"
        if variable in fallback and ("dossier", "signing_key") not in given:
            gathered.put(("dossier", "signing_key"), fallback[variable], _EMBEDDED)
        variable = f"{PREFIX}EVIDENCE__FOLDER"
        if variable in fallback and not given & {("evidence", "folder"), ("evidence", "s3_bucket")}:
            gathered.put(("evidence", "folder"), fallback[variable], _EMBEDDED)
    if ("broker", "hostname") not in given:
        _add_broker(fallback.get("MQTT_URL", ""), _EMBEDDED, gathered)
        if "COMMANDS_MQTT_URL" in fallback and ("commands", "broker_url") not in given:
            gathered.put(("commands", "broker_url"), fallback["COMMANDS_MQTT_URL"], _EMBEDDED)


def effective(settings: BaseModel, above: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every setting with its value as text; passwords in URLs and other secrets masked."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from effective(value, (*above, name))
        else:
            yield (*above, name), _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return mask_url(value.get_secret_value())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def mask_url(url: str) -> str:
    """A URL without its password and without its query, which may hold one; what is no URL is masked whole."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        return MASK
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}{f':{MASK}' if colon else ''}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, MASK if parts.query else "", ""))
