"""Jobs (jobs reference): ids, states, errors, statistics, results."""

import threading
import time
import uuid

from . import loads, queries
from .errors import ApiError, duplicate, invalid, not_found
from .outcome import Outcome
from .schema import check_update, find
from .store import Segment, Table

RESULTS = "_stand_in_results"


class Job:
    def __init__(self, project: str, location: str, job_id: str, config: dict, kind: str, user: str, parent: str | None = None):
        self.project, self.location, self.id, self.config, self.kind, self.user, self.parent = project, location, job_id, config, kind, user, parent
        self.state = "PENDING"
        self.created = time.time()
        self.started = self.ended = None
        self.error: ApiError | None = None
        self.errors: list[ApiError] = []
        self.processed = self.billed = 0
        self.statistics: dict = {}
        self.fields = ()
        self.result: Segment | None = None
        self.has_result = False
        self.children: list[str] = []
        self.done = threading.Event()
        self.cancelled = False

    def rest(self) -> dict:
        ms = lambda seconds: str(int(seconds * 1000))
        statistics = {"creationTime": ms(self.created), **self.statistics}
        if self.started:
            statistics["startTime"] = ms(self.started)
        if self.ended:
            statistics["endTime"] = ms(self.ended)
            statistics["totalSlotMs"] = str(max(1, int((self.ended - (self.started or self.ended)) * 1000)))
        if self.parent:
            statistics["parentJobId"] = self.parent
        if self.children:
            statistics["numChildJobs"] = str(len(self.children))
        status = {"state": self.state}
        if self.error:
            status |= {"errorResult": self.error.proto(), "errors": [error.proto() for error in self.errors or [self.error]]}
        return {"kind": "bigquery#job", "etag": f"{self.id}-{self.state}", "id": f"{self.project}:{self.location}.{self.id}",
                "selfLink": f"/bigquery/v2/projects/{self.project}/jobs/{self.id}?location={self.location}", "user_email": self.user,
                "jobReference": {"projectId": self.project, "jobId": self.id, "location": self.location},
                "configuration": self.config, "statistics": statistics, "status": status}


class Jobs:
    def __init__(self, engine):
        self.engine = engine
        self.lock = threading.RLock()
        self.by_id: dict[tuple, Job] = {}
        engine.store.jobs_of = lambda project: [job for job in self.by_id.values() if job.project == project]

    def reset(self) -> None:
        with self.lock:
            self.by_id.clear()

    def find(self, project: str, job_id: str, location: str | None) -> Job:
        with self.lock:
            found = [job for (home, _, name), job in self.by_id.items() if home == project and name == job_id]
        # Jobs reference, location: required except in US and EU.
        wanted = [job for job in found if (location or "").upper() == job.location.upper() or (not location and job.location.upper() in ("US", "EU"))]
        if not wanted:
            raise not_found("Job", f"{project}:{(location + '.') if location else ''}{job_id}")
        return wanted[0]

    def insert(self, project: str, resource: dict, caller, media: bytes | str | None = None) -> dict:
        """jobs.insert reference. `media`: the uploaded file of a load job."""
        config = dict(resource.get("configuration") or {})
        kind = next((name for name in ("query", "load", "copy", "extract") if name in config), None)
        if kind is None:
            raise ApiError("required", "Required parameter is missing: configuration")
        check_labels(config.get("labels") or {})
        reference = resource.get("jobReference") or {}
        config["jobType"] = kind.upper()
        location = reference.get("location") or self._location(project, config, kind)
        caller.check_project(project)
        if kind == "query":
            self.engine.count_query(project, config, caller)
        if config.get("dryRun"):
            return self._dry(project, location, config, kind, caller)
        job_id = reference.get("jobId") or "job_" + uuid.uuid4().hex
        # JobReference reference: letters, digits, underscores, dashes; 1,024 characters at most.
        if len(job_id) > 1024 or not all(c.isalnum() and c.isascii() or c in "_-" for c in job_id):
            raise invalid(f"Invalid job ID: {job_id}")
        if kind in ("extract",):
            raise ApiError("notImplemented", f"{kind} jobs are not implemented")
        with self.lock:
            # Running jobs programmatically page: a job id is unique in its project and location; a second insert fails with 409 duplicate.
            if (project, location.upper(), job_id) in self.by_id:
                raise duplicate("Job", f"{project}:{location}.{job_id}")
            job = self.by_id[project, location.upper(), job_id] = Job(project, location, job_id, config, kind, caller.email)
        threading.Thread(target=self._run, args=(job, caller, media), daemon=True).start()
        return job.rest()

    def _location(self, project: str, config: dict, kind: str) -> str:
        part = config[kind]
        reference = part.get("destinationTable") or part.get("defaultDataset") or {}
        home = self.engine.store.datasets.get((reference.get("projectId", project), reference.get("datasetId")))
        if home is None and kind == "query":
            for (owner, name), found in self.engine.store.datasets.items():
                if name in part.get("query", "") and not name.startswith("_"):
                    home = found
        return home.location if home is not None else "US"

    def _dry(self, project, location, config, kind, caller) -> dict:
        """Dry run page: a job of which nothing runs; errors come at once."""
        job = Job(project, location, "", config, kind, caller.email)
        job.state = "DONE"
        if kind == "query":
            sql = config["query"].get("query", "")
            outcome = queries.Run(self.engine, project, config["query"], location, caller).dry(sql)
            job.statistics = query_statistics(outcome, [])
            job.statistics["query"]["totalBytesProcessedAccuracy"] = "PRECISE" if outcome.kind != "SCRIPT" else "LOWER_BOUND"
            job.statistics["query"].pop("totalBytesBilled")
            if outcome.fields:
                job.statistics["query"]["schema"] = {"fields": [field.rest() for field in outcome.fields]}
        out = job.rest()
        out["jobReference"] = {"projectId": project, "location": location}
        return out

    # -- execution -------------------------------------------------------------------------------------------------
    def _run(self, job: Job, caller, media) -> None:
        try:
            self.engine.faults.before_job(job)
            if job.cancelled:
                raise ApiError("stopped", "Job execution was cancelled: User requested cancellation")
            job.state, job.started = "RUNNING", time.time()
            {"query": self._query, "load": self._load, "copy": self._copy}[job.kind](job, caller, media)
            self.engine.faults.after_job(job)
        except ApiError as error:
            job.error = error
        except Exception as error:  # a bug of the stand-in: seen by the client, not hanging it
            import traceback

            self.engine.failures.append(traceback.format_exc())
            job.error = ApiError("invalid", f"stand-in failed: {type(error).__name__}: {error}")
        job.started = job.started or time.time()
        job.ended = max(time.time(), job.started)
        job.state = "DONE"
        job.done.set()

    def _query(self, job: Job, caller, media) -> None:
        config = job.config["query"]
        sql = config.get("query", "")
        if config.get("useLegacySql", True) and "useLegacySql" in config and config["useLegacySql"]:
            raise invalid("Legacy SQL is not implemented")
        run = queries.Run(self.engine, job.project, config, job.location, caller, job)
        outcome = None
        try:
            outcome = run.run(sql)
        finally:
            if outcome is None and run.outcomes:
                job.statistics = query_statistics(Outcome("SCRIPT", sum(one.processed for one in run.outcomes),
                                                                  sum(one.billed for one in run.outcomes)), [])
                job.processed, job.billed = sum(one.processed for one in run.outcomes), sum(one.billed for one in run.outcomes)
                self._children(job, run.outcomes)
        job.statistics = query_statistics(outcome, run.outcomes)
        job.processed, job.billed = outcome.processed, outcome.billed
        if outcome.kind == "SCRIPT":
            self._children(job, run.outcomes)
        job.fields, job.result = outcome.fields, outcome.result
        job.has_result = outcome.kind == "SELECT" or outcome.result is not None
        if job.has_result and outcome.kind == "SELECT" and config.get("destinationTable"):
            self._into(job, config, caller)
        elif outcome.result is not None:
            home = self.engine.store.datasets.get((job.project, RESULTS)) or self.engine.store.add_dataset(job.project, RESULTS, {"location": job.location})
            table = self.engine.store.add_table(job.project, home.name, queries.anonymous_name(), outcome.fields, {}, [outcome.result], hidden=True)
            config["destinationTable"] = reference(table)
        self.engine.billed_bytes += job.billed

    def _children(self, job: Job, outcomes) -> None:
        """Procedural language page: each statement of a script is a child job."""
        for index, outcome in enumerate(outcomes):
            child = Job(job.project, job.location, f"script_job_{uuid.uuid5(uuid.NAMESPACE_OID, job.id).hex}_{index}",
                        {"jobType": "QUERY", "query": {"query": outcome.sql}}, "query", job.user, job.id)
            child.state, child.started, child.ended = "DONE", job.started, time.time()
            child.statistics = query_statistics(outcome, [])
            child.processed, child.billed = outcome.processed, outcome.billed
            child.fields, child.result, child.has_result = outcome.fields, outcome.result, outcome.result is not None
            child.done.set()
            with self.lock:
                self.by_id[job.project, job.location.upper(), child.id] = child
            job.children.append(child.id)

    def _into(self, job: Job, config: dict, caller) -> None:
        target = config["destinationTable"]
        place(self.engine, job, caller, target, job.fields, [job.result], config, "query")

    def _load(self, job: Job, caller, media) -> None:
        loads.run(self.engine, job, caller, media)

    def _copy(self, job: Job, caller, media) -> None:
        config = job.config["copy"]
        store = self.engine.store
        sources = config.get("sourceTables") or [config["sourceTable"]]
        tables = [store.table(one["projectId"], one["datasetId"], one["tableId"]) for one in sources]
        for table in tables:
            caller.check_table(table, False)
        segments = [segment for table in tables for segment in table.latest.segments]
        place(self.engine, job, caller, config["destinationTable"], tables[0].latest.fields, segments, config, "copy",
              {name: value for name, value in tables[0].meta.items() if name in ("timePartitioning", "rangePartitioning", "clustering", "description")})

    def cancel(self, project, job_id, location) -> dict:
        job = self.find(project, job_id, location)
        job.cancelled = True
        return {"kind": "bigquery#jobCancelResponse", "job": job.rest()}


def reference(table: Table) -> dict:
    return {"projectId": table.project, "datasetId": table.dataset, "tableId": table.name}


def check_labels(labels: dict) -> None:
    """Labels page, "Requirements for labels"."""
    if len(labels) > 64:
        raise invalid("Too many labels: at most 64")
    for key, value in labels.items():
        fine = lambda word: all((c.isalnum() and not c.isupper()) or c in "_-" for c in word)
        if not key or len(key) > 63 or len(value) > 63 or not fine(key) or not fine(value) or not key[0].isalpha():
            raise invalid(f"Label key/value is invalid: {key}={value}. Only lower case letters, digits, dashes and underscores; at most 63 characters.")


def query_statistics(outcome, outcomes) -> dict:
    query = {"statementType": outcome.kind, "totalBytesProcessed": str(outcome.processed), "totalBytesBilled": str(outcome.billed), "cacheHit": False,
             "billingTier": 1 if outcome.billed else 0,
             "referencedTables": list({table.key: reference(table) for table in outcome.tables if not table.hidden}.values())}
    if outcome.dml is not None:
        query["numDmlAffectedRows"] = str(sum(outcome.dml.values()))
        query["dmlStats"] = {name: str(value) for name, value in outcome.dml.items()}
    query |= outcome.ddl or {}
    return {"query": query, "totalBytesProcessed": str(outcome.processed)}


def place(engine, job, caller, target: dict, fields, segments, config: dict, kind: str, meta: dict | None = None) -> Table:
    """createDisposition and writeDisposition (JobConfigurationQuery, JobConfigurationLoad references): atomic, upon success."""
    store = engine.store
    home = store.dataset(target.get("projectId", job.project), target["datasetId"], job.location)
    caller.check_dataset(home, True)
    table = home.tables.get(target["tableId"])
    rows = sum(segment.high - segment.low for segment in segments)
    write = config.get("writeDisposition") or ("WRITE_APPEND" if kind == "load" else "WRITE_EMPTY")
    with store.lock:
        if table is None:
            if config.get("createDisposition") == "CREATE_NEVER":
                raise not_found("Table", f"{home.project}:{home.name}.{target['tableId']}")
            return store.add_table(home.project, home.name, target["tableId"], fields, meta or described(config), [s for s in segments if s.high > s.low])
        if write == "WRITE_EMPTY" and table.latest.rows:
            raise duplicate("Table", table.full())
        if write == "WRITE_TRUNCATE":
            from dataclasses import replace

            latest = table.latest
            store.publish(table, replace(latest, fields=tuple(fields), segments=tuple(s for s in segments if s.high > s.low), mutation=latest.mutation + 1))
            return table
        options = config.get("schemaUpdateOptions") or []
        check_update(table.latest.fields, merged(table.latest.fields, fields), additions="ALLOW_FIELD_ADDITION" in options,
                     relaxation="ALLOW_FIELD_RELAXATION" in options)
        if rows:
            store.append(table, segments)
        return table


def merged(old, new):
    """Columns the data leaves out stay as they are."""
    return tuple(find(new, field.name) or field for field in old) + tuple(field for field in new if find(old, field.name) is None)


def described(config: dict) -> dict:
    keep = {name: config[name] for name in ("timePartitioning", "rangePartitioning", "clustering") if config.get(name)}
    properties = config.get("destinationTableProperties") or {}
    return {**keep, **{name: properties[name] for name in ("description", "friendlyName", "labels", "expirationTime") if properties.get(name)}}


