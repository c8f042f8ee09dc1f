"""Settings: what is read from where, and the exact sentence for everything that is wrong."""

from pathlib import Path

import pytest

from app.settings import effective, load_settings, mask_url
from app.sources import SettingsError

URLS = {"DATABASE_URL": "postgresql://app:s3cret@db/gas", "MQTT_URL": "mqtt://worker:pw@broker:1883"}

WRONG_VARIABLES = [
    ({"GASWARDEN_HTTP__PORT": "70000"}, "GASWARDEN_HTTP__PORT: must be less than or equal to 65535 (it is '70000')"),
    (
        {"GASWARDEN_HTTP__PORT": "web"},
        "GASWARDEN_HTTP__PORT: must be a valid integer, unable to parse string as an integer (it is 'web')",
    ),
    ({"GASWARDEN_HTTP__PROT": "1"}, "GASWARDEN_HTTP__PROT is not a setting; did you mean GASWARDEN_HTTP__PORT?"),
    ({"GASWARDEN_HTTP": "x"}, "GASWARDEN_HTTP is not a setting; did you mean GASWARDEN_HTTP__PORT?"),
    ({"GASWARDEN_QUITE_ELSE": "x"}, "GASWARDEN_QUITE_ELSE is not a setting"),
    ({"DATABASE_URL": "mysql://a:hidden@b/c"}, "DATABASE_URL: must be a URL that starts with postgresql://"),
    ({"MQTT_URL": "http://u:hidden@b"}, "MQTT_URL: must look like mqtt://user:password@host:1883 (or mqtts://)"),
    ({"MQTT_URL": "mqtt://u:hid/den@b"}, "MQTT_URL: must look like mqtt://user:password@host:1883 (or mqtts://)"),
    ({"DATABASE_URL": ""}, "DATABASE_URL is required and not set"),
    (
        {"GASWARDEN_CITY_TIMEZONE": "Mars/Base"},
        "GASWARDEN_CITY_TIMEZONE: 'Mars/Base' is not a time zone of the IANA database",
    ),
    (
        {"GASWARDEN_LOG__LEVEL": "loud"},
        "GASWARDEN_LOG__LEVEL: must be 'debug', 'info', 'warning' or 'error' (it is 'loud')",
    ),
]


@pytest.mark.parametrize(("variables", "expected"), WRONG_VARIABLES, ids=lambda value: str(value)[:40])
def test_wrong_variable(variables: dict[str, str], expected: str) -> None:
    """A wrong variable is one sentence that names it and the rule, and shows no secret."""
    with pytest.raises(SettingsError) as caught:
        load_settings(URLS | variables)
    assert str(caught.value) == expected


def test_a_city_has_one_time_zone() -> None:
    """The zone of rosters is that of the rules' nights, whichever is given; two zones are refused."""
    for name in ("GASWARDEN_CITY_TIMEZONE", "GASWARDEN_RULES__CITY_TIMEZONE"):
        settings, sources = load_settings(URLS | {name: "Europe/London"})
        assert settings.roster.city_timezone == settings.rules.city_timezone == "Europe/London"
        assert sources["rules", "city_timezone"] == sources["roster", "city_timezone"] == name
    both = {"GASWARDEN_CITY_TIMEZONE": "Europe/London", "GASWARDEN_RULES__CITY_TIMEZONE": "Asia/Shanghai"}
    with pytest.raises(SettingsError, match="a city has one time zone, not Europe/London and Asia/Shanghai"):
        load_settings(URLS | both)


WRONG_FILES = [
    ("[http]\nport = 70000", "{path}: http.port: must be less than or equal to 65535 (it is 70000)"),
    ("[http]\nprot = 1", "{path}: http.prot is not a setting; did you mean http.port?"),
    ("[htpp]\nport = 1", "{path}: htpp.port is not a setting; did you mean http.port?"),
    ("http = 3", "{path}: http is not a setting"),
    ("[http", "{path}: is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG_FILES)
def test_wrong_file(tmp_path: Path, text: str, expected: str) -> None:
    """A wrong file is one sentence that names file, key and rule."""
    path = tmp_path / "gaswarden.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(URLS, path)
    assert str(caught.value) == expected.format(path=path)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is named and not there is an error, not an empty file."""
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file or directory"):
        load_settings(URLS | {"GASWARDEN_CONFIG": str(tmp_path / "none.toml")})


def test_every_fault_has_its_sentence() -> None:
    """Two faults are two sentences."""
    with pytest.raises(SettingsError) as caught:
        load_settings(URLS | {"GASWARDEN_HTTP__PORT": "-1", "GASWARDEN_LOG__LEVEL": "loud"})
    assert len(str(caught.value).splitlines()) == 2


def test_environment_wins_over_file(tmp_path: Path) -> None:
    """The file is read, the environment wins, the rest has its defaults; each value knows its source."""
    path = tmp_path / "gaswarden.toml"
    path.write_text('[http]\nport = 1\nhost = "10.0.0.1"\n[database]\nurl = "postgresql://file/x"\n')
    settings, sources = load_settings(URLS | {"GASWARDEN_HTTP__PORT": "2"}, path)
    assert (settings.http.port, settings.http.host, settings.log.level) == (2, "10.0.0.1", "info")
    assert settings.database.url.get_secret_value() == URLS["DATABASE_URL"]
    assert sources["http", "port"] == "GASWARDEN_HTTP__PORT"
    assert sources["http", "host"] == f"{path}: http.host"


def test_script_variables_and_others_are_left_alone() -> None:
    """Variables of the scripts and of other programs are no settings and no errors."""
    load_settings(URLS | {"GASWARDEN_VAR": "/srv/x", "GASWARDEN_PYTHON": "python3", "HOME": "/root", "GASWARDENX": "1"})


def test_fallback_gives_whole_servers_only() -> None:
    """With an own database the embedded one's owner is never used; without any, both its addresses are."""
    embedded = {
        "DATABASE_URL": "postgresql://app@embedded/x",
        "ADMIN_DATABASE_URL": "postgresql://owner@embedded/x",
        "MQTT_URL": "mqtt://embedded",
    }
    settings, _ = load_settings(URLS, None, embedded)
    assert settings.database.migration_url == URLS["DATABASE_URL"]
    assert (settings.broker.hostname, settings.broker.username) == ("broker", "worker")
    settings, _ = load_settings({}, None, embedded)
    assert settings.broker.hostname == "embedded"
    assert settings.database.migration_url == embedded["ADMIN_DATABASE_URL"]


def test_photos_of_embedded_servers_lie_beside_them_unless_they_go_elsewhere() -> None:
    """The clone's own folder is absolute; a folder or bucket of one's own wins, and so do one's own servers."""
    embedded = {"DATABASE_URL": "postgresql://app@embedded/x", "GASWARDEN_EVIDENCE__FOLDER": "/clone/var/evidence"}
    assert load_settings({}, None, embedded)[0].evidence.folder == Path("/clone/var/evidence")
    assert load_settings(URLS, None, embedded)[0].evidence.folder == Path("var/evidence")
    own = {"GASWARDEN_EVIDENCE__FOLDER": "/srv/photos"}
    assert load_settings(own, None, embedded)[0].evidence.folder == Path("/srv/photos")
    assert load_settings({"GASWARDEN_EVIDENCE__S3_BUCKET": "b"}, None, embedded)[0].evidence.s3_bucket == "b"


def test_proxies_are_addresses_or_networks() -> None:
    """Several with commas between; what is neither is one sentence."""
    settings, _ = load_settings(URLS | {"GASWARDEN_HTTP__TRUSTED_PROXIES": "127.0.0.1, 10.20.0.0/24"})
    assert [str(network) for network in settings.http.trusted_proxies] == ["127.0.0.1/32", "10.20.0.0/24"]
    with pytest.raises(SettingsError, match=r"^GASWARDEN_HTTP__TRUSTED_PROXIES"):
        load_settings(URLS | {"GASWARDEN_HTTP__TRUSTED_PROXIES": "proxy.example"})


def test_the_embedded_commands_account_goes_with_the_embedded_broker() -> None:
    """With an own broker the dispatcher of commands never gets the embedded one's account; its password is masked."""
    embedded = {"MQTT_URL": "mqtt://ingest:a@embedded", "COMMANDS_MQTT_URL": "mqtt://commands:s3cret@embedded"}
    settings, _ = load_settings(URLS, None, embedded)
    assert settings.commands.broker_url is None
    without = {name: url for name, url in URLS.items() if name != "MQTT_URL"}
    settings, _ = load_settings(without, None, embedded)
    assert settings.commands.broker_url is not None
    assert settings.commands.broker_url.get_secret_value() == embedded["COMMANDS_MQTT_URL"]
    assert dict(effective(settings))["commands", "broker_url"] == "mqtt://commands:***@embedded"


def test_no_secret_is_shown() -> None:
    """Neither the effective settings nor their repr hold a password."""
    settings, _ = load_settings(URLS | {"ADMIN_DATABASE_URL": "postgresql://o:s3cret@db/gas?password=s3cret"})
    shown = dict(effective(settings))
    assert shown["database", "url"] == "postgresql://app:***@db/gas"
    assert shown["database", "admin_url"] == "postgresql://o:***@db/gas?***"
    assert "s3cret" not in repr(settings) + str(shown)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("mqtt://broker:1883", "mqtt://broker:1883"),
        ("mqtt://user@broker", "mqtt://user@broker"),
        ("mqtt://user:a@b:c@broker", "mqtt://user:***@broker"),
        ("not a url", "***"),
    ],
)
def test_masks_url(url: str, masked: str) -> None:
    """Only the password and the query of a URL are hidden."""
    assert mask_url(url) == masked
