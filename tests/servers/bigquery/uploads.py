"""Uploads of load jobs (page "Upload parameters" / "Resumable uploads", BigQuery API uploads)."""

import email.parser
import json
import os
import re
import tempfile
import uuid

from .errors import ApiError, invalid

CHUNK = 256 * 1024  # Resumable uploads page: chunks but the last are multiples of 256 KB


class Uploads:
    def __init__(self, engine):
        self.engine = engine
        self.folder = tempfile.mkdtemp(prefix="penstock-bigquery-")
        self.sessions: dict[str, dict] = {}

    def path(self) -> str:
        return os.path.join(self.folder, uuid.uuid4().hex)

    def start(self, call, project: str):
        """POST …/upload/bigquery/v2/projects/P/jobs?uploadType=resumable|multipart|media."""
        kind = call.query.get("uploadType")
        if kind == "resumable":
            resource = json.loads(call.read() or b"{}")
            key = uuid.uuid4().hex
            self.sessions[key] = {"project": project, "resource": resource, "path": self.path(), "size": 0, "answer": None, "caller": call.caller}
            open(self.sessions[key]["path"], "wb").close()
            call.extra["Location"] = f"{self.engine.address}/upload/bigquery/v2/projects/{project}/jobs?uploadType=resumable&upload_id={key}"
            call.extra["X-GUploader-UploadID"] = key
            return None
        if kind == "multipart":
            return self.multipart(call, project)
        raise invalid(f"Unsupported uploadType: {kind}")

    def multipart(self, call, project: str):
        """multipart/related: the job resource, then the file."""
        content = call.headers.get("Content-Type", "")
        boundary = email.parser.Parser().parsestr(f"Content-Type: {content}\n\n").get_param("boundary")
        if "multipart/related" not in content or not boundary:
            raise invalid("Content-Type must be multipart/related with a boundary")
        body = call.read()
        parts = re.split(rb"\r?\n?--" + re.escape(boundary.encode()) + rb"(?:--)?\r?\n?", body)
        parts = [part for part in parts if part.strip()]
        if len(parts) != 2:
            raise invalid("Multipart must have two parts: the job and the file")
        resource = json.loads(re.split(rb"\r?\n\r?\n", parts[0], maxsplit=1)[1])
        path = self.path()
        with open(path, "wb") as out:
            out.write(re.split(rb"\r?\n\r?\n", parts[1], maxsplit=1)[1])
        return self.engine.jobs.insert(project, resource, call.caller, path)

    def put(self, call, project: str):
        """A chunk: Content-Range: bytes FIRST-LAST/TOTAL, or */TOTAL to ask how far it got."""
        session = self.sessions.get(call.query.get("upload_id", ""))
        if session is None:
            raise ApiError("notFound", "Upload session not found", status=404)
        data = call.read()
        if session["answer"] is not None:
            return session["answer"]
        given = call.headers.get("Content-Range")
        found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", given) if given else None
        if given and not found:
            raise invalid(f"Invalid Content-Range: {given}")
        first, final = 0, True
        if found:
            total = None if found[3] == "*" else int(found[3])
            if found[1] is None:
                return self._far(call, session, project, total)
            first, last = int(found[1]), int(found[2])
            if last - first + 1 != len(data):
                raise invalid("Content-Range does not match the length of the body")
            final = total is not None and last + 1 == total
            if not final and len(data) % CHUNK:
                raise invalid(f"Chunks must be multiples of {CHUNK} bytes")
        if first > session["size"]:
            raise ApiError("invalid", "Chunk starts beyond what was received", status=416)
        # What was received already is not written again.
        with open(session["path"], "ab") as out:
            out.write(data[session["size"] - first:])
        session["size"] = max(session["size"], first + len(data))
        return self._finish(call, session, project) if final else self._incomplete(call, session)

    def _far(self, call, session, project, total):
        return self._finish(call, session, project) if total is not None and session["size"] == total else self._incomplete(call, session)

    @staticmethod
    def _incomplete(call, session):
        """308 Resume Incomplete, with the range that is there."""
        call.status = 308
        if session["size"]:
            call.extra["Range"] = f"bytes=0-{session['size'] - 1}"

    def _finish(self, call, session, project):
        session["answer"] = self.engine.jobs.insert(project, session["resource"], session["caller"], session["path"])
        return session["answer"]
