#include "app/export/airflow_program.h"

namespace penstock::app {

const std::string_view airflow_program =
    R"PYTHON("""The schedules of penstock.yaml as DAGs of Airflow 3, written by `penstock export airflow`: change the configuration
and export it again, not this file.

Each task is one `penstock run` of a pipeline for the data interval of its DAG run. The program has to be on the workers, with the
configuration at the same path and the variables that it refers to; PENSTOCK_BIN and PENSTOCK_FILE name other places.
A task's result is what its runs counted, and the XCom `runs` has each of them, also of a task that failed. A run that fails is tried
again as the pipeline's `retries` say, unless another try could mend nothing."""

import ctypes
import glob
import http.client
import json
import logging
import os
import re
import signal
import subprocess
import tempfile
import threading
import urllib.request
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, BaseOperator, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRescheduleException, AirflowSkipException
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable

@POOLS@PROGRAM = os.environ.get("PENSTOCK_BIN", "penstock")
CONFIGURATION = os.environ.get("PENSTOCK_FILE", @FILE@)
# Of exit codes: 2 is a mistake in the configuration, 3 a check that found something, 4 a budget that is spent.
HOPELESS = (2, 3, 4)
COUNTS = ("rows_read", "rows_written", "rows_rejected", "rows_filtered", "bytes_billed")
GRACE_SECONDS = 30
LEASE_SECONDS = 240  # what a worker that is gone has locked is free by then
REFERENCE = re.compile(r"\$\$\{|\$\{(?:file:(?P<file>[^}]*)|(?P<name>\w+)(?::-(?P<default>[^}]*))?)\}")
LIBC = ctypes.CDLL(None)
DAGS = json.loads(r"""[
@DAGS@
]""")
DAG_OF = {pipeline["name"]: dag for dag in DAGS for pipeline in dag["pipelines"]}


def moment(time):
    return time.in_timezone("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


def interval(context):
    """The data interval of the run, in UTC; None of a run by hand that has none."""
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is None or end is None or start >= end:
        return None
    return pendulum.instance(start), pendulum.instance(end)


def end_with_parent():
    """In the child: a worker that is killed takes its run with it (PR_SET_PDEATHSIG)."""
    LIBC.prctl(1, int(signal.SIGTERM))


class PenstockRun(BaseOperator):
    """One run; of several that share a stream of events, which divides itself among them, the one with the number `shard`."""

    def __init__(self, *, pipeline, shard=None, **options):
        super().__init__(**options)
        self.pipeline = pipeline
        self.shard = shard
        self.process = None

    def command(self, context):
        words = [PROGRAM, "--file", CONFIGURATION, "--output", "json", "--log-format", "json", "run", self.pipeline["name"], "--drain", "--wait", str(LEASE_SECONDS)]
        if between := interval(context):
            start, end = map(moment, between)
            words += ["--window", f"{start}/{end}"]
            # A run on schedule goes on from its checkpoint; a backfill reads its own interval and leaves the checkpoint.
            run_type = getattr(context["dag_run"], "run_type", "")
            if self.pipeline["bounds_cursor"] and getattr(run_type, "value", run_type) == "backfill":
                words += ["--from", start, "--to", end]
        return words

    def execute(self, context):
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as answer:
            self.process = subprocess.Popen(
                self.command(context), stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.PIPE, encoding="utf-8",
                errors="replace", preexec_fn=end_with_parent)
            try:
                for line in self.process.stderr:
                    self.tell(line)
                code = self.process.wait()
            finally:  # the task is stopped, or takes too long
                if self.process.poll() is None:
                    self.on_kill()
                    self.process.wait()
            answer.seek(0)
            try:
                runs = json.load(answer)["runs"]
            except (ValueError, KeyError):
                runs = []
        return self.result(code, runs, context)

    def on_kill(self):
        """Asks the run to stop, which it does with all it has committed; nothing may wait here, where a signal came in between."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        killer = threading.Timer(GRACE_SECONDS, self.process.kill)
        killer.daemon = True
        killer.start()

    def tell(self, line):
        """A line of the program's log, in the task's."""
        try:
            entry = json.loads(line)
            level, words = logging.getLevelName(entry["level"].upper()), [entry["message"]]
            words += [f"{name}: {entry['metadata'][name]}" for name in ("where", "hint") if entry.get("metadata", {}).get(name)]
        except (ValueError, KeyError, TypeError, AttributeError):
            level, words = logging.INFO, [line.rstrip()]
        self.log.log(level if isinstance(level, int) else logging.INFO, "%s", "; ".join(words))

    def result(self, code, runs, context):
        kept = ("pipeline", "run_id", "status", "cursor", "deferred_until", *COUNTS)
        told = [{**{name: run[name] for name in kept}, "error": run["error"] and run["error"]["message"]} for run in runs]
        context["ti"].xcom_push(key="runs", value=told)
        why = "; ".join(f"{run['pipeline']}: {run['error']}" for run in told if run["error"]) or f"penstock ended with {code}"
        if code in HOPELESS:
            raise AirflowFailException(why)
        if code != 0:
            raise AirflowException(why)
        if told and all(run["status"] == "skipped" for run in told):
            later = max((run["deferred_until"] or "" for run in told), default="")
            # Nothing else would read this run's window; one that goes on from a checkpoint is made up for by the next.
            if later and self.pipeline["wants_window"]:
                self.log.info("%s; goes on at %s", why, later)
                raise AirflowRescheduleException(pendulum.parse(later))
            raise AirflowSkipException(why)
        return {count: sum(run[count] for run in told) for count in COUNTS}


def resolved(text):
    """The references of the configuration, as this worker has them."""

    def value(found):
        if found[0] == "$${":
            return "${"
        if found["file"] is not None:
            return (Path(CONFIGURATION).parent / found["file"]).read_text().removesuffix("\n")
        given = os.environ.get(found["name"]) or found["default"] or os.environ.get(found["name"])
        if given is None:
            raise AirflowFailException(f"the environment variable {found['name']} is not set")
        return given

    return REFERENCE.sub(value, text)


def is_there(pipeline, number):
    """What `wait_for` names: a file below the configuration's folder, or a URL that answers with a status from 200 to 299."""
    sensor = pipeline["wait_for"][number]
    text = resolved(sensor.get("file") or sensor["http"])
    if between := interval(get_current_context()):
        start, end = between
        date = start.in_timezone(DAG_OF[pipeline["name"]].get("timezone", "UTC")).strftime("%Y-%m-%d")
        for word, value in (("start", moment(start)), ("end", moment(end)), ("date", date)):
            text = text.replace("{window." + word + "}", value)
    if "file" in sensor:
        return bool(glob.glob(os.path.join(Path(CONFIGURATION).parent, text)))
    try:
        with urllib.request.urlopen(text, timeout=30) as answer:
            return 200 <= answer.status < 300
    except (OSError, http.client.HTTPException):
        return False


def timetable(dag):
    every = dag["schedule"]
    if every is None:
        return None
    if isinstance(every, str):
        return CronDataIntervalTimetable(every, timezone=pendulum.timezone(dag["timezone"]))
    return DeltaDataIntervalTimetable(timedelta(seconds=every))


def has_come(before):
    """Whether a pipeline of another schedule has run at its newest time that is not later than one's own; where Airflow made no run for that
    time, as it does for none that it missed, at its newest of all."""
    context = get_current_context()
    own = context.get("data_interval_end") or context["dag_run"].run_after
    other = DAG_OF[before]

    def runs(time, states=None):
        date = timetable(other).infer_manual_data_interval(run_after=time).start
        return context["ti"].get_ti_count(dag_id=other["dag_id"], task_ids=[before], logical_dates=[date], states=states)

    time = pendulum.instance(own)
    return runs(time if runs(time) else pendulum.now("UTC"), ["success"]) > 0


@task
def together(counts):
    """What all that share a stream have counted."""
    return {count: sum(one[count] for one in counts) for count in COUNTS}


def make_tasks(pipeline):
    """The first and the last of the pipeline's tasks; the last has its name."""
    name, shards = pipeline["name"], pipeline["shards"]
    options = {
        "pipeline": pipeline, "retries": pipeline["retries"], "retry_delay": timedelta(seconds=pipeline["retry_delay"]),
        "retry_exponential_backoff": pipeline["backoff"], "max_retry_delay": timedelta(hours=1),
        "priority_weight": 1 + max(0, pipeline["priority"]),
        # The run itself ends when its time is over, which begins behind the wait for its lock.
        "execution_timeout": None if pipeline["timeout"] is None else timedelta(seconds=pipeline["timeout"] + LEASE_SECONDS + GRACE_SECONDS)}
    if pipeline["pool"] is not None:
        options["pool"] = pipeline["pool"]
    if not shards:
        run = PenstockRun(task_id=name, **options)
        return run, run
    runs = PenstockRun.partial(task_id=f"{name}_shards", **options).expand(shard=list(range(1, shards + 1)))
    return runs, together.override(task_id=name)(runs.output)


def make_dag(described):
    start = pendulum.parse(described.get("start_date") or "2024-01-01", tz=described.get("timezone", "UTC"))
    with DAG(described["dag_id"], schedule=timetable(described), start_date=start, catchup=described.get("catchup", False),
             max_active_runs=1, description=f"penstock run, of {CONFIGURATION}", tags=["penstock"]) as dag:
        tasks = {pipeline["name"]: make_tasks(pipeline) for pipeline in described["pipelines"]}
        for pipeline in described["pipelines"]:
            first, _ = tasks[pipeline["name"]]
            for before in pipeline["after"]:
                if before in tasks:
                    tasks[before][1] >> first
                    continue
                PythonSensor(
                    task_id=f"{pipeline['name']}_after_{before}", python_callable=has_come, op_args=[before], poke_interval=60,
                    mode="reschedule") >> first
            for number, sensor in enumerate(pipeline["wait_for"]):
                PythonSensor(
                    task_id=f"{pipeline['name']}_waits_{number}", python_callable=is_there, op_args=[pipeline, number],
                    poke_interval=sensor["every"], mode="reschedule") >> first
    return dag


for _described in DAGS:
    globals()[_described["dag_id"]] = make_dag(_described)
)PYTHON";

}  // namespace penstock::app
