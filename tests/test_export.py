"""`penstock export kubernetes|cloudrun|terraform`: what they write is judged by those who judge deploy/ (test_deploy.py), command lines by the
program, and the configuration that a pod finds is put together from its volumes and read by `penstock check`."""

import os
import re

import pytest
import yaml

from support.program import ROOT
from support.terraform import Module
from test_deploy import TOOLS, YAML_RULES, checked_by, judged, pod_of, restricted, tool

SECRET = "hunter2"
VARIABLES = {"STATE_URL": f"postgres://a:{SECRET}@127.0.0.1/c", "SHOP_URL": f"postgres://a:{SECRET}@127.0.0.1/c", "SALT": SECRET}
BASE = """\
version: 1
state: "${STATE_URL}"
connections:
  shop: {type: postgres, url: "${SHOP_URL}", tls: {mode: verify-full, ca: tls/server-ca.pem}}
  bq: {type: bigquery, project: my-project, location: EU, credentials: /secrets/bq/sa.json, max_bytes_billed: 10GiB}
  events: {type: pubsub, project: "${EVENTS_PROJECT:-my-project}"}
  lake: {type: files, url: "gs://lake/raw"}
pipelines:
  orders:
    source: {connection: shop, table: public.orders, cursor: updated_at}
    target: {connection: bq, table: shop.orders, mode: merge, key: [id]}
    steps: [{mask: {columns: [email], with: sha256, salt: "${SALT}"}}]
    schedule: "@hourly"
    timezone: Europe/Vienna
    budget: {daily_usd: 2.5}
    memory: 1GiB
  Report_2:
    source: {connection: bq, table: shop.orders}
    target: {connection: bq, table: marts.report}
    after: [orders]
    timeout: 2h
  follows:
    source: {connection: events, subscription: follow-me-sub, format: json}
    route: {by: kind, order: {schema: ddl/order.sql, table: live.orders}}
    target: {connection: bq, mode: append}
    run: follow
  drains:
    source: {connection: events, subscription: backlog, format: json}
    route: {by: kind, order: {schema: ddl/order.sql, table: events.orders}}
    archive: {connection: lake}
    target: {connection: bq, mode: append}
    run: drain
"""


@pytest.fixture
def base(project):
    project.write(BASE)
    project.write("CREATE TABLE orders (id INT64, kind STRING)", "ddl/order.sql")
    project.environment.update(VARIABLES)
    return project


def exported(project, *words, expect: int = 0):
    output = project.run("export", *words, expect=expect)
    assert SECRET not in output.both, "no value of a reference leaves"
    return output.out if expect == 0 else output.err


def manifests(project, *words) -> dict[tuple[str, str], dict]:
    text = exported(project, "kubernetes", *words)
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}


def pod_folder(pod: dict, objects: dict, secrets: dict, root) -> None:
    """What its container finds, below `root`."""
    folders = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    for volume in pod["volumes"]:
        sources = volume.get("projected", {}).get("sources", [volume] if "secret" in volume else [])
        for source in sources:
            if "configMap" in source:
                held, items = objects["ConfigMap", source["configMap"]["name"]]["data"], source["configMap"]["items"]
            else:
                held, items = secrets[source["secret"].get("name") or source["secret"]["secretName"]], source["secret"]["items"]
            for item in items:
                path = root / folders[volume["name"]].strip("/") / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(held[item["key"]])


# ---------------------------------------------------------------- Kubernetes

def test_kubernetes(base, make_project, tmp_path):
    objects = manifests(base, "--shards", "drains=4", "--image", "registry.example/penstock:1")
    judged(list(objects.values()), tmp_path)
    assert {kind for kind, _ in objects} == {"ServiceAccount", "ConfigMap", "NetworkPolicy", "CronJob", "Deployment", "Job"}
    for one in objects.values():
        if pod := pod_of(one):
            restricted(pod["spec"])
            checked_by(base, pod["spec"]["containers"][0]["args"])
            assert objects["NetworkPolicy", "penstock"]["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    cron, job, followed = objects["CronJob", "orders"]["spec"], objects["Job", "drains"]["spec"], objects["Deployment", "follows"]["spec"]
    assert (cron["schedule"], cron["timeZone"], cron["concurrencyPolicy"]) == ("0 * * * *", "Europe/Vienna", "Forbid")
    container = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["run", "orders", "Report_2", "--drain", "--wait", "240"] and container["image"] == "registry.example/penstock:1"
    assert "activeDeadlineSeconds" not in cron["jobTemplate"]["spec"], "orders may take as long as it takes"
    assert container["resources"]["requests"]["memory"] == "1280Mi"
    assert (job["completionMode"], job["completions"], job["parallelism"], job["backoffLimitPerIndex"]) == ("Indexed", 4, 4, 3)
    assert followed["template"]["spec"]["containers"][0]["args"] == ["run", "follows", "--follow", "--wait", "240"]
    assert followed["selector"]["matchLabels"].items() <= followed["template"]["metadata"]["labels"].items()
    wanted = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"]}
    assert wanted == {name: {"name": "penstock", "key": name, **({"optional": True} if name == "EVENTS_PROJECT" else {})} for name in
                      ("STATE_URL", "SHOP_URL", "EVENTS_PROJECT", "SALT")}
    held = [source for volume in pod_of(objects["CronJob", "orders"])["spec"]["volumes"] for source in (volume.get("projected"), volume.get("secret")) if source]
    assert len(held) == 2 and all(source["defaultMode"] == 0o440 for source in held), "libpq takes no key that all can read"
    # The pod's folder, as a project of its own.
    root = tmp_path / "pod"
    pod_folder(pod_of(objects["CronJob", "orders"])["spec"], objects, {"penstock-files": {"tls-server-ca.pem": "ca", "secrets-bq-sa.json": "{}"}}, root)
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == {"etc/penstock/penstock.yaml", "etc/penstock/ddl/order.sql", "etc/penstock/tls/server-ca.pem", "secrets/bq/sa.json"}
    assert (root / "etc/penstock/penstock.yaml").read_text() == BASE
    base.run("-f", root / "etc/penstock/penstock.yaml", "check")


def test_kubernetes_with_serve(base, tmp_path):
    objects = manifests(base, "--serve")
    judged(list(objects.values()), tmp_path)
    deployment, service = objects["Deployment", "penstock"], objects["Service", "penstock"]
    labels = pod_of(deployment)["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"],
                     objects["PodDisruptionBudget", "penstock"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items() and not selector.items() <= pod_of(objects["Deployment", "follows"])["metadata"]["labels"].items()
    restricted(pod_of(deployment)["spec"])
    checked_by(base, pod_of(deployment)["spec"]["containers"][0]["args"])
    assert not any(kind in ("CronJob", "Job") for kind, _ in objects), "its schedules are its own"
    assert "drains" in exported(base, "kubernetes", "--serve").split("---")[0], "what nothing runs is said"


def test_another_configuration_is_another_map(base):
    one = exported(base, "kubernetes")
    assert one == exported(base, "kubernetes"), "the same again"
    base.write("CREATE TABLE orders (id INT64, kind STRING, more STRING)", "ddl/order.sql")
    names = [set(re.findall(r"penstock-[0-9a-f]{10}", text)) for text in (one, exported(base, "kubernetes"))]
    assert len(names[0]) == len(names[1]) == 1 and names[0] != names[1]


def test_what_ends_a_job_comes_behind_what_ends_its_runs(base):
    base.write(BASE.replace("    timeout: 2h\n", "    timeout: 2h\n    retries: {max: 1}\n").replace("    memory: 1GiB\n", "    timeout: 10min\n    retries: {max: 2}\n"))
    job = manifests(base)["CronJob", "orders"]["spec"]["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 2 and job["activeDeadlineSeconds"] == 3 * (2 * 3600 + 10 * 60 + 5 * 60 + 6 * 60)


def test_files_whose_names_are_alike(base, tmp_path):
    """tls/a.pem and tls-a.pem; one in the folder of the configuration itself, by its place in the container."""
    base.write(BASE.replace("ca: tls/server-ca.pem}}", "ca: tls/a.pem, cert: tls-a.pem, key: /etc/penstock/own/key.pem}}"))
    objects = manifests(base)
    judged(list(objects.values()), tmp_path)
    text = exported(base, "kubernetes").split("---")[0]
    files = {path: key for key, path in re.findall(r"--from-file=(\S+?)=(\S+)", text)}
    assert set(files) == {"tls/a.pem", "tls-a.pem", "/etc/penstock/own/key.pem", "/secrets/bq/sa.json"} and len(set(files.values())) == 4
    pod_folder(pod_of(objects["CronJob", "orders"])["spec"], objects, {"penstock-files": {key: path for path, key in files.items()}}, tmp_path)
    assert [(tmp_path / "etc/penstock" / name).read_text() for name in ("tls/a.pem", "tls-a.pem", "own/key.pem")] == ["tls/a.pem", "tls-a.pem", "/etc/penstock/own/key.pem"]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n"])
def test_files_come_back_as_they_were(end, base):
    odd = "\n\n  -- led: [yes, 1] # x\n\tCREATE TABLE orders (id INT64, kind STRING)\n \n-- 'end'" + end
    (base.folder / "ddl" / "order.sql").write_bytes(odd.encode())
    (held,) = (one["data"] for (kind, _), one in manifests(base).items() if kind == "ConfigMap")
    assert held == {"penstock.yaml": BASE, "ddl-order.sql": odd}


@pytest.mark.parametrize("change,said", [
    (('state: "${STATE_URL}"', ""), "keep it in a database"),
    (('after: [orders]', 'after: [orders]\n    wait_for: [{file: x}]'), "--serve"),
    (('after: [orders]', 'after: [orders]\n    schedule: "5 4 * * *"'), "another schedule"),
    (('"@hourly"\n    timezone: Europe/Vienna', '"@every 7m"'), "no cron expression"),
    (('"gs://lake/raw"}', '"gs://lake/raw"}\n  w: {type: duckdb, path: w.duckdb}', 'target: {connection: bq, table: marts.report}', 'target: {connection: w, table: m.r}'), "volume of its own"),
    (('timezone: Europe/Vienna', 'timezone: Europe/Vienna\n    pool: few', '    run: drain\n', '    run: drain\n    schedule: "@daily"\n    pool: few\npools: {few: 1}\n'), "know nothing of one another"),
    (('salt: "${SALT}"', 'salt: "pepper and more"'), "a secret is written out"),
    (('"${SHOP_URL}"', '"postgres://a:hush-hush@h/d"'), "a secret is written out"),
    (('table: shop.orders}', 'query: "SELECT \'{window.date}\' AS d"}'), "wants a window")])
def test_what_containers_cannot_do_is_refused(change, said, base):
    text = BASE
    for old, new in zip(change[::2], change[1::2]):
        assert old in text
        text = text.replace(old, new)
    base.write(text)
    refused = exported(base, "kubernetes", expect=2)
    assert said in refused and "penstock.yaml" in refused and "hint:" in refused


@pytest.mark.parametrize("shards,said", [("drains", "NAME=N"), ("drains=0", "from 1 to 1000"), ("orders=2", "no stream of events"), ("nobody=2", "there is no pipeline")])
def test_bad_shards(shards, said, base):
    assert said in exported(base, "kubernetes", "--shards", shards, expect=2)


# ---------------------------------------------------------------- Cloud Run

def test_cloud_run(base, tmp_path):
    text = BASE.replace("run: follow", "run: drain").replace("tls/server-ca.pem", "/secrets/shop/server-ca.pem").replace("run: drain\n", "run: drain\n    schedule: '*/12 * * * *'\n", 1)
    base.write(text)
    names = exported(base, "cloudrun", "--out", "run", "--shards", "drains=3").split()
    assert names == ["run/job-orders.yaml", "run/job-follows.yaml", "run/job-drains.yaml", "run/deploy.sh"]
    folder = base.folder / "run"
    tool(TOOLS / "shellcheck", folder / "deploy.sh")
    tool(TOOLS / "yamllint", "--strict", "-d", YAML_RULES, *folder.glob("*.yaml"))
    script = (folder / "deploy.sh").read_text()
    assert os.access(folder / "deploy.sh", os.X_OK) and "begin penstock-orders '0 * * * *' Europe/Vienna" in script
    assert re.search(r"^secrets=\((.*)\)$", script, re.MULTILINE).group(1).split() == \
        ["penstock-state-url", "penstock-shop-url", "penstock-salt", "penstock-secrets-shop-server-ca-pem", "penstock-secrets-bq-sa-json"]
    pods = []
    for name, tasks in (("orders", 1), ("follows", 1), ("drains", 3)):
        job = yaml.safe_load((folder / f"job-{name}.yaml").read_text())
        outer = job["spec"]["template"]["spec"]
        assert (job["apiVersion"], outer["taskCount"], outer["parallelism"]) == ("run.googleapis.com/v1", tasks, tasks)
        pods.append({key: value for key, value in outer["template"]["spec"].items() if key not in ("maxRetries", "timeoutSeconds")})
    exported(base, "cloudrun", "--serve", "--out", "serve", "--image", "i:1")
    service = yaml.safe_load((base.folder / "serve" / "service.yaml").read_text())
    assert service["apiVersion"] == "serving.knative.dev/v1"
    pods.append({key: value for key, value in service["spec"]["template"]["spec"].items() if key not in ("containerConcurrency", "timeoutSeconds")})
    for number, pod in enumerate(pods):
        checked_by(base, pod["containers"][0]["args"])
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        pods[number] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number}"}, "spec": pod}
    judged(pods, tmp_path)


@pytest.mark.parametrize("change,words,said", [
    (("", ""), (), "follows its stream"),
    (("run: follow", "run: drain"), (), "one secret a folder"),
    (("project: my-project,", 'project: "${STATE_URL}",'), (), "--project")])
def test_what_cloud_run_cannot_do_is_refused(change, words, said, base):
    text = BASE.replace(*change)
    if said != "one secret a folder":
        text = text.replace("tls/server-ca.pem", "/secrets/shop/server-ca.pem")
    base.write(text)
    assert said in exported(base, "cloudrun", "--out", "x", *words, expect=2)
    assert not (base.folder / "x").exists()


# ---------------------------------------------------------------- Terraform

def module(project, *words, folder: str = "tf") -> Module:
    exported(project, "terraform", "--out", folder, *words)
    return Module(project.folder / folder)


def names_of(text: str) -> set[str]:
    return set(re.findall(r'"([^"]+)"', text))


def test_terraform(base):
    made = module(base)
    assert not made.faults()
    assert names_of(str(made.locals["subscriptions"])) == {"follow-me-sub", "backlog"}
    assert {key.strip('"'): value.strip('"') for key, value in made.locals["topic_of"].items() if not key.startswith("__")} == \
        {"follow-me-sub": "follow-me", "backlog": "backlog-topic"}
    assert names_of(str(made.locals["datasets"])) == {"shop", "marts", "live", "events", "penstock"}
    assert names_of(str(made.locals["buckets"])) == {"lake"}
    assert names_of(str(made.locals["secrets"])) == {"penstock-config", "penstock-state-url", "penstock-shop-url", "penstock-salt", "penstock-tls-server-ca-pem",
                                                     "penstock-secrets-bq-sa-json"}
    assert made.of("google_pubsub_subscription")["read"]["dead_letter_policy"]
    assert made.variables["monthly_budget_usd"]["default"] == 78 and made.variables["project_id"]["default"] == '"my-project"'
    everything = "\n".join(made.texts)
    assert set(re.findall(r"roles/[\w.]+", everything)) == {
        "roles/bigquery.jobUser", "roles/bigquery.readSessionUser", "roles/bigquery.dataEditor", "roles/pubsub.publisher", "roles/pubsub.subscriber", "roles/pubsub.viewer",
        "roles/storage.objectUser", "roles/secretmanager.secretAccessor"}, "no role says more"
    assert set(re.findall(r"roles/[\w.]+", str(made.of("google_project_iam_member")))) == {"roles/bigquery.jobUser", "roles/bigquery.readSessionUser"}
    assert not made.of("google_service_account_key") and not made.of("google_secret_manager_secret_version")


def test_terraform_of_a_topic_that_is_read_and_written(base):
    """It is one resource."""
    base.write(BASE + """\
  back:
    source: {connection: shop, changes: {tables: [public.orders], slot: s, publication: p}}
    target: {connection: events, topic: follow-me, format: debezium}
""")
    made = module(base)
    assert not made.faults()
    assert names_of(str(made.locals["topics"])) == {"follow-me"} and "local.topics" in str(made.locals["all_topics"]) and "local.subscriptions" in str(made.locals["all_topics"])
    assert set(made.of("google_pubsub_topic")) == {"topic", "dead"}


@pytest.mark.parametrize("example,kinds,asks", [
    ("billing", {"google_bigquery_dataset"}, {"more_datasets", "more_read_datasets"}),
    ("postgres-changes-to-pubsub", {"google_pubsub_topic"}, {"more_topics"}),
    ("postgres-to-duckdb", {"google_service_account"}, set())])
def test_terraform_of_examples(example, kinds, asks, project):
    """What is known only when it runs is asked for, and has no default."""
    project.write((ROOT / "examples" / f"{example}.yaml").read_text())
    project.write((ROOT / "examples" / "billing-message.json").read_text(), "billing-message.json")
    project.environment.update(VARIABLES, DB_HOST="h", DB_USER="u", DB_PASSWORD=SECRET, PROJECT_ID="p", SERVICE_ACCOUNT_FILE="sa.json")
    made = module(project)
    assert not made.faults()
    assert kinds <= {kind for kind, _ in made.resources} and {name for name in made.variables if name.startswith("more_")} == asks
    assert all("default" not in made.variables[name] for name in asks)


# ---------------------------------------------------------------- where it goes

def test_files_are_not_replaced_unasked(base):
    exported(base, "kubernetes", "--out", "k8s")
    (base.folder / "k8s" / "penstock-kubernetes.yaml").write_text("mine")
    refused = exported(base, "kubernetes", "--out", "k8s", expect=2)
    assert "is there already" in refused and "--force" in refused
    assert (base.folder / "k8s" / "penstock-kubernetes.yaml").read_text() == "mine"
    exported(base, "kubernetes", "--out", "k8s", "--force")
    text = (base.folder / "k8s" / "penstock-kubernetes.yaml").read_text()
    assert text == exported(base, "kubernetes")
    tool(TOOLS / "yamllint", "--strict", "-d", YAML_RULES, "-", input=text)
    refused = exported(base, "terraform", expect=2)
    assert "versions.tf" in refused and "--out" in refused
