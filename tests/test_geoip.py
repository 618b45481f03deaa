"""The step `geoip`: against MaxMind's own reader of the same database."""

import ipaddress
import random

import maxminddb
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

ADDRESSES = "CREATE TABLE visits (id int PRIMARY KEY, ip inet, page text)"
WHOLE, INTO = {"table": "public.visits"}, {"table": "shop.visits", "mode": "replace"}


def write(path, networks, ip_version=6) -> None:
    """`networks`: what is known of each."""
    writer = MMDBWriter(ip_version, "Test", languages=["en"], ipv4_compatible=ip_version == 6)
    for network, known in networks.items():
        writer.insert_network(IPSet([network]), known)
    made = path.with_suffix(".new")
    writer.to_db_file(str(made))
    made.rename(path)


def known(country, **more):
    return {"country": {"iso_code": country, "names": {"en": f"Land {country}"}}, **more}


def geoip(**options):
    return {"geoip": {"column": "ip", "into": "country", "database": "geo.mmdb", **options}}


def test_a_thousand_addresses_as_maxminds_reader_finds_them(database, project):
    chance = random.Random(7)
    networks = {f"{first}.{second}.0.0/16": known(f"{chr(65 + first % 26)}{chr(65 + second % 26)}", asn=first * 1000 + second)
                for first in range(1, 220, 2) for second in range(0, 256, 3)}
    networks.update({f"2001:db8:{block:x}::/48": known("V6", asn=block) for block in range(40)})
    write(project.folder / "geo.mmdb", networks)
    addresses = [str(ipaddress.ip_address(chance.getrandbits(32))) for _ in range(1500)] + [f"8.{n % 256}.1.{n % 200}" for n in range(500)]
    addresses += [str(ipaddress.ip_address((0x20010DB8 << 96) + (n << 80) + chance.getrandbits(60))) for n in range(80)]
    database.execute(ADDRESSES)
    database.execute("INSERT INTO visits SELECT n, a::inet, 'p' FROM unnest(%s::text[]) WITH ORDINALITY AS t(a, n)", (addresses,))
    project.pipeline(database, WHOLE, INTO, steps=[geoip(), geoip(into="name", value="country.names.en"), geoip(into="asn", value="asn"),
                                                   {"cast": {"asn": "INTEGER"}}])
    assert project.load().counts() == (len(addresses), len(addresses), 0, 0)
    with maxminddb.open_database(str(project.folder / "geo.mmdb")) as reader:
        found = [reader.get(address) or {} for address in addresses]
    country = [(one.get("country") or {}) for one in found]
    wanted = [(n, c.get("iso_code"), (c.get("names") or {}).get("en"), one.get("asn")) for n, (one, c) in enumerate(zip(found, country), 1)]
    assert sum(row[1] is not None for row in wanted) > 200 and sum(row[1] is None for row in wanted) > 300
    assert project.duck("SELECT id, country, name, asn FROM shop.visits ORDER BY id") == wanted


def test_what_is_no_address_or_not_known_is_null_or_left_out(database, project):
    write(project.folder / "geo.mmdb", {"192.0.2.0/24": known("AT")}, ip_version=4)
    database.execute("CREATE TABLE visits (id int PRIMARY KEY, ip text)")
    database.execute("INSERT INTO visits VALUES (1, '192.0.2.7'), (2, NULL), (3, ''), (4, 'nowhere'), (5, '198.51.100.1'), (6, '2001:db8::1'), "
                     "(7, '192.0.2.9/24'), (8, repeat('1', 500)), (9, '192.0.2.300')")
    project.pipeline(database, WHOLE, INTO, steps=[geoip()])
    assert project.load().counts() == (9, 9, 0, 0)
    assert project.duck("SELECT id FROM shop.visits WHERE country = 'AT' ORDER BY id") == [(1,), (7,)]
    assert project.duck_value("SELECT count(*) FROM shop.visits WHERE country IS NULL") == 7
    project.pipeline(database, WHOLE, INTO, steps=[geoip(missing="filter")])
    assert project.load().counts() == (9, 2, 0, 7)


def test_a_newer_database_is_taken_up_and_a_masked_address_stays_hidden(database, project):
    write(project.folder / "geo.mmdb", {"192.0.2.0/24": known("AT")})
    database.execute(ADDRESSES + "; INSERT INTO visits VALUES (1, '192.0.2.7', '1')")
    project.pipeline(database, WHOLE, INTO, on_reject="continue",
                     steps=[geoip(), {"mask": {"columns": ["ip"], "with": "redact"}}, {"cast": {"page": "INTEGER"}}])
    project.load()
    assert project.duck("SELECT ip, country FROM shop.visits") == [("***", "AT")]
    write(project.folder / "geo.mmdb", {"192.0.2.0/24": known("DE")})
    database.execute("INSERT INTO visits VALUES (2, '192.0.2.8', 'many')")
    assert project.load().counts() == (2, 1, 1, 0)
    assert project.duck("SELECT id, country FROM shop.visits") == [(1, "DE")]
    (reject,) = project.rejects()
    assert "192.0.2.8" not in str(reject) and "***" in reject["payload"]


@pytest.mark.parametrize("step, message, hint", [
    (geoip(column="page_no"), "no column 'page_no'", "its columns here"),
    (geoip(column="id"), "no text that could be an address", "text or inet"),
    (geoip(into="page"), "two columns 'page'", "names"),
    (geoip(database="none.mmdb"), "cannot be read: No such file", "MaxMind"),
    (geoip(database="penstock.yaml"), "cannot be read: The MaxMind DB file contains invalid metadata", "unpacked")])
def test_mistakes_are_told_where_they_stand(step, message, hint, database, project):
    write(project.folder / "geo.mmdb", {"192.0.2.0/24": known("AT")})
    database.execute(ADDRESSES)
    project.pipeline(database, WHOLE, INTO, steps=[step])
    refused = project.run("plan", expect=None)
    assert refused.code == 2 and message in refused.err and hint in refused.err and "penstock.yaml:" in refused.err


def test_a_damaged_database_ends_the_run(database, project):
    path = project.folder / "geo.mmdb"
    write(path, {f"192.0.{n}.0/24": known("AT", town=f"town {n}") for n in range(256)})
    whole = bytearray(path.read_bytes())
    data = whole.index(b"iso_code") - 20
    whole[data:data + 200] = b"\xff" * 200
    path.write_bytes(whole)
    database.execute(ADDRESSES + "; INSERT INTO visits SELECT n, ('192.0.' || n || '.1')::inet, '' FROM generate_series(0, 255) n")
    project.pipeline(database, WHOLE, INTO, steps=[geoip()])
    failed = project.run("run", "p", expect=None)
    assert failed.code == 1 and "geo.mmdb is damaged" in failed.err
