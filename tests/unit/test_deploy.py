"""Files of deploy/: they parse, and name only metrics and settings that the program has."""

import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import REGISTRY

import app.services
from app.settings import Settings

_DEPLOY = Path(__file__).parents[2] / "deploy"


def _metrics() -> set[str]:
    """Names of the metrics of all services, as Prometheus stores them."""
    for name in app.services.SERVICES:
        import_module(f"app.services.{name}")
    families = [family for family in REGISTRY.collect() if family.name.startswith("gaswarden_")]
    return {
        family.name + suffix
        for family in families
        for suffix in {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    }


@pytest.mark.parametrize("name", ["grafana/gaswarden.json", "prometheus/alerts.yml"])
def test_dashboard_and_alerts_name_metrics_that_exist(name: str) -> None:
    """A renamed metric breaks this test, not the dashboard of a utility."""
    named = set(re.findall(r"\bgaswarden_[a-z_]+", (_DEPLOY / name).read_text()))
    assert len(named) > 5
    assert named - _metrics() == set()


def test_every_service_is_on_the_dashboard() -> None:
    """The dashboard is JSON, its panels have a query each and do not share a place."""
    board = json.loads((_DEPLOY / "grafana/gaswarden.json").read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places) == len([panel for panel in board["panels"] if panel["targets"][0]["expr"]])
    text = json.dumps(board)
    for service in ("ingest", "rollup", "rules", "commands", "http"):
        assert f"gaswarden_{service}_" in text


@pytest.mark.parametrize("path", sorted(_DEPLOY.rglob("*.*")), ids=lambda path: path.name)
def test_settings_named_in_deploy_exist(path: Path) -> None:
    """Every GASWARDEN_ variable with a piece is one that the program reads."""
    known = {
        f"GASWARDEN_{piece.upper()}__{key.upper()}"
        for piece, field in Settings.model_fields.items()
        for key in getattr(field.annotation, "model_fields", {})
    }
    named = set(re.findall(r"GASWARDEN_[A-Z]+__[A-Z_]+", path.read_text())) if path.is_file() else set()
    assert named - known == set()


def _compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((_DEPLOY / "compose.yaml").read_text())
    return document


def test_one_machine_runs_every_service_in_the_processes_that_are_measured() -> None:
    """The processes of compose.yaml are those of `PROCESSES`, which are the whole program; ingest has two slots."""
    ours = [one["command"] for one in _compose()["services"].values() if one.get("image") == "gaswarden"]
    running = sorted(tuple(command[1:]) for command in ours if command[0] == "run")
    assert running == sorted([*app.services.PROCESSES.values(), ("ingest",)])
    assert sorted(name for names in app.services.PROCESSES.values() for name in names) == sorted(app.services.SERVICES)


def test_every_password_of_compose_is_asked_for() -> None:
    """What compose.yaml takes from the environment is in .env.example, and the other way round."""
    wanted = set(re.findall(r"\$\{([A-Z_]+)", (_DEPLOY / "compose.yaml").read_text()))
    assert wanted == set(re.findall(r"^([A-Z_]+)=", (_DEPLOY / ".env.example").read_text(), re.MULTILINE))


def test_files_that_containers_mount_are_there() -> None:
    """A bind mount of a file that is not there becomes an empty folder. The keys are the operator's own."""
    mounts = [part for one in _compose()["services"].values() for part in one.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert [name for name in files if not (_DEPLOY / name).exists()] == ["./tls"]


def test_photos_outlive_their_container_and_their_unit() -> None:
    """The folder of evidence is a volume of the desk, and the one folder that a unit may write."""
    desk = _compose()["services"]["desk"]
    folder = desk["environment"]["GASWARDEN_EVIDENCE__FOLDER"]
    volume = next(mount.split(":")[0] for mount in desk["volumes"] if mount.split(":")[1] == folder)
    assert volume in _compose()["volumes"]
    assert f"-o gaswarden -m 0750 {folder}" in (_DEPLOY / "Containerfile").read_text()
    unit = (_DEPLOY / "systemd/gaswarden@.service").read_text()
    told = dict(re.findall(r"^(?:Environment=)?([A-Za-z_]+)=(.*)$", unit, re.MULTILINE))
    assert told["GASWARDEN_EVIDENCE__FOLDER"].startswith(f"/var/lib/{told['StateDirectory']}/")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_units_are_valid(tmp_path: Path) -> None:
    """systemd finds nothing wrong with the units but that the program is not installed where they look for it."""
    for unit in (_DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/gaswarden/.venv/bin/gaswarden", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    names = ["gaswarden-migrate.service", "gaswarden@desk.service"]
    (tmp_path / names[1]).write_text((tmp_path / "gaswarden@.service").read_text())
    told = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (told.returncode, told.stderr) == (0, "")
