"""News by mail, through a real server; and what is said of budgets."""

import json
import sqlite3

import pytest

from support.mail import PASSWORD, USER, MailServer
from support.serving import wait_for

NOTHING = {"source": {"table": "public.nowhere"}, "target": {"table": "t.broken"}, "retries": {"max": 0}}


@pytest.fixture
def mail(tmp_path):
    made = MailServer(tmp_path / "mail")
    yield made
    made.stop()


def connection(mail, **more) -> dict:
    return {"mail": {"type": "smtp", "host": "localhost", "port": mail.port, "user": USER, "password": "${MAIL_PASSWORD}", "ca": str(mail.ca),
                     "from": "penstock@example.com", "to": ["ops@example.com", "dba@example.com"], **more}}


def tell(project, database, mail, notify=None, **more) -> None:
    project.environment["MAIL_PASSWORD"] = PASSWORD
    project.pipelines(database, {"broken": {**json.loads(json.dumps(NOTHING)), "notify": notify or {"failure": ["mail"], "recovery": ["mail"]}, "trigger": {"http": "/go"}}},
                      connections=connection(mail, **more))


def on_record(project) -> list[tuple]:
    file = project.folder / ".penstock/state.db"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20) as state:
        return sorted(state.execute("SELECT status, remark FROM notices"))


def test_failure_and_recovery_come_by_mail(database, project, mail):
    tell(project, database, mail)
    mail.refused = {"dba@example.com"}
    mail.answers = ["451 come back later"]
    failed = project.run("run", "broken", "--output", "json", expect=1)
    run = failed.json["runs"][0]
    assert [answer[:3] for answer, *_ in mail.got] == ["451", "250"] and all(encrypted for _, encrypted, *_ in mail.got)
    assert mail.got[1][2:4] == ("penstock@example.com", ["ops@example.com"]), "an address that is refused keeps it from nobody else"
    (first,) = mail.mails()
    assert first["Subject"] == "[penstock] broken failed" and first["From"] == "penstock@example.com" and first["To"] == "ops@example.com, dba@example.com"
    assert first["Auto-Submitted"] == "auto-generated" and first["X-Penstock-Event"] == "run_failed" and first["X-Penstock-Pipeline"] == "broken"
    assert first.get_content_type() == "text/plain" and first["Date"].datetime.utcoffset().total_seconds() == 0
    text = first.get_content()
    assert run["error"]["message"] in text and run["error"]["hint"] in text and f"penstock runs {run['run_id']}" in text
    assert len({email["Message-ID"] for email in mail.mails()}) == 1 and mail.got[0][4].count(first["Message-ID"].encode()) == 1
    assert PASSWORD not in failed.both
    project.run("run", "broken", expect=1)
    assert len(mail.mails()) == 1, "the same again within the hour is no news"
    database.execute("CREATE TABLE nowhere (id int PRIMARY KEY)")
    project.load("broken")
    assert [one["Subject"] for one in mail.mails()] == ["[penstock] broken failed", "[penstock] broken has succeeded again"]
    with sqlite3.connect(project.folder / ".penstock/state.db") as state:
        assert PASSWORD not in "".join(state.iterdump()) and set(state.execute("SELECT status FROM notices")) == {("delivered",)}


def test_mail_through_a_connection_that_is_encrypted_from_its_first_byte(database, project, tmp_path):
    mail = MailServer(tmp_path / "wrapped", starttls=False, wrapped=True)
    try:
        tell(project, database, mail, tls="wrapped")
        project.run("run", "broken", expect=1)
        (told,) = mail.mails()
        assert told["Subject"] == "[penstock] broken failed"
    finally:
        mail.stop()


def test_mail_beyond_ascii(database, project, mail):
    """Names of tables are people's; subject and text come through as they are."""
    database.execute('CREATE TABLE "Größe €" (n int); INSERT INTO "Größe €" VALUES (NULL)')
    project.environment["MAIL_PASSWORD"] = PASSWORD
    project.pipelines(database, {"p": {"source": {"table": "public.Größe €"}, "target": {"table": "t.x"}, "checks": [{"not_null": ["n"], "name": "Größe ist da €"}],
                                       "retries": {"max": 0}, "notify": {"failure": ["mail"]}}}, connections=connection(mail))
    project.run("run", "p", expect=None)
    (told,) = mail.mails()
    assert "Größe" in told.get_content() and "€" in told.get_content() and told["Content-Transfer-Encoding"] == "base64"
    assert all(byte < 128 for byte in mail.got[0][4]) and max(map(len, mail.got[0][4].split(b"\r\n"))) <= 998


@pytest.mark.parametrize("wrong, says", [({"password": "another"}, "refused the login"), ({"ca": None}, "is not trusted"), ({"starttls": False}, "no STARTTLS")])
def test_a_server_that_is_not_to_be_trusted_gets_nothing(database, project, mail, tmp_path, wrong, says):
    if wrong == {"starttls": False}:
        mail.stop()
        mail.__init__(tmp_path / "plain", starttls=False)
    tell(project, database, mail, **{name: value for name, value in wrong.items() if value is not None and name != "starttls"})
    if "ca" in wrong:
        file = project.folder / "penstock.yaml"
        whole = json.loads(file.read_text())
        del whole["connections"]["mail"]["ca"]
        file.write_text(json.dumps(whole))
    output = project.run("run", "broken", expect=1)
    assert mail.got == [] and says in output.err and PASSWORD not in output.both
    ((status, remark),) = on_record(project)
    assert status == "given_up" and says in remark


def test_mail_waits_for_its_server(database, project, mail):
    tell(project, database, mail)
    mail.stop()
    running = project.start("run", "broken")

    def tried():
        try:
            return [status for status, remark in on_record(project) if remark] == ["waiting"]
        except sqlite3.OperationalError:  # no state yet
            return False
    wait_for(tried)
    running.process.kill()
    running.process.communicate()
    mail.start()
    project.run("run", "broken", expect=1)
    wait_for(lambda: project.run("run", "broken", expect=1) and mail.mails())
    assert len(mail.mails()) == 1 and on_record(project) == [("delivered", "")]

