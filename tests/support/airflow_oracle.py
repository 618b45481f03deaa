"""Run by the Python that tools/servers/airflow installs: what a real Airflow makes of exported DAGs.

    airflow_oracle.py parse FOLDER…             {folder: {"errors", "dags": {id: {"tasks", "ends", …}}}}
    airflow_oracle.py run FOLDER DAG MOMENT …   [{"dag", "state", "tasks"}], one after the other, as `airflow dags test` does

The answer is JSON in the file that ANSWER names; what Airflow logs goes to where it always does.
"""

import json
import os
import sys
from pathlib import Path

import pendulum
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from airflow.utils.session import create_session
from sqlalchemy import select


def ends_after(dag, moment, count: int) -> list[str]:
    """When the scheduler would begin the next runs."""
    timetable = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).timetable
    ends, last = [], None
    while timetable.can_be_scheduled and len(ends) < count:
        info = timetable.next_dagrun_info(last_automated_data_interval=last,
                                          restriction=TimeRestriction(earliest=moment.subtract(days=2), latest=None, catchup=True))
        last = info.data_interval
        if info.run_after > moment:
            ends.append(info.run_after.in_timezone("UTC").isoformat())
    return ends


def described(dag) -> dict:
    tasks = {name: {"after": sorted(task.upstream_task_ids), "retries": task.retries, "pool": task.pool, "delay": task.retry_delay.total_seconds(),
                    "mapped": task.is_mapped, "priority": task.priority_weight} for name, task in dag.task_dict.items()}
    return {"tasks": tasks, "catchup": dag.catchup, "start": dag.start_date.isoformat(), "zone": str(dag.timezone),
            "ends": ends_after(dag, pendulum.parse("2026-11-20T00:00:00Z"), 5)}


def parse(folders: list[str]) -> dict:
    found = {}
    for folder in folders:
        bag = DagBag(folder)
        found[folder] = {"errors": bag.import_errors, "dags": {name: described(dag) for name, dag in bag.dags.items()}}
    return found


def decoded(value):
    """Airflow keeps what tasks push as JSON, and some of its own as plain text."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def xcoms(run) -> dict:
    with create_session() as session:
        rows = session.scalars(select(XComModel).where(XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id)).all()
        found = {}
        for row in rows:
            found.setdefault(row.task_id, {}).setdefault(row.key, {})[row.map_index] = decoded(row.value)
        return found


def run(folder: str, moments: list[str]) -> list[dict]:
    bag = DagBag(folder)
    assert not bag.import_errors, bag.import_errors
    runs = []
    for name, moment in zip(moments[::2], moments[1::2]):
        done = bag.dags[name].test(logical_date=pendulum.parse(moment))
        pushed = xcoms(done)
        tasks = [{"task": one.task_id, "index": one.map_index, "state": str(one.state), "tries": one.try_number,
                  "xcoms": {key: values.get(one.map_index) for key, values in pushed.get(one.task_id, {}).items()}}
                 for one in done.get_task_instances()]
        runs.append({"dag": name, "state": str(done.state), "tasks": tasks})
    return runs


answer = parse(sys.argv[2:]) if sys.argv[1] == "parse" else run(sys.argv[2], sys.argv[3:])
Path(os.environ["ANSWER"]).write_text(json.dumps(answer))
