"""Files of deploy/: they parse, and name only metrics and settings that the program has."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import app.compose  # noqa: F401 - every service, and with it every metric
from app.settings import Settings

_DEPLOY = Path(__file__).parents[2] / "deploy"


def _metrics() -> set[str]:
    """Names of our metrics as Prometheus stores them."""
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
