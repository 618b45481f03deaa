"""The stand-in's load jobs, judged with Google's client. Pages: "Loading Parquet data", "Loading JSON data", JobConfigurationLoad reference."""

import datetime
import io
import json
import urllib.error
import urllib.request
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud import bigquery as bq

UTC = datetime.timezone.utc


@pytest.fixture
def load(client):
    def load(table, data, lists=True, **settings):
        config = bq.LoadJobConfig(**settings)
        if isinstance(data, pa.Table):
            config.source_format = "PARQUET"
            options = bq.ParquetOptions()
            options.enable_list_inference = lists
            config.parquet_options = options
            file = io.BytesIO()
            pq.write_table(data, file, row_group_size=1000)
        else:
            config.source_format = "NEWLINE_DELIMITED_JSON"
            file = io.BytesIO(data.encode())
        file.seek(0)
        return client.load_table_from_file(file, table, job_config=config).result()

    return load


def rows(client, table):
    return [dict(row) for row in client.list_rows(client.get_table(table))]


def refused(load, table, data, message, **options):
    with pytest.raises(exceptions.GoogleAPICallError, match=message) as error:
        load(table, data, **options)
    assert error.value.errors[0]["reason"] in ("invalid", "notFound", "duplicate")


def test_parquet_columns_meet_by_name(client, load, make_table):
    table = make_table(("a", "INT64"), ("b", "STRING"), ("c", "DATE"))
    job = load(table, pa.table({"B": ["x", None], "a": pa.array([1, 2], pa.int32())}))
    assert job.output_rows == 2 and job.input_files == 1
    assert rows(client, table) == [{"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": None}]


@pytest.mark.parametrize("kind, values, message", [
    ("INT64", pa.array(["1"]), "Field x has changed type from INTEGER to STRING"), ("STRING", pa.array([1]), "from STRING to INTEGER"),
    ("INT64", pa.array([1.5]), "from INTEGER to FLOAT"), ("TIMESTAMP", pa.array([1], pa.timestamp("us")), "from TIMESTAMP to DATETIME"),
    ("DATETIME", pa.array([1], pa.timestamp("us", "UTC")), "from DATETIME to TIMESTAMP"), ("NUMERIC", pa.array([1]), "from NUMERIC to INTEGER"),
    ("BYTES", pa.array(["a"]), "from BYTES to STRING"), ("STRING", pa.array([["a"]]), "Field x has changed mode")])
def test_parquet_types_must_match(client, load, make_table, kind, values, message):
    table = make_table(("x", kind))
    refused(load, table, pa.table({"x": values}), message)
    assert rows(client, table) == []


def test_parquet_of_every_type(client, load, make_table):
    table = make_table(("b", "BOOL"), ("i", "INT64"), ("f", "FLOAT64"), ("s", "STRING"), ("y", "BYTES"), ("d", "DATE"), ("t", "TIME"), ("dt", "DATETIME"),
                       ("ts", "TIMESTAMP"), ("n", "NUMERIC"), ("j", "JSON"), ("bn", "BIGNUMERIC"), ("l", "INT64", "REPEATED"),
                       bq.SchemaField("r", "RECORD", "REPEATED", fields=[bq.SchemaField("k", "STRING"), bq.SchemaField("v", "BIGNUMERIC")]))
    big = Decimal("12345678901234567890123456789012345678.5")
    values = {"b": True, "i": 2**63 - 1, "f": float("inf"), "s": "ü", "y": b"\0", "d": datetime.date(9999, 12, 31), "t": datetime.time(1, 2, 3, 4),
              "dt": datetime.datetime(1, 1, 1), "ts": datetime.datetime(2024, 1, 1, tzinfo=UTC), "n": Decimal("1.5"), "j": '{"a": 1}', "bn": big,
              "l": [1, 2], "r": [{"k": "a", "v": Decimal("-0.5")}]}
    schema = pa.schema([("b", pa.bool_()), ("i", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("y", pa.binary()), ("d", pa.date32()), ("t", pa.time64("us")),
                        ("dt", pa.timestamp("us")), ("ts", pa.timestamp("us", "UTC")), ("n", pa.decimal128(38, 9)), ("j", pa.string()),
                        ("bn", pa.decimal256(76, 38)), ("l", pa.list_(pa.int64())),
                        ("r", pa.list_(pa.struct([("k", pa.string()), ("v", pa.decimal256(76, 38))])))])
    empty = {**dict.fromkeys(values), "l": [], "r": []}
    load(table, pa.Table.from_pylist([values, {**empty, "l": None}], schema), decimal_target_types=["NUMERIC", "BIGNUMERIC"])
    assert rows(client, table) == [{**values, "j": {"a": 1}}, empty]
    refused(load, table, pa.table({"bn": pa.array([big], pa.decimal256(76, 38))}), "from BIGNUMERIC to NUMERIC")
    refused(load, table, pa.table({"l": pa.array([[1, None]])}), "null element")


def test_lists_without_inference_are_groups(client, load):
    table = f"{client.project}.ds.made"
    load(table, pa.table({"x": pa.array([[1, 2]])}), lists=False)
    (field,) = client.get_table(table).schema
    assert field.field_type == "RECORD" and field.fields[0].name == "list" and field.fields[0].mode == "REPEATED"
    assert rows(client, table) == [{"x": {"list": [{"element": 1}, {"element": 2}]}}]
    refused(load, table, pa.table({"x": pa.array([[1, 2]])}), "Field x has changed type")


def test_required_columns(client, load, make_table):
    table = make_table(("a", "INT64", "REQUIRED"), ("b", "STRING"))
    refused(load, table, pa.table({"a": pa.array([1, None])}), "Required field a cannot be null")
    refused(load, table, pa.table({"b": ["x"]}), "Field a is missing in new schema")
    load(table, pa.table({"a": pa.array([1])}))
    assert rows(client, table) == [{"a": 1, "b": None}]


@pytest.mark.parametrize("kind, values", [("DATE", pa.array([-719163], pa.int32()).cast(pa.date32())), ("DATE", pa.array([2932897], pa.int32()).cast(pa.date32())),
                                          ("DATETIME", pa.array([253402300800_000_000], pa.timestamp("us"))),
                                          ("TIMESTAMP", pa.array([-62135596800_000_001], pa.timestamp("us", "UTC")))])
def test_dates_are_of_the_years_1_to_9999(client, load, make_table, kind, values):
    table = make_table(("x", kind))
    refused(load, table, pa.table({"x": values}), f"Invalid {kind.lower()} value of field x")
    assert rows(client, table) == []


def test_schema_update_options(client, load, make_table):
    table = make_table(("a", "INT64", "REQUIRED"))
    wider = pa.table({"a": pa.array([1]), "b": ["x"]})
    refused(load, table, wider, "Cannot add fields \\(field: b\\)")
    load(table, wider, write_disposition="WRITE_APPEND", schema_update_options=["ALLOW_FIELD_ADDITION"])
    assert [(field.name, field.mode) for field in client.get_table(table).schema] == [("a", "REQUIRED"), ("b", "NULLABLE")]
    loose = [bq.SchemaField("a", "INT64"), bq.SchemaField("b", "STRING")]
    refused(load, table, wider, "has changed mode from REQUIRED to NULLABLE", schema=loose)
    load(table, pa.table({"a": pa.array([None], pa.int64()), "b": ["y"]}), schema=loose, write_disposition="WRITE_APPEND",
         schema_update_options=["ALLOW_FIELD_RELAXATION"])
    assert client.get_table(table).schema[0].mode == "NULLABLE"
    assert rows(client, table) == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]
    refused(load, table, wider, "Schema update options should only be specified with", write_disposition="WRITE_EMPTY",
            schema_update_options=["ALLOW_FIELD_ADDITION"])


def test_dispositions(client, load, make_table):
    table = make_table(("a", "INT64"))
    load(table, pa.table({"a": [1]}))
    refused(load, table, pa.table({"a": [2]}), "Already Exists", write_disposition="WRITE_EMPTY")
    load(table, pa.table({"a": [3], "b": ["new"]}), write_disposition="WRITE_TRUNCATE")
    assert rows(client, table) == [{"a": 3, "b": "new"}]
    refused(load, f"{client.project}.ds.none", pa.table({"a": [2]}), "Not found: Table", create_disposition="CREATE_NEVER")
    load(f"{client.project}.ds.some", pa.table({"at": pa.array([1], pa.timestamp("us", "UTC"))}), time_partitioning=bq.TimePartitioning(field="at"),
         clustering_fields=["at"], destination_table_description="made by a load")
    made = client.get_table("ds.some")
    assert made.time_partitioning.field == "at" and made.clustering_fields == ["at"] and made.description == "made by a load"
    refused(load, f"{client.project}.nowhere.t", pa.table({"a": [2]}), "Not found: Dataset")


def test_partitions_of_a_load_are_limited(client, load, make_table):
    table = make_table(("d", "DATE"), time_partitioning=bq.TimePartitioning(field="d"))
    refused(load, table, pa.table({"d": pa.array(range(4001), pa.int32()).cast(pa.date32())}), "allowed 4000")
    load(table, pa.table({"d": pa.array(range(4000), pa.int32()).cast(pa.date32())}))


def test_json_lines(client, load, make_table):
    table = make_table(("id", "INT64", "REQUIRED"), ("at", "TIMESTAMP"), ("n", "NUMERIC"), ("d", "DATE"), ("raw", "BYTES"), ("j", "JSON"), ("dt", "DATETIME"),
                       ("t", "TIME"), bq.SchemaField("items", "RECORD", "REPEATED", fields=[bq.SchemaField("k", "STRING")]))
    load(table, '{"id": "1", "at": "2024-01-01T00:00:00.5Z", "n": "1.5", "d": "2024-01-02", "raw": "AAE=", "j": {"a": [1]}, "dt": "2024-01-02 03:04:05",'
         ' "t": "03:04:05", "items": [{"k": "x"}, {}]}\n{"id": 2, "at": 1704067200.25}\n')
    assert rows(client, table) == [
        {"id": 1, "at": datetime.datetime(2024, 1, 1, 0, 0, 0, 500000, UTC), "n": Decimal("1.5"), "d": datetime.date(2024, 1, 2), "raw": b"\0\1", "j": {"a": [1]},
         "dt": datetime.datetime(2024, 1, 2, 3, 4, 5), "t": datetime.time(3, 4, 5), "items": [{"k": "x"}, {"k": None}]},
        {"id": 2, "at": datetime.datetime(2024, 1, 1, 0, 0, 0, 250000, UTC), "n": None, "d": None, "raw": None, "j": None, "dt": None, "t": None, "items": []}]
    for bad, message in (('{"id": 3, "more": 1}', "No such field: more"), ('{"at": "2024-01-01"}', "Missing required field: id"), ('{"id": "x"}', "Could not convert"),
                         ('{"id": 3, "n": "0.0000000001"}', "Could not convert"), ('{"id": 3', "JSON parsing error")):
        with pytest.raises(exceptions.BadRequest) as error:
            load(table, bad)
        assert message in str(error.value), (bad, error.value.errors)
    assert load(table, '{"id": 3}\n{"id": "x"}\n', max_bad_records=1).output_rows == 1
    load(table, '{"id": 4, "more": 1}', ignore_unknown_values=True)
    assert sorted(row["id"] for row in rows(client, table)) == [1, 2, 3, 4]


def test_resumable_upload_goes_on_where_it_stopped(bigquery, client, make_table):
    table = make_table(("a", "STRING"))
    line = json.dumps({"a": "x" * 1000}).encode() + b"\n"
    data = line * 1000
    body = {"configuration": {"load": {"sourceFormat": "NEWLINE_DELIMITED_JSON", "destinationTable": {
        "projectId": "stand-in", "datasetId": "ds", "tableId": table.split(".")[-1]}}}, "jobReference": {"projectId": "stand-in", "jobId": "upload"}}
    start = urllib.request.Request(f"{bigquery.endpoint}/upload/bigquery/v2/projects/stand-in/jobs?uploadType=resumable", json.dumps(body).encode(),
                                   {"Content-Type": "application/json"})
    location = urllib.request.urlopen(start).headers["Location"]

    def put(part, first, total):
        where = f"bytes {first}-{first + len(part) - 1}/{total}" if part else f"bytes */{total}"
        request = urllib.request.Request(location, part, {"Content-Range": where}, method="PUT")
        try:
            answer = urllib.request.urlopen(request)
            return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    chunk = 256 * 1024
    assert put(data[:chunk], 0, "*")[0] == 308
    status, headers, _ = put(b"", 0, len(data))
    assert status == 308 and headers["Range"] == f"bytes=0-{chunk - 1}"
    assert put(data[chunk:chunk + 1000], chunk, "*")[0] == 400, "chunks but the last are multiples of 256 KiB"
    assert put(data[:2 * chunk], 0, "*")[0] == 308, "what came twice counts once"
    status, _, answer = put(data[2 * chunk:], 2 * chunk, len(data))
    assert status == 200 and json.loads(answer)["jobReference"]["jobId"] == "upload"
    assert put(b"", 0, len(data))[0] == 200, "a lost answer can be asked again"
    assert client.get_job("upload").result().output_rows == 1000
    assert client.get_table(table).num_rows == 1000
