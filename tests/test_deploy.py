"""The files of deploy/ are what their systems take: judged by those systems' own tools where these can be had without a network.

docs/how-to/deploy.md says which check is the system's own and which is the closest there is."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import sqlglot
import yaml

from support.program import BINARY, ROOT
from support.serving import Serving
from support.terraform import Module

DEPLOY = ROOT / "deploy"
TOOLS = Path(os.environ.get("PENSTOCK_DEPS", ROOT / ".deps")) / "servers" / "deploy-checks" / "bin"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
KUBERNETES = "1.33"
YAML_RULES = "{extends: default, rules: {line-length: {max: 160}, document-start: disable, comments: {min-spaces-from-content: 1}," \
    " braces: {max-spaces-inside: 1}, indentation: {indent-sequences: consistent}, truthy: {check-keys: false}}}"
ENVIRONMENT = {"STATE_URL": "postgres://a:b@127.0.0.1/c", "SHOP_URL": "postgres://a:b@127.0.0.1/c"}


def tool(*arguments, expect: int = 0, **options) -> str:
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == expect, f"{shlex.join(done.args)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def checked_by(project, words: list[str]) -> None:
    """A command line of a deployment names options and pipelines that exist: the program's own parser says so, without connecting."""
    verb = words[0] if words[0] != "backup" else " ".join(words[:2])
    known = project.run(*verb.split(), "--help", log_format=None).out
    for word in words:
        if word.startswith("--"):
            assert word in known, f"`penstock {verb}` has no {word}"


# ---------------------------------------------------------------- container

def test_the_dockerfile():
    tool(TOOLS / "hadolint", "--failure-threshold", "style", DOCKERFILE)
    text = DOCKERFILE.read_text().replace("USER 65532:65532\n", "").replace("FROM debian:bookworm-slim\n", "FROM debian:latest\n")
    bad = tool(TOOLS / "hadolint", "--failure-threshold", "style", "-", input=text, expect=1)
    assert "DL3007" in bad, "the check itself finds what is wrong"


def test_the_image_has_the_libraries_of_the_program():
    """Each library that the program is linked to comes with `make install`, or in a package of the image's last stage."""
    installed = (ROOT / "cmake" / "install.cmake").read_text()
    own = {"Arrow": "libarrow", "DuckDB": "libduckdb", "date": "libdate-tz", "fmt": "libfmt", "Kafka": "librdkafka", "MariaDB": "libmariadb",
           "simdjson": "libsimdjson"}
    shipped = {own[name] for name in re.findall(r"^penstock_install_library\((\w+)::", installed, re.MULTILINE)}
    last = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    packages = set(re.search(r"--no-install-recommends ([^\\\n]+)", last).group(1).split())
    needed = set(re.findall(r"^\s+NEEDED\s+(\S+)$", tool("objdump", "-p", BINARY), re.MULTILINE))
    assert {"libpq.so.5", "libcurl.so.4"} <= needed
    foreign = {name for name in needed - {"ld-linux-x86-64.so.2"} if not any(name.startswith(one + ".so") for one in shipped)}
    owners = tool("dpkg", "-S", *(f"*/x86_64-linux-gnu/{name}" for name in sorted(foreign)))
    for name in foreign:
        found = set(re.findall(rf"^([\w.+-]+)\S*: \S*/{re.escape(name)}$", owners, re.MULTILINE))
        assert found & (packages | {"libc6", "libgcc-s1"}), f"{name} is in {found}, which the image does not install"


def healthcheck() -> list[str]:
    return json.loads(re.search(r"^HEALTHCHECK.*?CMD (\[.*?\])$", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL).group(1))


def test_serve_as_the_image_begins_it(database, project, tmp_path):
    """The command of the image, with the configuration of the compose file and a state in PostgreSQL; its health check, and its end."""
    database.execute("CREATE SCHEMA penstock AUTHORIZATION loader")
    database.execute((DEPLOY / "compose" / "shop.sh").read_text().split("\\connect shop\n")[1].split("GRANT SELECT")[0])
    database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO loader")
    shutil.copy(DEPLOY / "compose" / "penstock.yaml", project.folder)
    project.environment.update(SHOP_URL=database.url, STATE_URL=database.url, WAREHOUSE=str(project.warehouse))
    command = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE).group(1))
    assert command == ["serve", "--listen", "0.0.0.0:8080"]
    server = Serving(project)
    try:
        health = {**os.environ, "PENSTOCK_PORT": str(server.port)}
        assert server.get("/readyz").json["status"] == "ready"
        tool(*healthcheck(), env=health)
    finally:
        assert server.stop() == 0
    assert subprocess.run(healthcheck(), env=health, capture_output=True, timeout=20).returncode != 0, "a server that is gone is not healthy"
    # What the schedule would begin.
    assert [project.load(name).run()["rows_written"] for name in ("customers", "orders")] == [100, 1000]
    assert not (project.folder / ".penstock").exists(), "the state is in the database, nothing beside the configuration"


# ---------------------------------------------------------------- compose

def compose(environment=None, expect: int = 0, **options) -> str:
    file = DEPLOY / "compose" / "compose.yaml"
    named = dict(line.split("=", 1) for line in (DEPLOY / "compose" / ".env.example").read_text().splitlines() if "=" in line and line[0] != "#")
    return tool(TOOLS / "compose", file, env=named if environment is None else environment, cwd=file.parent, expect=expect, **options)


def test_compose(tmp_path):
    services = json.loads(compose())["services"]
    penstock = services["penstock"]
    assert penstock["read_only"] and penstock["cap_drop"] == ["ALL"] and penstock["security_opt"] == ["no-new-privileges:true"]
    assert [port["host_ip"] for port in penstock["ports"]] == ["127.0.0.1"], "nobody else reaches it"
    assert all(not service.get("ports") for name, service in services.items() if name != "penstock")
    assert all(re.search(r":[\w.-]*\d", service["image"]) for name, service in services.items() if name != "penstock"), "each by its version"
    assert "in .env" in compose({}, expect=1), "no server begins without a password"
    broken = (DEPLOY / "compose" / "compose.yaml").read_text().replace("stop_grace_period", "stop_grace_perid")
    copy = tmp_path / "broken.yaml"
    copy.write_text(broken)
    assert "stop_grace_perid" in tool(TOOLS / "compose", copy, env={"SHOP_PASSWORD": "a", "STATE_PASSWORD": "a", "POSTGRES_PASSWORD": "a"}, expect=1)


# ---------------------------------------------------------------- systemd


@pytest.fixture
def machine(tmp_path):
    """A root with the units where systemd has them, and a program where they have it."""
    units = tmp_path / "etc" / "systemd" / "system"
    shutil.copytree(DEPLOY / "systemd", units, ignore=shutil.ignore_patterns("*.sysusers"))
    program = tmp_path / "usr" / "local" / "bin" / "penstock"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for target in ("network-online.target", "time-sync.target", "multi-user.target", "timers.target", "sysinit.target", "basic.target", "shutdown.target"):
        (units / target).write_text("[Unit]\nDescription=.\n")
    for timer in units.glob("*@.*"):
        timer.rename(units / timer.name.replace("@", "@shop_db"))
    return tmp_path


def verify(machine, expect: int = 0) -> str:
    units = machine / "etc" / "systemd" / "system"
    return tool("systemd-analyze", "verify", "--man=no", f"--root={machine}", *sorted(units.glob("penstock*")), expect=expect)


def test_systemd_units(machine):
    said = [line for line in verify(machine).splitlines() if "penstock" in line]
    assert not said, said
    unit = machine / "etc" / "systemd" / "system" / "penstock.service"
    unit.write_text(unit.read_text().replace("ProtectHome", "ProtectHouse"))
    assert "ProtectHouse" in verify(machine)


@pytest.mark.parametrize("name", ["penstock.service", "penstock-drain@.service", "penstock-backup@.service"])
def test_services_can_do_little(name, machine):
    """systemd's own rating of what a service could do if it were taken over: below 2 of 10 it calls OK."""
    unit = machine / "etc" / "systemd" / "system" / name.replace("@", "@shop_db")
    tool("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit)


def test_commands_of_units(project):
    for unit in (DEPLOY / "systemd").glob("*.service"):
        commands = re.findall(r"^Exec\w+=/usr/local/bin/penstock (.+)$", unit.read_text(), re.MULTILINE)
        assert commands
        for command in commands:
            checked_by(project, shlex.split(command))


def test_timers_say_when():
    for timer in (DEPLOY / "systemd").glob("*.timer"):
        when = re.search(r"^OnCalendar=(.+)$", timer.read_text(), re.MULTILINE).group(1)
        assert "Next elapse" in tool("systemd-analyze", "calendar", when)


# ---------------------------------------------------------------- Kubernetes and Cloud Run

def built(folder: str) -> list[dict]:
    return list(yaml.safe_load_all(tool(TOOLS / "kustomize", "build", DEPLOY / "kubernetes" / folder)))


def judged(objects: list[dict], tmp_path, expect: int = 0) -> str:
    """By Kubernetes' own schemas, unknown fields refused."""
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    return tool(TOOLS / "kubernetes-validate", "--strict", "--kubernetes-version", KUBERNETES, file, expect=expect)


def pod_of(thing: dict) -> dict | None:
    spec = thing.get("spec", {})
    if thing["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec["template"] if thing["kind"] in ("Deployment", "CronJob", "Job") else None


@pytest.mark.parametrize("folder,kinds", [
    ("base", {"ConfigMap", "CronJob", "Deployment", "Namespace", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"}),
    ("drain", {"Job"}), ("monitoring", {"ServiceMonitor"})])
def test_kubernetes(folder, kinds, project, tmp_path):
    objects = built(folder)
    assert kinds <= {one["kind"] for one in objects}
    judged([one for one in objects if one["apiVersion"] != "monitoring.coreos.com/v1"], tmp_path)
    configurations = {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"}
    for one in objects:
        assert one["metadata"].get("namespace", "penstock") == "penstock"
        if pod := pod_of(one):
            restricted(pod["spec"])
            assert {v["configMap"]["name"] for v in pod["spec"]["volumes"] if "configMap" in v} <= configurations, "it mounts one that is there"
            checked_by(project, pod["spec"]["containers"][0]["args"])


def restricted(pod: dict) -> None:
    """The profile `restricted` of Kubernetes' Pod Security Standards, and a root that cannot be written."""
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False and not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert all("hostPath" not in volume for volume in pod["volumes"])
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert "memory" in container["resources"]["limits"] and not container["image"].endswith(":latest")


def test_selectors_find_what_they_are_meant_for():
    objects = built("monitoring")
    by_kind = {one["kind"]: one for one in objects}
    labels = pod_of(by_kind["Deployment"])["metadata"]["labels"]
    service = by_kind["Service"]
    for selector in (service["spec"]["selector"], by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     by_kind["Deployment"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    assert by_kind["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert by_kind["ServiceMonitor"]["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    policy = next(one for one in objects if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "penstock")
    for one in objects:
        if pod := pod_of(one):
            assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items(), "the policy is for each pod"


def test_the_check_of_kubernetes_finds_mistakes(tmp_path):
    deployment = next(one for one in built("base") if one["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True  # one level too high
    assert "readOnlyRootFilesystem" in judged([deployment], tmp_path, expect=1)


def test_configurations_of_deployments(project):
    for name in ("compose", "kubernetes/base"):
        shutil.copytree(DEPLOY / name, project.folder, dirs_exist_ok=True)
        project.run("check", env=ENVIRONMENT)
    known = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "penstock.yaml").read_text())["pipelines"]
    for folder in ("base", "drain"):
        for pod in filter(None, map(pod_of, built(folder))):
            args = pod["spec"]["containers"][0]["args"]
            assert args[0] != "run" or args[1] in known


def test_cloud_run(project, tmp_path):
    """Containers, probes, variables and volumes are those of Kubernetes' pods; what Cloud Run adds to them stands here."""
    service, job = (yaml.safe_load((DEPLOY / "cloudrun" / name).read_text()) for name in ("service.yaml", "job.yaml"))
    assert (service["apiVersion"], job["apiVersion"]) == ("serving.knative.dev/v1", "run.googleapis.com/v1")
    for pod, added in ((service["spec"]["template"]["spec"], {"containerConcurrency", "timeoutSeconds"}),
                       (job["spec"]["template"]["spec"]["template"]["spec"], {"maxRetries", "timeoutSeconds"})):
        assert added <= set(pod)
        plain = {name: value for name, value in pod.items() if name not in added}
        judged([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": plain}], tmp_path)
        container = pod["containers"][0]
        checked_by(project, container["args"])
        assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
        assert not any("value" in one and re.search("URL|TOKEN|PASSWORD", one["name"]) for one in container["env"]), "secrets are references"
        grace = dict(zip(container["args"], container["args"][1:])).get("--grace-period")
        assert grace is None or int(grace) < 10, "Cloud Run kills ten seconds after SIGTERM"


def test_yaml_and_shell_are_clean():
    files = [p for p in DEPLOY.rglob("*.yaml")]
    tool(TOOLS / "yamllint", "--strict", "-d", YAML_RULES, *files)
    tool(TOOLS / "shellcheck", *DEPLOY.rglob("*.sh"))


# ---------------------------------------------------------------- Terraform

@pytest.fixture(scope="module")
def module():
    return Module(DEPLOY / "terraform")


def test_terraform_names_what_there_is(module):
    assert not module.faults()


@pytest.mark.parametrize("file,old,new,said", [
    ("sql.tf", "availability_type ", "availability_kind ", "no argument availability_kind"),
    ("sql.tf", "tier                        =", "#", "lacks tier"),
    ("dns.tf", "google_sql_database_instance.shop.dns_name", "google_sql_database_instance.shops.dns_name", "not declared"),
    ("dns.tf", "shop.dns_name", "shop.dns_nam", "no attribute dns_nam"),
    ("pubsub.tf", "push_config {", "pushing {", "there is no such block"),
    ("run.tf", "local.secret_files", "local.secret_file", "local.secret_file is used and not declared"),
    ("run.tf", "value_source {", "value_from {", "there is no such block")])
def test_the_check_of_terraform_finds_mistakes(file, old, new, said, tmp_path):
    shutil.copytree(DEPLOY / "terraform", tmp_path / "module")
    path = tmp_path / "module" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert any(said in fault for fault in Module(tmp_path / "module").faults())


def test_terraform_lets_nobody_do_too_much(module):
    database = module.of("google_sql_database_instance")["shop"]["settings"][0]["ip_configuration"][0]
    assert database["ssl_mode"] == '"ENCRYPTED_ONLY"' and database["ipv4_enabled"] is False
    everything = "\n".join(module.texts)
    granted = set(re.findall(r"roles/[\w.]+", everything))
    assert not granted & {"roles/owner", "roles/editor", "roles/bigquery.admin", "roles/pubsub.admin", "roles/storage.admin", "roles/iam.serviceAccountUser"}
    assert "allUsers" not in everything and "allAuthenticatedUsers" not in everything
    assert not module.of("google_service_account_key"), "no account has a key"
    # Roles on the project are those that BigQuery has on no smaller thing.
    project_roles = " ".join(str(one) for one in module.of("google_project_iam_member").values())
    assert set(re.findall(r"roles/[\w.]+", project_roles)) == {"roles/bigquery.jobUser", "roles/bigquery.readSessionUser"}
    # Passwords are write-only: none is in Terraform's state.
    for name in ("shop_password", "state_password"):
        assert module.variables[name]["ephemeral"] is True and module.variables[name]["sensitive"] is True
    assert all("password" not in user for user in module.of("google_sql_user").values())
    for subscription in ("pull", "billing"):
        assert module.of("google_pubsub_subscription")[subscription]["dead_letter_policy"]
    # What the files of deploy/cloudrun mount is there.
    mounted = "".join((DEPLOY / "cloudrun" / name).read_text() for name in ("service.yaml", "job.yaml"))
    secrets = module.of("google_secret_manager_secret")["secret"]["for_each"]
    assert all(f'"{name}"' in secrets for name in re.findall(r"(?:secretName|secretKeyRef: {name): ([\w-]+)", mounted))


@pytest.mark.parametrize("name", ["order_events", "inventory_events", "user_activity_events"])
def test_tables_of_terraform_are_those_of_the_statements(name, module):
    """deploy/terraform/schemas against examples/ddl, read by sqlglot: columns, types, descriptions, partition, clusters."""
    statement = sqlglot.parse_one((ROOT / "examples" / "ddl" / f"{name}.sql").read_text(), dialect="bigquery")
    fields = json.loads((DEPLOY / "terraform" / "schemas" / f"{name}.json").read_text())
    assert [shape(field) for field in fields] == [column_shape(column) for column in statement.this.expressions]
    table = module.locals["event_tables"][name]
    partition, cluster = (statement.find(kind) for kind in (sqlglot.exp.PartitionedByProperty, sqlglot.exp.ClusterProperty))
    assert table["day_of"].strip('"') == next(partition.find_all(sqlglot.exp.Column)).name
    assert [one.strip('"') for one in table["cluster"]] == [one.name for one in cluster.expressions]


def shape(field: dict) -> tuple:
    return field["name"], field["type"], field["mode"] == "REPEATED", field.get("description"), [shape(one) for one in field.get("fields", [])]


def column_shape(column) -> tuple:
    kind = column.args["kind"]
    repeated = kind.this == sqlglot.exp.DataType.Type.ARRAY
    kind = kind.expressions[0] if repeated else kind
    record = kind.this == sqlglot.exp.DataType.Type.STRUCT
    names = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
    plain = "RECORD" if record else names.get(kind.sql("bigquery"), kind.sql("bigquery"))
    options = [p for p in column.find_all(sqlglot.exp.Property) if p.find_ancestor(sqlglot.exp.ColumnDef) is column]
    description = next((p.args["value"].name for p in options if p.name.lower() == "description"), None)
    return column.name, plain, repeated, description, [column_shape(one) for one in kind.expressions] if record else []
