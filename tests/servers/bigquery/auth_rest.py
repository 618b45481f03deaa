"""Token endpoint, metadata server, impersonation."""

import json
from urllib.parse import parse_qs

from .auth import BadToken
from .errors import ApiError


def routes(engine):
    accounts = engine.accounts

    def token(call):
        form = {name: values[0] for name, values in parse_qs(call.read().decode()).items()}
        if rule := engine.faults.found("token", json.dumps(form)[:200], "error"):
            raise ApiError(rule.reason, rule.message, status=rule.status)
        try:
            return accounts.grant(form)
        except BadToken as error:
            call.status = 400
            return {"error": error.error, "error_description": error.description}

    def metadata(call, path):
        """Metadata server page: the header Metadata-Flavor: Google is required, and answered."""
        if call.headers.get("Metadata-Flavor") != "Google":
            raise ApiError("forbidden", "Missing required header 'Metadata-Flavor': 'Google'", status=403)
        if accounts.metadata is None:
            raise ApiError("notFound", "no service account is attached", status=404)
        call.extra["Metadata-Flavor"] = "Google"
        account = f"instance/service-accounts/{path.split('/')[2]}" if path.startswith("instance/service-accounts/") and path.count("/") > 1 else ""
        part = path.removeprefix(account).strip("/") if account else path
        if account and part == "token":
            scopes = call.query.get("scopes", "https://www.googleapis.com/auth/cloud-platform").split(",")
            return accounts.issue(accounts.metadata, scopes)
        if account and part == "":
            return {"aliases": ["default"], "email": accounts.metadata, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
        texts = {"email": accounts.metadata, "identity": accounts.identity(accounts.metadata, call.query.get("audience", ""))}
        call.extra["Content-Type"] = "application/text"
        if account and part in texts:
            call.raw = texts[part].encode()
        elif path == "project/project-id":
            call.raw = b"stand-in"
        elif path in ("universe/universe-domain", "universe/universe_domain"):
            call.raw = b"googleapis.com"
        else:
            raise ApiError("notFound", f"not found: {path}", status=404)
        return None

    def ping(call):
        call.extra["Metadata-Flavor"] = "Google"
        call.raw = b"computeMetadata/\n"

    def impersonate(call, email):
        return accounts.impersonate(call.headers, email, call.body)

    def certificates(call):
        return accounts.certificates()

    # What tests ask for.
    def add(call):
        return accounts.add(call.body)

    def add_user(call):
        return accounts.add_user(call.body)

    def settings(call):
        for name in ("required", "lifetime", "metadata"):
            if name in call.body:
                setattr(accounts, name, call.body[name])
        return {"required": accounts.required, "lifetime": accounts.lifetime, "metadata": accounts.metadata, "issued": accounts.issued}

    def revoke(call):
        accounts.tokens.clear()
        return {}

    def identity(call):
        return {"token": accounts.identity(**call.body)}

    return [("POST", "/token", "token", token), ("GET", "/computeMetadata/v1/(.*)", "metadata", metadata), ("GET", "/", "ping", ping),
            ("POST", "/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken", "impersonate", impersonate),
            ("GET", "/oauth2/v3/certs", "certificates", certificates), ("POST", "/control/accounts", "add", add), ("POST", "/control/users", "user", add_user),
            ("POST", "/control/auth", "settings", settings), ("POST", "/control/revoke", "revoke", revoke), ("POST", "/control/identity", "identity", identity)]
