"""The stand-in's Storage Write and Read API, judged with Google's client. Pages: "Storage Write API", "Storage Read API"."""

import datetime
import threading
import time
from decimal import Decimal

import pyarrow as pa
import pytest
from google.api_core import exceptions
from google.cloud import bigquery as bq
from google.cloud.bigquery_storage_v1 import types

from .appender import Appender, T, descriptor, path_of

UTC = datetime.timezone.utc


@pytest.fixture
def writer(bigquery):
    return bigquery.writer()


@pytest.fixture
def reader(bigquery):
    return bigquery.reader()


def ids(client, table):
    return sorted(row.id for row in client.list_rows(table))


FLAT = [("id", T.TYPE_INT64), ("name", T.TYPE_STRING)]


@pytest.fixture
def flat(make_table):
    return make_table(("id", "INT64"), ("name", "STRING"))


def stream_of(writer, table, kind):
    return writer.create_write_stream(parent=path_of(table), write_stream=types.WriteStream(type_=kind))


def test_default_stream_shows_rows_at_once_and_takes_no_offset(client, writer, flat):
    appender = Appender(writer, path_of(flat) + "/streams/_default", descriptor(FLAT))
    first, second = appender.send(([{"id": 1}, {"id": 2, "name": "b"}],), ([{"id": 3}],))
    assert not first.error.code and "offset" not in first.append_result and not second.error.code
    assert [tuple(row) for row in client.query(f"SELECT * FROM {flat} ORDER BY id").result()] == [(1, None), (2, "b"), (3, None)]
    (refused,) = appender.send(([{"id": 9}], 0))
    assert refused.error.code == 3
    assert ids(client, flat) == [1, 2, 3]


def test_offsets_of_committed_stream(client, writer, flat):
    stream = stream_of(writer, flat, "COMMITTED")
    assert [field.name for field in stream.table_schema.fields] == ["id", "name"]
    appender = Appender(writer, stream.name, descriptor(FLAT))
    answers = appender.send(([{"id": 1}, {"id": 2}], 0), ([{"id": 3}], 2), ([{"id": 3}], 2), ([{"id": 9}], 7), ([{"id": 4}], 3))
    assert [answer.error.code for answer in answers] == [0, 0, 6, 11, 0]
    assert [answer.append_result.offset for answer in answers if not answer.error.code] == [0, 2, 3]
    detail = types.StorageError.pb()()
    assert answers[2].error.details[0].Unpack(detail) and detail.code == types.StorageError.StorageErrorCode.OFFSET_ALREADY_EXISTS
    assert ids(client, flat) == [1, 2, 3, 4]
    assert writer.finalize_write_stream(name=stream.name).row_count == 4
    (late,) = appender.send(([{"id": 5}], 4))
    assert late.error.code == 3 and late.error.details[0].Unpack(detail) and detail.code == types.StorageError.StorageErrorCode.STREAM_FINALIZED


def test_pending_streams_commit_together_and_once(client, writer, flat):
    streams = [stream_of(writer, flat, "PENDING") for _ in range(2)]
    for number, stream in enumerate(streams):
        Appender(writer, stream.name, descriptor(FLAT)).send(([{"id": number * 10 + 1}], 0), ([{"id": number * 10 + 2}], 1))
    names = [stream.name for stream in streams]
    writer.finalize_write_stream(name=names[0])
    early = writer.batch_commit_write_streams({"parent": path_of(flat), "write_streams": names})
    assert [error.code.name for error in early.stream_errors] == ["INVALID_STREAM_STATE"] and not early.commit_time
    assert ids(client, flat) == []
    writer.finalize_write_stream(name=names[1])
    done = writer.batch_commit_write_streams({"parent": path_of(flat), "write_streams": names})
    assert done.commit_time and not done.stream_errors
    assert ids(client, flat) == [1, 2, 11, 12]
    again = writer.batch_commit_write_streams({"parent": path_of(flat), "write_streams": names})
    assert {error.code.name for error in again.stream_errors} == {"STREAM_ALREADY_COMMITTED"}
    assert ids(client, flat) == [1, 2, 11, 12]


def test_buffered_stream_shows_what_is_flushed(client, writer, flat):
    stream = stream_of(writer, flat, "BUFFERED")
    Appender(writer, stream.name, descriptor(FLAT)).send(([{"id": 1}, {"id": 2}, {"id": 3}], 0), ([{"id": 4}], 3))
    assert ids(client, flat) == []
    assert writer.flush_rows({"write_stream": stream.name, "offset": 1}).offset == 1
    assert ids(client, flat) == [1, 2]
    with pytest.raises(exceptions.OutOfRange):
        writer.flush_rows({"write_stream": stream.name, "offset": 4})
    writer.flush_rows({"write_stream": stream.name, "offset": 3})
    assert ids(client, flat) == [1, 2, 3, 4]


NESTED = [bq.SchemaField("id", "INT64", "REQUIRED"), bq.SchemaField("items", "RECORD", "REPEATED", fields=[
    bq.SchemaField("sku", "STRING"), bq.SchemaField("price", "NUMERIC"), bq.SchemaField("tags", "STRING", "REPEATED")]),
    bq.SchemaField("address", "RECORD", fields=[bq.SchemaField("city", "STRING")])]
ROW = {"id": 7, "items": [{"sku": "a", "price": Decimal("1.25"), "tags": ["x", "y"]}, {"sku": None, "price": None, "tags": []}], "address": {"city": "Oslo"}}


def test_nested_rows_as_protocol_buffers(client, writer, make_table):
    table = make_table(*NESTED)
    made = descriptor([("id", T.TYPE_INT64), ("items", [("sku", T.TYPE_STRING), ("price", T.TYPE_STRING), ("tags", T.TYPE_STRING, True)], True),
                       ("address", [("city", T.TYPE_STRING)])])
    appender = Appender(writer, path_of(table) + "/_default", made)
    (answer,) = appender.send(([{"id": 7, "items": [{"sku": "a", "price": "1.25", "tags": ["x", "y"]}, {}], "address": {"city": "Oslo"}}],))
    assert not answer.error.code, answer
    assert [dict(row) for row in client.list_rows(table)] == [ROW]
    (bad,) = appender.send(([{"id": 8}, {"items": [{"price": "1.25"}]}, {"id": 9, "items": [{"price": "much"}]}],))
    assert bad.error.code == 3 and [error.index for error in bad.row_errors] == [1, 2]
    assert len(list(client.list_rows(table))) == 1


def test_nested_rows_as_arrow(client, writer, make_table):
    table = make_table(*NESTED)
    item = pa.struct([("sku", pa.string()), ("price", pa.decimal128(10, 2)), ("tags", pa.list_(pa.string()))])
    schema = pa.schema([("id", pa.int64()), ("items", pa.list_(item)), ("address", pa.struct([("city", pa.string())]))])
    stream = stream_of(writer, table, "COMMITTED")
    (answer,) = Appender(writer, stream.name, schema=schema).send(([ROW], 0))
    assert not answer.error.code, answer
    assert [dict(row) for row in client.list_rows(table)] == [ROW]
    wrong = pa.schema([("id", pa.string())])
    (refused,) = Appender(writer, stream.name, schema=wrong).send(([{"id": "7"}], 1))
    assert refused.error.code == 3 and "root.id" in refused.error.message
    (null,) = Appender(writer, stream.name, schema=pa.schema([("id", pa.int64())])).send(([{"id": None}], 1))
    assert null.error.code == 3 and "id" in null.error.message


EVERY = [bq.SchemaField("b", "BOOL"), bq.SchemaField("by", "BYTES"), bq.SchemaField("d", "DATE"), bq.SchemaField("dt", "DATETIME"), bq.SchemaField("t", "TIME"),
         bq.SchemaField("ts", "TIMESTAMP"), bq.SchemaField("f", "FLOAT64"), bq.SchemaField("n", "NUMERIC"), bq.SchemaField("bn", "BIGNUMERIC"),
         bq.SchemaField("j", "JSON"), bq.SchemaField("g", "GEOGRAPHY")]
BIG = Decimal("-12345678901234567890123456789012345678.12345678901234567890123456789012345678")
VALUES = {"b": True, "by": b"\0\xff", "d": datetime.date(1, 1, 1), "dt": datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
          "t": datetime.time(23, 59, 59, 999999), "ts": datetime.datetime(1, 1, 1, tzinfo=UTC), "f": -0.0, "n": Decimal("-99999999999999999999999999999.999999999"),
          "bn": BIG, "j": {"a": [1, None]}, "g": "POINT(1 2)"}


def test_every_type_as_protocol_buffers(client, writer, make_table):
    table = make_table(*EVERY)
    made = descriptor([("b", T.TYPE_BOOL), ("by", T.TYPE_BYTES), ("d", T.TYPE_INT32), ("dt", T.TYPE_INT64), ("t", T.TYPE_INT64), ("ts", T.TYPE_INT64),
                       ("f", T.TYPE_DOUBLE), ("n", T.TYPE_BYTES), ("bn", T.TYPE_BYTES), ("j", T.TYPE_STRING), ("g", T.TYPE_STRING)])
    clock = 23 << 32 | 59 << 26 | 59 << 20 | 999999
    little = lambda value, scale: int(value.scaleb(scale)).to_bytes(40, "little", signed=True)
    import decimal

    with decimal.localcontext() as context:
        context.prec = 100
        row = {"b": True, "by": b"\0\xff", "d": -719162, "dt": 9999 << 46 | 12 << 42 | 31 << 37 | clock, "t": clock, "ts": -62135596800000000, "f": -0.0,
               "n": little(VALUES["n"], 9), "bn": little(BIG, 38), "j": '{"a": [1, null]}', "g": "POINT(1 2)"}
    (answer,) = Appender(writer, path_of(table) + "/_default", made).send(([row, {}],))
    assert not answer.error.code, answer
    full, empty = [dict(row) for row in client.list_rows(table)]
    assert full == VALUES and str(full["f"]) == "-0.0"
    assert set(empty.values()) == {None}


def test_every_type_by_arrow_and_back(client, writer, reader, make_table):
    table = make_table(*EVERY, bq.SchemaField("l", "DATE", "REPEATED"))
    schema = pa.schema([("b", pa.bool_()), ("by", pa.binary()), ("d", pa.date32()), ("dt", pa.timestamp("us")), ("t", pa.time64("us")),
                        ("ts", pa.timestamp("us", "UTC")), ("f", pa.float64()), ("n", pa.decimal128(38, 9)), ("bn", pa.decimal256(76, 38)), ("j", pa.string()),
                        ("g", pa.string()), ("l", pa.list_(pa.date32()))])
    values = {**VALUES, "l": [datetime.date(2024, 2, 29)]}
    empty = {**dict.fromkeys(values), "l": []}
    (answer,) = Appender(writer, path_of(table) + "/_default", schema=schema).send(([{**values, "j": '{"a": [1, null]}'}, empty],))
    assert not answer.error.code, answer
    assert [dict(row) for row in client.list_rows(table)] == [values, empty]
    session = reader.create_read_session(parent="projects/stand-in", read_session=types.ReadSession(table=path_of(table), data_format="ARROW"), max_stream_count=1)
    (full, none) = reader.read_rows(session.streams[0].name).to_arrow(session).to_pylist()
    assert none == empty and {**full, "j": VALUES["j"]} == values and full["j"] == '{"a":[1,null]}'


def test_unknown_fields_and_missing_required_columns_are_refused(client, writer, make_table):
    table = make_table(("id", "INT64", "REQUIRED"), ("name", "STRING"))
    (extra,) = Appender(writer, path_of(table) + "/_default", descriptor([*FLAT, ("more", T.TYPE_STRING)])).send(([{"id": 1}],))
    detail = types.StorageError.pb()()
    assert extra.error.code == 3 and extra.error.details[0].Unpack(detail)
    assert detail.code == types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS
    (missing,) = Appender(writer, path_of(table) + "/_default", descriptor(FLAT[1:])).send(([{"name": "x"}],))
    assert missing.error.code == 3 and "id" in missing.error.message
    (wrong,) = Appender(writer, path_of(table) + "/_default", descriptor([("id", T.TYPE_STRING)])).send(([{"id": "1"}],))
    assert wrong.error.code == 3 and "root.id" in wrong.error.message


def test_schema_lag_then_update_is_announced(bigquery, client, writer, flat):
    bigquery.lag(write=1.5)
    client.query(f"ALTER TABLE {flat} ADD COLUMN more STRING").result()
    appender = Appender(writer, path_of(flat) + "/_default", descriptor([*FLAT, ("more", T.TYPE_STRING)]))
    (early,) = appender.send(([{"id": 1}],))
    assert early.error.code == 3
    narrow = Appender(writer, path_of(flat) + "/_default", descriptor(FLAT))

    def requests():
        yield narrow.request([{"id": 1}])
        time.sleep(1.7)
        yield narrow.request([{"id": 2}], first=False)

    first, second = writer.append_rows(requests())
    assert not first.updated_schema.fields and [field.name for field in second.updated_schema.fields] == ["id", "name", "more"]
    (late,) = appender.send(([{"id": 3, "more": "x"}],))
    assert not late.error.code
    assert [(row.id, row.more) for row in client.query(f"SELECT id, more FROM {flat} ORDER BY id").result()] == [(1, None), (2, None), (3, "x")]


def test_new_table_is_not_found_while_metadata_lags(bigquery, writer, flat):
    bigquery.lag(create=60)
    with pytest.raises(exceptions.NotFound):
        stream_of(writer, flat, "PENDING")
    bigquery.lag(create=0)
    stream_of(writer, flat, "PENDING")


CHANGES = [("id", T.TYPE_INT64), ("name", T.TYPE_STRING), ("_CHANGE_TYPE", T.TYPE_STRING), ("_CHANGE_SEQUENCE_NUMBER", T.TYPE_STRING)]


def test_upserts_and_deletes_by_primary_key(client, writer, flat, make_table):
    table = make_table(("id", "INT64"), ("name", "STRING"), key=["id"])
    appender = Appender(writer, path_of(table) + "/_default", descriptor(CHANGES))
    appender.send(([{"id": 1, "name": "a", "_CHANGE_TYPE": "UPSERT"}, {"id": 2, "name": "b", "_CHANGE_TYPE": "UPSERT"},
                    {"id": 1, "name": "c", "_CHANGE_TYPE": "UPSERT"}],), ([{"id": 2, "_CHANGE_TYPE": "DELETE"}, {"id": 3, "name": "d", "_CHANGE_TYPE": "UPSERT"}],))
    assert sorted((row.id, row.name) for row in client.list_rows(table)) == [(1, "c"), (3, "d")]
    later, earlier = {"_CHANGE_TYPE": "UPSERT", "_CHANGE_SEQUENCE_NUMBER": "F/0"}, {"_CHANGE_TYPE": "DELETE", "_CHANGE_SEQUENCE_NUMBER": "A/FF"}
    appender.send(([{"id": 1, "name": "late", **later}],), ([{"id": 1, **earlier}],))
    assert sorted((row.id, row.name) for row in client.list_rows(table)) == [(1, "late"), (3, "d")]
    (wrong,) = appender.send(([{"id": 1, "_CHANGE_TYPE": "INSERT"}],))
    assert wrong.error.code == 3
    (no_key,) = Appender(writer, path_of(flat) + "/_default", descriptor(CHANGES)).send(([{"id": 1, "_CHANGE_TYPE": "UPSERT"}],))
    assert no_key.error.code == 3 and "primary key" in no_key.error.message
    stream = stream_of(writer, table, "COMMITTED")
    (not_default,) = Appender(writer, stream.name, descriptor(CHANGES)).send(([{"id": 1, "_CHANGE_TYPE": "UPSERT"}], 0))
    assert not_default.error.code == 3
    with pytest.raises(exceptions.BadRequest):
        client.query(f"DELETE FROM {table} WHERE id = 1", job_retry=None).result()


def test_arrow_upserts(client, writer, make_table):
    table = make_table(("id", "INT64"), ("name", "STRING"), key=["id"])
    schema = pa.schema([("id", pa.int64()), ("name", pa.string()), ("_CHANGE_TYPE", pa.string())])
    appender = Appender(writer, path_of(table) + "/_default", schema=schema)
    answers = appender.send(([{"id": 1, "name": "a", "_CHANGE_TYPE": "UPSERT"}, {"id": 2, "name": "b", "_CHANGE_TYPE": "UPSERT"}],),
                            ([{"id": 1, "_CHANGE_TYPE": "DELETE"}],))
    assert not any(answer.error.code for answer in answers), answers
    assert [(row.id, row.name) for row in client.list_rows(table)] == [(2, "b")]


def test_lost_answer_of_an_append_is_found_by_its_offset(bigquery, client, writer, flat):
    stream = stream_of(writer, flat, "COMMITTED")
    appender = Appender(writer, stream.name, descriptor(FLAT))
    bigquery.fault("AppendRows", "lost", calls=[1])
    with pytest.raises(exceptions.ServiceUnavailable):
        appender.send(([{"id": 1}], 0))
    (again,) = appender.send(([{"id": 1}], 0))
    assert again.error.code == 6
    assert ids(client, flat) == [1]


def test_too_large_requests_are_refused(writer, flat):
    (answer,) = Appender(writer, path_of(flat) + "/_default", descriptor(FLAT)).send(([{"name": "x" * 20_000_000}],))
    assert answer.error.code == 3 and "too large" in answer.error.message


def rows_of(reader, table, streams=1, **options):
    session = reader.create_read_session(parent="projects/stand-in", max_stream_count=streams,
                                         read_session=types.ReadSession(table=path_of(table), data_format="ARROW", read_options=options or None))
    return session, [reader.read_rows(stream.name).to_arrow(session).to_pylist() for stream in session.streams]


def test_read_sessions(client, reader, make_table):
    table = make_table(("id", "INT64"), ("day", "DATE"), bq.SchemaField("s", "RECORD", fields=[bq.SchemaField("a", "STRING"), bq.SchemaField("b", "INT64")]))
    assert not reader.create_read_session(parent="projects/stand-in", read_session=types.ReadSession(table=path_of(table), data_format="ARROW")).streams
    client.query(f"INSERT INTO {table} SELECT x, DATE '2024-01-01', STRUCT(CAST(x AS STRING) AS a, x AS b) FROM UNNEST(GENERATE_ARRAY(1, 25000)) x").result()
    session, streams = rows_of(reader, table, 3)
    assert len(streams) == 3 and session.estimated_row_count == 25000
    assert sorted(row["id"] for rows in streams for row in rows) == list(range(1, 25001))
    _, ((row,),) = rows_of(reader, table, selected_fields=["s.a", "id"], row_restriction="id > 24999 AND day = DATE '2024-01-01'")
    assert row == {"id": 25000, "s": {"a": "25000"}}
    late = reader.read_rows(session.streams[0].name, offset=8000).to_arrow(session)
    assert late.num_rows == len(streams[0]) - 8000 and late.column("id")[0].as_py() == streams[0][8000]["id"]
    with pytest.raises(exceptions.InvalidArgument):
        rows_of(reader, table, selected_fields=["nothing"])
    with pytest.raises(exceptions.InvalidArgument):
        rows_of(reader, table, row_restriction="nothing = 1")
    # A session is a snapshot.
    client.query(f"TRUNCATE TABLE {table}").result()
    assert reader.read_rows(session.streams[1].name).to_arrow(session).num_rows == len(streams[1])


def test_rows_appended_while_others_are_merged_are_there_once(bigquery, client, writer, flat):
    appender = Appender(writer, path_of(flat) + "/_default", descriptor(FLAT))
    appender.send(([{"id": 0, "name": "old"}],))
    stop, sent = threading.Event(), []

    def append():
        while not stop.is_set():
            sent.append(len(sent) + 1)
            appender.send(([{"id": sent[-1], "name": "new"}],))

    thread = threading.Thread(target=append)
    thread.start()
    for _ in range(8):
        client.query(f"MERGE {flat} T USING (SELECT 0 AS id) S ON T.id = S.id WHEN MATCHED THEN UPDATE SET name = CONCAT(T.name, 'x')").result()
    stop.set()
    thread.join()
    found = sorted((row.id, row.name) for row in client.list_rows(flat))
    assert found == [(0, "old" + "x" * 8), *((number, "new") for number in sent)] and len(sent) > 5


def test_declared_decimals_keep_their_precision_in_arrow(client, reader, make_table):
    """Storage Read API page, "Arrow schema details": NUMERIC(P, S) and BIGNUMERIC(P, S)."""
    table = make_table(("n", "NUMERIC"), ("b", "BIGNUMERIC"))
    client.query(f"ALTER TABLE {table} ADD COLUMN np NUMERIC(10, 2), ADD COLUMN bp BIGNUMERIC(20, 15)").result()
    client.query(f"INSERT INTO {table} (n, b, np, bp) VALUES (1.5, BIGNUMERIC '1.5', 12345678.91, BIGNUMERIC '12345.123456789012345')").result()
    session = reader.create_read_session(parent="projects/stand-in", max_stream_count=1,
                                         read_session=types.ReadSession(table=path_of(table), data_format="ARROW"))
    read = reader.read_rows(session.streams[0].name).to_arrow(session)
    assert [field.type for field in read.schema] == [pa.decimal128(38, 9), pa.decimal256(76, 38), pa.decimal128(10, 2), pa.decimal256(20, 15)]
    assert [str(value) for value in read.to_pylist()[0].values()] == ["1.500000000", "1.5" + "0" * 37, "12345678.91", "12345.123456789012345"]
