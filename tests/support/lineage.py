"""OpenLineage's own Python classes, generated from its schema, as judges of events: a class refuses what its schema does not have."""

import json
import re
import uuid

import attr
from openlineage.client.generated import (base, column_lineage_dataset, data_quality_assertions_dataset, datasource_dataset,
                                          error_message_run, input_statistics_input_dataset, job_type_job, nominal_time_run,
                                          output_statistics_output_dataset, parent_run, processing_engine_run, schema_dataset,
                                          sql_job, tags_run)
from openlineage.client.serde import Serde

FACETS = {
    "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet, "dataQualityAssertions": data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    "dataSource": datasource_dataset.DatasourceDatasetFacet, "errorMessage": error_message_run.ErrorMessageRunFacet,
    "inputStatistics": input_statistics_input_dataset.InputStatisticsInputDatasetFacet, "jobType": job_type_job.JobTypeJobFacet,
    "nominalTime": nominal_time_run.NominalTimeRunFacet, "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "parent": parent_run.ParentRunFacet, "processing_engine": processing_engine_run.ProcessingEngineRunFacet,
    "schema": schema_dataset.SchemaDatasetFacet, "sql": sql_job.SQLJobFacet, "tags": tags_run.TagsRunFacet}
PARTS = {"assertions": data_quality_assertions_dataset.Assertion, "inputFields": column_lineage_dataset.InputField,
         "transformations": column_lineage_dataset.Transformation, "tags": tags_run.TagsRunFacetFields}
NUMBERS = {"rowCount", "size", "fileCount"}


def built(made, value: dict):
    """An object of a class out of JSON, its parts too. What the class does not know is a TypeError."""
    known = {field.name.lstrip("_"): field.name for field in attr.fields(made)}
    given = {}
    for name, one in value.items():
        if name == "_schemaURL":  # of the class, compared by its name
            continue
        assert name.lstrip("_") in known, f"{made.__name__} has no {name}"
        given[name.lstrip("_")] = [built(PARTS[name], each) for each in one] if name in PARTS else one
        if name in NUMBERS:
            assert isinstance(one, int) and not isinstance(one, bool) and one >= 0
    return made(**{known_name: given[known_name] for known_name in given})


def without_empty(value):
    """Lists and maps that a class adds where nothing was said."""
    if isinstance(value, dict):
        return {name: without_empty(one) for name, one in value.items() if one not in ([], {})}
    return [without_empty(one) for one in value] if isinstance(value, list) else value


def check_facets(facets: dict) -> None:
    for name, facet in facets.items():
        made = FACETS[name]
        assert facet["_schemaURL"] == made._get_schema(), name
        assert facet["_producer"].startswith("pkg:generic/penstock@")
        value = dict(facet)
        if name == "schema":
            value["fields"] = [built(schema_dataset.SchemaDatasetFacetFields, one) for one in facet["fields"]]
        if name == "columnLineage":
            value["fields"] = {column: built(column_lineage_dataset.Fields, one) for column, one in facet["fields"].items()}
        if name == "parent":
            uuid.UUID(facet["run"]["runId"])
            value["run"], value["job"] = parent_run.Run(**facet["run"]), parent_run.Job(**facet["job"])
        same = without_empty(Serde.to_dict(built(made, value)))
        assert same == facet, f"{name} is not what its class makes of it"


def check(event: dict) -> dict:
    """One event, whole."""
    assert set(event) <= {"eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["eventTime"])
    for facets in (event["run"]["facets"], event["job"].get("facets", {})):
        check_facets(facets)
    for side in ("inputs", "outputs"):
        for dataset in event.get(side, []):
            assert set(dataset) <= {"namespace", "name", "facets", side[:-1] + "Facets"}
            check_facets(dataset["facets"])
            check_facets(dataset.get(side[:-1] + "Facets", {}))
    made = base.RunEvent(eventTime=event["eventTime"], producer=event["producer"], eventType=base.EventType(event["eventType"]),
                         run=base.Run(runId=event["run"]["runId"]), job=base.Job(namespace=event["job"]["namespace"], name=event["job"]["name"]))
    assert event["schemaURL"] == made.schemaURL == base.RunEvent._get_schema()
    return event


def events_in(file) -> list[dict]:
    return [check(json.loads(line)) for line in file.read_text().splitlines()]


def run_uuid(run_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"penstock:run:{run_id}"))
