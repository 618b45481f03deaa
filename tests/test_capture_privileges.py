"""The least a role needs to capture changes: the script `penstock doctor` prints, run as it is, and a capture with that role over TLS
with client certificates."""

import re
import subprocess

import pytest

from support.postgres import PostgresServer


@pytest.fixture
def secured():
    made = PostgresServer(tls=True)
    yield made
    made.destroy()


def psql(server, database, script):
    done = subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", server.dsn(database.name)], input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr + "\n" + script


def drop_slots_of(server):
    with server.admin() as admin:
        admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")


SHOP = """
CREATE SCHEMA sales; CREATE TABLE sales."Odd orders" (id int PRIMARY KEY, note text); CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE secrets (id int PRIMARY KEY, body text); INSERT INTO customers SELECT i, 'c' FROM generate_series(1, 5) i;
INSERT INTO sales."Odd orders" VALUES (1, 'first'); REVOKE ALL ON SCHEMA public FROM PUBLIC;
"""
CHANGES = {"tables": ["sales.Odd orders", "public.customers"], "publication": "pub", "slot": "least"}


def configure(project, server, database, user, **changes):
    project.pipeline(database, {"changes": {**CHANGES, **changes}}, {"dataset": "main", "mode": "merge"},
                     postgres={"url": server.url(database.name, user, None), "tls": server.tls_options(user)})


def finding(output):
    return next(one for one in output.json["findings"] if one["what"] == "capture of p")


def test_a_role_of_its_own_over_mutual_tls(secured, make_database, make_project):
    shop = make_database(secured)
    shop.execute(SHOP)
    administrator, project = make_project(), make_project()
    configure(administrator, secured, shop, "postgres")
    said = finding(administrator.run("doctor", "--output", "json", expect=3))
    assert "no publication pub" in said["detail"] and "no slot least" in said["detail"], said
    script = said["fix"]
    assert "CREATE ROLE" in script and "PASSWORD" not in script and "SUPERUSER" not in script, script
    shown = administrator.run("doctor", expect=3).out
    assert all(line.strip() in shown for line in script.splitlines()), shown

    psql(secured, shop, script)
    line = re.search(r"^--   (hostssl .*)$", script, re.M)[1]
    assert line == f"hostssl {shop.name} penstock 127.0.0.1/32 cert clientcert=verify-full"
    secured.allow_only(line)

    configure(project, secured, shop, "penstock")
    doctor = project.run("doctor", "--output", "json")
    assert finding(doctor)["severity"] == "ok", doctor
    encryption = next(one for one in doctor.json["findings"] if one["what"] == "encryption")
    assert "certificate verified" in encryption["detail"]
    assert project.load().run()["rows_read"] == 6
    shop.execute("UPDATE customers SET name = 'changed' WHERE id = 2; INSERT INTO sales.\"Odd orders\" VALUES (2, 'second'); INSERT INTO secrets VALUES (1, 'x')")
    assert project.load().run()["rows_written"] == 2
    assert project.duck_value("SELECT name FROM customers WHERE id = 2") == "changed"

    # Nothing beyond it.
    with secured.admin() as admin:
        assert admin.execute("SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = 'penstock'").fetchone() == (
            False, False, False, False, True)
    assert shop.rows("SELECT table_schema, table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'penstock' ORDER BY 1") == [
        ("public", "customers", "SELECT"), ("sales", "Odd orders", "SELECT")]
    stranger = make_project()
    configure(stranger, secured, shop, "stranger")
    assert "pg_hba.conf" in stranger.run("run", "--all", expect=1, timeout=30).err
    drop_slots_of(secured)


def test_a_role_that_lacks_something_is_told_what(secured, make_database, project):
    shop = make_database(secured)
    shop.execute(SHOP)
    shop.execute("CREATE ROLE poor LOGIN; CREATE PUBLICATION pub FOR TABLE customers; GRANT USAGE ON SCHEMA public TO poor")
    configure(project, secured, shop, "poor", create=True)
    said = finding(project.run("doctor", "--output", "json", expect=3))
    assert "user poor may not replicate" in said["detail"] and "may not read 2 of the tables" in said["detail"] and "publication pub lacks 1" in said["detail"], said
    script = said["fix"]
    assert "CREATE ROLE" not in script and "SCHEMA public" not in script and "ADD TABLE sales." not in script and 'ADD TABLE "sales"."Odd orders"' in script, script
    psql(secured, shop, script)
    assert finding(project.run("doctor", "--output", "json"))["severity"] == "ok"
    assert project.load().run()["rows_read"] == 6
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert project.load().run()["rows_deleted"] == 1
    drop_slots_of(secured)


def test_a_role_that_owns_its_tables_needs_no_publication(secured, make_database, project):
    shop = make_database(secured)
    shop.execute(SHOP)
    shop.execute(f"CREATE ROLE owner LOGIN REPLICATION; GRANT CREATE ON DATABASE {shop.name} TO owner; GRANT USAGE ON SCHEMA public, sales TO owner;"
                 "ALTER TABLE customers OWNER TO owner; ALTER TABLE sales.\"Odd orders\" OWNER TO owner")
    configure(project, secured, shop, "owner", create=True)
    assert finding(project.run("doctor", "--output", "json"))["severity"] == "ok"
    assert project.load().run()["rows_read"] == 6
    drop_slots_of(secured)
