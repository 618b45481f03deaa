"""jobs methods (REST reference, v2)."""

import time
import uuid

from .errors import ApiError
from .rest_datasets import page
from .store import Version


class JobMethods:
    def __init__(self, engine):
        self.engine, self.jobs = engine, engine.jobs
        self.requests: dict[tuple, str] = {}  # jobs.query: requestId -> job id

    def insert(self, call, project):
        return self.jobs.insert(project, call.body, call.caller)

    def get(self, call, project, job_id):
        job = self._own(call, self.jobs.find(project, job_id, call.query.get("location")))
        job.done.wait(0.3)  # answers need not be quicker: clients sleep a second between two
        return job.rest()

    @staticmethod
    def _own(call, job):
        call.caller.check_project(job.project)
        return job

    def cancel(self, call, project, job_id):
        return self.jobs.cancel(project, job_id, call.query.get("location"))

    def delete(self, call, project, job_id):
        job = self.jobs.find(project, job_id, call.query.get("location"))
        with self.jobs.lock:
            del self.jobs.by_id[project, job.location.upper(), job.id]

    def list(self, call, project):
        with self.jobs.lock:
            found = [job for job in self.jobs.by_id.values() if job.project == project]
        parent, state = call.query.get("parentJobId"), call.query.get("stateFilter")
        found = [job for job in found if job.parent == parent and (not state or job.state.lower() == state)]
        if call.query.get("minCreationTime"):
            found = [job for job in found if job.created * 1000 >= int(call.query["minCreationTime"])]
        found.sort(key=lambda job: -job.created)
        start, count = int(call.query.get("pageToken") or 0), int(call.query.get("maxResults") or 50)
        out = {"kind": "bigquery#jobList", "jobs": [{**job.rest(), "state": job.state} for job in found[start:start + count]]}
        if start + count < len(found):
            out["nextPageToken"] = str(start + count)
        return out

    def query(self, call, project):
        """jobs.query reference: waits timeoutMs (10 s) and answers with the first page."""
        body = call.body
        key = (project, body.get("requestId"))
        config = {name: body[name] for name in ("query", "defaultDataset", "useLegacySql", "maximumBytesBilled", "queryParameters", "parameterMode",
                                                "useQueryCache", "connectionProperties", "createSession") if name in body}
        if body.get("requestId") and key in self.requests:
            job = self.jobs.find(project, self.requests[key], body.get("location"))
        else:
            resource = {"configuration": {"query": config, "labels": body.get("labels") or {}, "dryRun": bool(body.get("dryRun"))},
                        "jobReference": {"jobId": "job_" + uuid.uuid4().hex, **({"location": body["location"]} if body.get("location") else {})}}
            made = self.jobs.insert(project, resource, call.caller)
            if body.get("dryRun"):
                query = made["statistics"]["query"]
                return {"kind": "bigquery#queryResponse", "jobComplete": True, "jobReference": made["jobReference"], "totalBytesProcessed":
                        query["totalBytesProcessed"], "cacheHit": False, **({"schema": query["schema"]} if "schema" in query else {})}
            job = self.jobs.find(project, made["jobReference"]["jobId"], made["jobReference"]["location"])
            if body.get("requestId"):
                self.requests[key] = job.id
        call.query = {**call.query, **{name: body[name] for name in ("maxResults",) if name in body}}
        if (body.get("formatOptions") or {}).get("useInt64Timestamp"):
            call.query["formatOptions.useInt64Timestamp"] = "true"
        return self._answer(call, job, float(body.get("timeoutMs", 10_000)) / 1000, "bigquery#queryResponse")

    def results(self, call, project, job_id):
        """jobs.getQueryResults reference: timeoutMs, default 10 s."""
        job = self._own(call, self.jobs.find(project, job_id, call.query.get("location")))
        if job.kind != "query":
            raise ApiError("invalid", f"Job {job.project}:{job.id} is not a query job")
        return self._answer(call, job, float(call.query.get("timeoutMs", 10_000)) / 1000, "bigquery#getQueryResultsResponse")

    def _answer(self, call, job, timeout: float, kind: str) -> dict:
        job.done.wait(min(timeout, 60))
        reference = {"projectId": job.project, "jobId": job.id, "location": job.location}
        if not job.done.is_set():
            return {"kind": kind, "jobReference": reference, "jobComplete": False}
        if job.error and job.error.status == 200:
            return {"kind": kind, "jobReference": reference, "jobComplete": True, "errors": [job.error.proto()], "totalRows": "0"}
        if job.error:
            raise job.error
        query = job.statistics.get("query", {})
        out = {"kind": kind, "etag": job.id, "jobReference": reference, "jobComplete": True, "totalBytesProcessed": str(job.processed), "cacheHit": False,
               "totalBytesBilled": str(job.billed), "creationTime": str(int(job.created * 1000)), "startTime": str(int(job.started * 1000)),
               "endTime": str(int(job.ended * 1000))}
        if "numDmlAffectedRows" in query:
            out |= {"numDmlAffectedRows": query["numDmlAffectedRows"], "dmlStats": query["dmlStats"]}
        if not job.has_result:
            return {**out, "totalRows": "0"}
        segment = job.result
        version = Version(time.time(), job.fields, (segment,) if segment.high else ())
        start = int(call.query.get("pageToken") or call.query.get("startIndex") or 0)
        out |= {"schema": {"fields": [field.rest() for field in job.fields]}, "totalRows": str(version.rows)}
        if call.query.get("maxResults") in (0, "0"):
            return {**out, "pageToken": str(start)} if version.rows else out
        rows, following = page(self.engine.store, version, job.fields, start, call)
        if rows:
            out["rows"] = rows
        if following is not None:
            out["pageToken"] = str(following)
        return out

    def service_account(self, call, project):
        return {"kind": "bigquery#getServiceAccountResponse", "email": f"bq-{project}@bigquery-encryption.iam.gserviceaccount.com"}
