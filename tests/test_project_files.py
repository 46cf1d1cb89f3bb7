"""The files around the code: locks, instance, deployment, packaging."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-production.lock")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def locked(name: str) -> dict[str, str]:
    pins = re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", (ROOT / name).read_text(), re.M)
    return dict(pins)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", LOCKS)
def test_lock_is_hashed_and_names_no_host_and_no_path(name: str):
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"(^|\s)/", text)
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) == len(locked(name)) > 50
    assert all("--hash=sha256:" in block for block in blocks)


def test_locks_agree_with_each_other():
    everything = locked("requirements-dev.lock")
    for name in LOCKS:
        shared = locked(name).keys() & everything.keys()
        assert {key: everything[key] for key in shared} == {
            key: locked(name)[key] for key in shared
        }
    assert locked("requirements.lock").items() <= everything.items()


@pytest.mark.parametrize("name", LOCKS)
def test_locks_leave_out_what_is_optional(name: str):
    optional = {"backtrader", "catboost", "mlflow", "torch", "transformers", "tsfresh", "vectorbt"}
    tested = {"transformers", "tsfresh"} if name == "requirements-dev.lock" else set()
    assert optional & locked(name).keys() == tested


def test_direct_dependencies_are_locked():
    declared = project()["project"]["dependencies"]
    names = {re.split(r"[=<>\[;]", each)[0].lower() for each in declared}
    assert names <= locked("requirements.lock").keys()


def test_embedded_instance_is_quiet_and_frees_its_slots(tmp_path: Path):
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 300
        concurrency = instance.get_concurrency_config()
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 2


def test_production_instance_names_the_driver_that_dagster_can_use():
    config = yaml.safe_load((ROOT / "deploy" / "dagster-production.yaml").read_text())
    assert config["storage"]["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    assert config["telemetry"] == {"enabled": False}


def test_workspaces_name_the_same_location():
    names = []
    for path in ("workspace.yaml", "deploy/workspace-production.yaml"):
        (entry,) = yaml.safe_load((ROOT / path).read_text())["load_from"]
        (details,) = entry.values()
        names.append(details["location_name"])
    assert names == ["hf_assets", "hf_assets"]


def test_compose_has_the_services_and_keeps_them_to_this_host():
    services = COMPOSE["services"]
    assert {"postgres", "s3", "redis", "mlflow", "webserver", "daemon", "code-server"} <= set(
        services
    )
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:${PORT:-3000}:3000"]
    for service in services.values():
        for other in service.get("depends_on", {}):
            assert other in services


def test_compose_mounts_and_image_copy_files_that_exist():
    for service in COMPOSE["services"].values():
        for mount in service.get("volumes", []):
            if mount.startswith("./"):
                assert (ROOT / mount.partition(":")[0]).is_file()
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert source.partition("/")[0] in kept


def test_every_secret_of_compose_is_in_the_example():
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    example = (ROOT / "deploy" / "example.env").read_text()
    assert used == set(re.findall(r"^([A-Z_]+)=", example, re.M))


def test_lazy_or_optional_engines_are_extras_only():
    extras = project()["project"]["optional-dependencies"]
    assert {
        "deep",
        "tsfresh",
        "news",
        "vectorbt",
        "backtrader",
        "aws",
        "postgres",
        "redis",
        "celery",
        "stream",
        "sql",
        "dev",
    } == (set(extras))
    core = " ".join(project()["project"]["dependencies"])
    assert not re.search(r"vectorbt|backtrader|torch|transformers", core)
