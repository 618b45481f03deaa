"""The dashboard as people meet it: Chromium, led through every page by mouse and by keyboard, at a desk and on a phone."""

import hashlib
import hmac
import json

import psycopg
import pytest
import yaml

from support.backups import KEY, own_folder, remove_meanwhile
from support.browser import DESK, PHONE, Browser
from support.postgres import LOADER, Database
from support.program import Project
from support.serving import Serving, wait_for
from support.shop import MERGE, add_orders, make_orders

TOKENS = {role: f"{role}-token-0123456789" for role in ("viewer", "operator", "admin")}
PEOPLE = {"viewer": "<b>vera</b>", "operator": "otto", "admin": "anna"}
API = {"tokens": [{"name": PEOPLE[role], "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()} for role, token in TOKENS.items()]}
# What a browser would do something with, were it taken for markup.
HOSTILE = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>"
HOSTILE_TABLE = "<i>t</i>\"><svg onload=alert(1)>"


def with_api(project):
    path = project.folder / "penstock.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "api": API}))


@pytest.fixture(scope="module")
def browser():
    made = Browser()
    yield made
    made.close()


@pytest.fixture(scope="module")
def database(server):
    made = Database(server, "dashboard")
    yield made
    for (slot,) in made.rows("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"):
        made.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    made.drop()


@pytest.fixture(scope="module")
def shop(server, database, tmp_path_factory):
    """Pipelines in every state, each run: good, checked, rejecting, failing, capturing changes, with names and values of an attacker."""
    project = Project(tmp_path_factory.mktemp("dashboard") / "project")
    with server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    make_orders(database, 2000)
    quoted, column = ('"' + name.replace('"', '""') + '"' for name in (HOSTILE_TABLE, HOSTILE))
    database.execute(f"""
        CREATE TABLE payments (id int PRIMARY KEY, amount numeric(10,2), paid_by text);
        INSERT INTO payments SELECT i, CASE WHEN i % 40 = 0 THEN 'NaN'::numeric ELSE i END, 'customer ' || i % 7 FROM generate_series(1, 120) i;
        CREATE TABLE customers (id int PRIMARY KEY, name text); INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 50) i;
        CREATE SCHEMA odd; CREATE TABLE odd.{quoted} (id int PRIMARY KEY, n numeric(5,2), {column} text);
        INSERT INTO odd.{quoted} VALUES (1, 'NaN', '{HOSTILE}'); CREATE PUBLICATION dashboard FOR TABLE customers""")
    checks = [{"not_null": ["customer"]}, {"accepted_values": {"column": "status", "values": ["new"], "on_fail": "warn"}}]
    project.pipelines(database, {
        "orders": {"source": {"table": "public.orders", "cursor": "updated_at"}, "target": dict(MERGE), "checks": checks, "schedule": "0 2 1 1 *"},
        "payments": {"source": {"table": "public.payments"}, "target": {"table": "shop.payments", "mode": "merge", "key": ["id"]}, "on_reject": "continue", "after": ["orders"]},
        "report": {"source": {"table": "public.nowhere"}, "target": {"table": "t.report"}, "retries": {"max": 0}, "after": ["orders", "payments"]},
        "hostile": {"source": {"tables": ["odd.*"]}, "target": {"dataset": "odd", "mode": "replace"}, "on_reject": "continue"},
        "changes": {"source": {"changes": {"tables": ["public.customers"], "publication": "dashboard", "slot": "dashboard_slot", "create": True}},
                    "target": {"dataset": "mirror", "mode": "merge"}, "run": "drain"},
        "never": {"source": {"table": "public.orders"}, "target": {"table": "t.never"}, "schedule": "0 3 1 1 *", "after": ["report"]}},
        connections={"lake": {"type": "files", "url": "file:lake"}})
    path = project.folder / "penstock.yaml"
    place = own_folder("penstock-drills-")
    backups = {"shop_db": {"connection": "shop", "store": {"connection": "lake", "path": "backups", "encrypt": "${BACKUP_KEY}"}, "wal": {"stream": False}, "rto": "20s", "rpo": "1h",
                           "full": {"schedule": "0 2 1 1 *"}, "drill": {"schedule": "0 5 1 1 *", "folder": str(place), "programs": str(server.bindir), "queries": ["SELECT count(*) FROM orders"]}},
               "untouched": {"connection": "shop", "store": {"connection": "lake", "path": "other", "encrypt": "${BACKUP_KEY}"}, "wal": {"stream": False}}}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "backups": backups}))
    project.environment["BACKUP_KEY"] = KEY
    with_api(project)
    for name, expected in (("orders", 0), ("payments", 0), ("report", 1), ("hostile", 0), ("changes", 0)):
        project.load(name, expect=expected)
    database.execute("ALTER TABLE orders ADD COLUMN channel text")
    add_orders(database, 1000)
    project.load("orders")
    project.run("backup", "run", "shop_db")
    drilled_before(project, project.run("backup", "drill", "shop_db", "--json", timeout=120).json)
    yield project
    remove_meanwhile(place)


def drilled_before(project, report):
    """Reports of earlier drills, each signed as a drill signs its own: some slower than they should be, and one that found something."""
    del report["report"]
    for day, (rto, rpo) in enumerate([(9.5, 600), (11.2, 900), (24.8, 700), (None, 800), (12.1, 1500)], 1):
        failures = ["query failed: SELECT count(*) FROM orders: relation \"orders\" does not exist"] if rto is None else []
        text = json.dumps({**report, "id": f"202601{day:02}t030000_00000000000{day}", "ended_at": f"2026-01-{day:02}T03:00:00Z", "rto_seconds": rto, "rpo_seconds": rpo, "passed": not failures,
                           "failures": failures, "queries": [{**report["queries"][0], "sql": HOSTILE, "first_value": HOSTILE_TABLE}]})
        base = project.folder / "lake/backups/drills" / json.loads(text)["id"]
        base.with_suffix(".json").write_text(text)
        base.with_suffix(".hmac").write_text(f"{hmac.new(bytes.fromhex(KEY), text.encode(), hashlib.sha256).hexdigest()}  {base.name}.json\n")


@pytest.fixture(scope="module")
def serving(shop):
    made = Serving(shop)
    yield made
    made.stop()
    assert not any(token in line for token in TOKENS.values() for line in made.lines), "no token is in the log"


@pytest.fixture
def visit(browser, serving):
    def made(role: str | None = None, server=serving):
        return browser.visitor(server, TOKENS.get(role))

    return made


def test_a_first_walk(visit, serving, database):
    """Signing in, seeing what is there, having something run and watching it, an error that says what to do."""
    anna = visit()
    page = anna.page
    anna.go(heading="Sign in")
    anna.judge()
    page.get_by_label("Your token").fill("guessed")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").filter(has_text="That token is not known here").wait_for()
    page.get_by_label("Your token").fill(TOKENS["operator"])
    page.get_by_role("button", name="Sign in").click()
    anna.heading("Pipelines")
    assert page.locator("#who").inner_text() == "otto, operator"
    row = lambda name: page.locator("main tr", has=page.locator(f"a[href='#/pipeline/{name}']"))
    for name, state in (("orders", "success"), ("report", "failed"), ("never", "never run")):
        assert row(name).locator(".state").inner_text() == state
    anna.judge()
    anna.screenshot("pipelines")

    row("orders").get_by_role("link", name="orders").click()
    anna.heading("orders")
    page.get_by_role("img", name="The last 2 runs: none failed").wait_for()
    anna.judge()
    with psycopg.connect(database.server.dsn(database.name)) as holder:  # the run waits at the source until this lets go
        holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        page.get_by_role("button", name="Run now").click()
        anna.told("as soon as a worker is free")
        page.locator("main tbody .running").wait_for()
        page.locator("main tbody tr", has=page.locator(".running")).get_by_role("link").click()
        page.get_by_text("It runs. Counts come when it ends.").wait_for()
        page.get_by_role("table", name="Log").get_by_text("begins").wait_for()
        before = page.locator("dd", has_text=" try").inner_text()
        page.wait_for_function("(before) => ![...document.querySelectorAll('dd')].some((one) => one.textContent === before)", arg=before)
    page.locator("dd .success").wait_for()
    page.get_by_role("table", name="Log").get_by_text("ends: success").wait_for()
    assert page.get_by_text(" read = ").inner_text() == "0 read = 0 written + 0 rejected + 0 filtered"
    page.get_by_role("link", name="orders", exact=True).click()
    page.get_by_role("button", name="Pause").click()
    anna.told("orders is paused")
    page.get_by_role("button", name="Resume").click()
    anna.told("orders goes on")

    page.get_by_role("link", name="Pipelines", exact=True).click()
    row("report").get_by_role("link", name="report").click()
    for part in ("Where:", "What to do:", "Code:"):
        page.locator(".error", has_text=part).wait_for()
    page.locator("main tbody a[href^='#/run/']").click()
    assert "public.nowhere" in page.locator(".error strong").inner_text()
    assert "public.nowhere" in page.get_by_role("table", name="Log").get_by_role("row", name="error").inner_text()
    anna.judge()
    anna.screenshot("failed-run")
    anna.leave("401 (Unauthorized)")


def test_the_other_pages(visit, serving):
    anna = visit("admin")
    page = anna.page
    anna.go(heading="Pipelines")
    page.get_by_role("link", name="Runs").click()
    anna.heading("Runs")
    assert page.locator("tbody tr").count() >= 6
    anna.judge()
    page.locator("tr", has=page.locator("a[href='#/pipeline/orders']")).last.locator("a[href^='#/run/']").click()
    page.get_by_text("2,000 read = 2,000 written + 0 rejected + 0 filtered").wait_for()
    page.get_by_role("table", name="Checks").get_by_text("failed").wait_for()
    anna.judge()
    anna.screenshot("run")
    page.get_by_role("link", name="shop.orders").click()
    anna.heading("Shape of shop.orders")
    page.get_by_role("cell", name="channel").first.wait_for()
    anna.judge()
    anna.go("#/quality/orders", "Quality of orders")
    page.get_by_role("img", name="failed it").first.wait_for()
    anna.judge()
    page.get_by_role("link", name="Schedule").click()
    anna.heading("Schedule")
    assert page.get_by_role("link", name="report failed, after orders, payments").count() == 1
    anna.judge()
    anna.screenshot("schedule")
    page.set_viewport_size(PHONE)
    assert page.locator(".narrow").get_by_role("link", name="never").count() == 2, "below both that it waits for"
    anna.go("#/", "Pipelines")
    anna.screenshot("phone")
    page.set_viewport_size(DESK)
    page.get_by_role("link", name="Slots").click()
    page.get_by_text("dashboard_slot").wait_for()
    anna.judge()
    anna.go("#/audit", "Audit log")
    anna.judge()
    for lost in ("#/nothing", "#/constructor", "#/pipeline/%E0%A4%A", "#/run/x"):
        anna.go(lost, "Not there")
    anna.judge()
    page.get_by_role("button", name="Sign out").click()
    anna.heading("Sign in")
    assert page.evaluate("() => sessionStorage.getItem('penstock-token')") is None
    anna.leave("404 (Not Found)", "401 (Unauthorized)")


def test_backups_and_drills(visit, serving):
    """How recovery stands, what drills have measured, and having things done; what the state knows comes at once, stores when they answer."""
    otto = visit("operator")
    page = otto.page
    otto.go(heading="Pipelines")
    page.get_by_role("link", name="Backups").click()
    otto.heading("Backups")
    row = lambda name: page.locator("main tr", has=page.locator(f"a[href='#/backup/{name}']"))
    row("shop_db").get_by_text("as it should be").wait_for()
    row("untouched").get_by_text("no goals are set").wait_for()
    assert "none is known" in row("untouched").inner_text() and "passed" in row("shop_db").inner_text()
    otto.judge()
    page.get_by_role("link", name="shop_db").click()
    otto.heading("Backup shop_db")
    page.get_by_role("img", name="RTO of the last 6 drills: the goal, 20.0 s, was met by 4").wait_for()
    page.get_by_role("img", name="RPO of the last 6 drills").wait_for()
    page.get_by_role("table", name="What can be restored").wait_for()
    assert page.get_by_role("table", name="Drills").locator("tbody tr").count() == 6
    otto.judge()
    page.set_viewport_size({"width": 1200, "height": 1150})
    page.evaluate("() => scrollTo(0, 0)")
    otto.screenshot("backup")
    page.set_viewport_size(DESK)
    otto.tab_through()
    page.get_by_role("button", name="Pause drill").click()
    otto.told("Drill is paused")
    page.get_by_role("button", name="Resume drill").click()
    otto.told("Drill goes on")
    page.get_by_role("button", name="Take a full backup").click()
    otto.told("as soon as a worker is free")
    held = page.get_by_role("table", name="What can be restored").locator("tbody tr")
    held.nth(1).wait_for(timeout=30_000)
    page.get_by_role("table", name="Drills").get_by_role("link").first.click()
    otto.heading("Drill of shop_db")
    page.get_by_role("img", name="How long each phase took: plan").wait_for()
    page.get_by_role("cell", name="SELECT count(*) FROM orders").wait_for()
    otto.judge()
    otto.go("#/drill/shop_db/20260104t030000_000000000004", "Drill of shop_db")
    page.locator(".error", has_text="query failed").wait_for()
    assert HOSTILE in page.get_by_role("table", name="Queries").inner_text() and page.locator("main img, main script, main i").count() == 0
    otto.go("#/backup/untouched", "Backup untouched")
    page.get_by_text("Nothing can be restored yet").wait_for()
    page.get_by_text("There was no drill yet").wait_for()
    otto.judge()
    otto.go("#/drill/shop_db/nothing", "Drill of shop_db")
    page.get_by_text("the store has no report of a drill").wait_for()
    otto.judge()
    otto.go("#/backup/nothing", "Not there")
    otto.leave("404 (Not Found)")

    vera = visit("viewer")
    vera.go("#/backup/shop_db", "Backup shop_db")
    vera.page.get_by_role("img", name="RTO of the last 6 drills").wait_for()
    assert vera.page.locator("main button").count() == 0 and vera.page.locator("a[href^='#/drill/']").count() == 0
    vera.leave()


def test_rejected_rows_are_searched_and_read_again(visit, shop, database):
    """And what is hostile in them is text."""
    otto = visit("operator")
    page = otto.page
    otto.go("#/pipeline/payments", "payments")
    page.get_by_role("link", name="Rejected rows").click()
    otto.heading("Rejected rows of payments")
    assert page.locator("tbody tr").count() == 3
    otto.judge()
    otto.screenshot("rejects")
    page.get_by_label("Search").fill("no such thing")
    page.keyboard.press("Enter")
    page.get_by_text("No open row has “no such thing” in it.").wait_for()
    page.get_by_label("Search").fill('"ID":80')
    page.keyboard.press("Enter")
    page.locator("tbody tr").first.wait_for()
    assert page.locator("tbody tr").count() == 1
    database.execute("UPDATE payments SET amount = 1 WHERE id = 80")
    wait_for(shop.is_free)
    page.get_by_role("button", name="Read again").click()
    otto.told("1 written, 0 still rejected")
    page.get_by_text("No open row has").wait_for()
    assert shop.duck("SELECT count(*) FROM shop.payments WHERE id = 80") == [(1,)]
    page.get_by_role("link", name="Show all").click()
    page.get_by_role("button", name="Read all again").click()
    otto.told("0 written, 2 still rejected")
    assert page.locator("tbody tr").count() == 2 and page.get_by_role("button", name="Discard").count() == 0, "that is for admins"
    otto.leave()

    anna = visit("admin")
    anna.go("#/rejects/payments", "Rejected rows of payments")
    anna.page.get_by_role("button", name="Discard").first.click()
    anna.told("1 discarded")
    assert anna.dialogs == ["This row will never be written. Discard it?"]
    anna.page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 1")
    anna.go("#/audit", "Audit log")
    anna.page.get_by_role("cell", name="discardRejects").wait_for()
    anna.go("#/rejects/hostile", "Rejected rows of hostile")
    assert HOSTILE in anna.page.locator("tbody tr").inner_text().replace('\\"', '"')
    assert anna.page.locator("main img, main script, main i").count() == 0
    anna.judge()
    anna.go("#/pipeline/hostile", "hostile")
    anna.page.locator("main tbody a[href^='#/run/']").click()
    anna.page.get_by_role("cell", name=HOSTILE_TABLE).first.wait_for()
    anna.page.locator("main tbody a[href^='#/schema/']").click()
    anna.page.get_by_role("heading", name="Shape of", level=1).wait_for()
    assert HOSTILE_TABLE in anna.page.locator("h1").inner_text()
    anna.judge()
    assert anna.page.evaluate("() => window.hacked") is None and len(anna.dialogs) == 1
    anna.leave()


def test_by_keyboard_alone(visit):
    vera = visit()
    keys = vera.page.keyboard
    vera.go(heading="Sign in")
    keys.type(TOKENS["admin"])  # the field has the focus
    keys.press("Enter")
    vera.heading("Pipelines")
    reached = vera.tab_through()
    assert reached[0].startswith("#main"), "the first is the way past the head"
    vera.from_the_top()
    keys.press("Tab")
    keys.press("Enter")
    assert vera.page.evaluate("() => document.activeElement.id") == "main" and vera.page.url.endswith("/")
    vera.tab_to("#/pipeline/orders ")
    keys.press("Enter")
    vera.heading("orders")
    runs = vera.page.locator("tbody tr").count()
    vera.tab_to("Run now")
    keys.press("Space")
    vera.told("as soon as a worker is free")
    assert vera.page.evaluate("() => document.activeElement.textContent") == "Run now", "the focus stays where it was"
    vera.page.locator("tbody tr").nth(runs).wait_for()
    assert vera.page.evaluate("() => document.activeElement.textContent") == "Run now", "also when the page has news"
    for place, heading in (("pipeline/payments", "payments"), ("schedule", "Schedule"), ("rejects/payments", "Rejected rows of payments"), ("slots", "Replication slots"), ("audit", "Audit log")):
        vera.go("#/" + place, heading)
        vera.tab_through()
    vera.page.set_viewport_size(PHONE)
    vera.tab_through()
    vera.leave("401 (Unauthorized)")


def test_who_may_only_look_is_offered_nothing_else(visit):
    vera = visit("viewer")
    vera.go("#/pipeline/payments", "payments")
    assert vera.page.locator("#who").inner_text() == "<b>vera</b>, viewer"
    assert vera.page.locator("main button").count() == 0 and vera.page.get_by_role("link", name="Audit").count() == 0
    vera.go("#/rejects/payments", "Not for your role")
    vera.page.get_by_text("ask whoever keeps the configuration").wait_for()
    vera.leave("403 (Forbidden)")


@pytest.fixture
def empty(project):
    """A project without anything in it, and its server."""
    project.config(pipelines={})
    with_api(project)
    servers = [Serving(project)]
    yield servers
    servers[-1].stop()


def test_an_empty_project_and_a_server_that_goes_away(browser, empty, project):
    (server,) = empty
    anna = browser.visitor(server, TOKENS["admin"])
    anna.go(heading="Pipelines")
    anna.page.get_by_text("There are no pipelines yet.").wait_for()
    anna.judge()
    for place, text in (("runs", "Nothing has run yet"), ("schedule", "There are no pipelines yet"), ("slots", "No source has a replication slot"),
                        ("backups", "The configuration has no backups"), ("audit", "Nothing was done")):
        anna.go("#/" + place)
        anna.page.get_by_text(text).wait_for()
        anna.judge()
    anna.page.get_by_role("link", name="Runs").click()
    anna.page.get_by_text("Nothing has run yet").wait_for()
    server.kill()
    anna.page.get_by_role("alert").filter(has_text="The server does not answer").wait_for()
    anna.page.get_by_text("Nothing has run yet").wait_for()
    anna.judge()
    anna.page.get_by_role("link", name="Schedule").click()
    anna.heading("No answer")
    empty.append(Serving(project, listen=f"127.0.0.1:{server.port}"))
    anna.heading("Schedule")
    assert anna.page.get_by_role("alert").count() == 0
    anna.leave("ERR_CONNECTION_REFUSED")
