"""Rewrites the shipped configuration: addresses of this machine replace those of Compose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]

#: The token's file in the shipped alertmanager.yml.
TOKEN_FILE: Final = "/run/secrets/alerts-token"  # noqa: S105 - where it is, not what it is
#: Jobs that only the Compose stack scrapes.
_NOT_HERE: Final = {"grafana", "jaeger"}


def prometheus(addresses: Mapping[str, str]) -> str:
    """Return prometheus.yml. addresses: host:port in the shipped file -> host:port here."""
    shipped = ROOT / "monitoring" / "prometheus"
    config: dict[str, Any] = yaml.safe_load(_replaced(shipped / "prometheus.yml", addresses))
    # No Grafana runs here, so alerts must have no link to a dashboard.
    del config["global"]["external_labels"]["grafana_url"]
    config["rule_files"] = [str(shipped / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"] = [
        job for job in config["scrape_configs"] if job["job_name"] not in _NOT_HERE
    ]
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text


def alertmanager(addresses: Mapping[str, str]) -> str:
    """Return alertmanager.yml."""
    return _replaced(ROOT / "monitoring" / "alertmanager" / "alertmanager.yml", addresses)


def _replaced(path: Path, addresses: Mapping[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for shipped, here in addresses.items():
        text = text.replace(shipped, here)
    return text
