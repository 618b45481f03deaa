"""Who calls, and what they may do (pages "Using OAuth 2.0 for Server to Server Applications", "Access control with IAM")."""

import base64
import json
import secrets
import threading
import time
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .errors import ApiError

SCOPES = {"https://www.googleapis.com/auth/bigquery", "https://www.googleapis.com/auth/cloud-platform"}

IAM_SCOPES = {"https://www.googleapis.com/auth/iam", "https://www.googleapis.com/auth/cloud-platform"}


class BadToken(Exception):
    """`error` and `error_description` of RFC 6749, as the token endpoint answers them."""

    def __init__(self, error: str, description: str):
        super().__init__(description)
        self.error, self.description = error, description


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def padded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sign(claims: dict, key, key_id: str) -> str:
    parts = [unpadded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": key_id}, claims)]
    return ".".join([*parts, unpadded(key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256()))])


@dataclass
class Account:
    email: str
    key: rsa.RSAPrivateKey | None = None
    key_id: str = ""
    projects: list[str] | None = None  # where it may run jobs; None: anywhere
    datasets: dict[str, str] | None = None  # "project.dataset" -> READER or WRITER; None: all
    impersonates: list[str] = field(default_factory=list)


class Caller:
    def __init__(self, account: Account):
        self.account, self.email = account, account.email

    def check_project(self, project: str) -> None:
        if self.account.projects is not None and project not in self.account.projects:
            raise ApiError("accessDenied", f"Access Denied: Project {project}: User does not have bigquery.jobs.create permission in project {project}.")

    def _role(self, project: str, dataset: str) -> str | None:
        if self.account.datasets is None or dataset.startswith("_"):
            return "WRITER"
        return self.account.datasets.get(f"{project}.{dataset}")

    def check_dataset(self, dataset, write: bool) -> None:
        role = self._role(dataset.project, dataset.name)
        if role is None or (write and role == "READER"):
            permission = "bigquery.tables.create" if write else "bigquery.datasets.get"
            raise ApiError("accessDenied", f"Access Denied: Dataset {dataset.project}:{dataset.name}: Permission {permission} denied on dataset "
                           f"{dataset.project}:{dataset.name} (or it may not exist).")

    def check_table(self, table, write: bool) -> None:
        if table.dataset == "_temp":
            return
        role = self._role(table.project, table.dataset)
        if role is None or (write and role == "READER"):
            permission = "bigquery.tables.updateData" if write else "bigquery.tables.getData"
            raise ApiError("accessDenied", f"Access Denied: Table {table.full()}: User does not have permission to query table {table.full()}, or perhaps "
                           f"it does not exist. Permission {permission} denied.")


class Accounts:
    def __init__(self):
        self.lock = threading.Lock()
        # One key for all accounts of the process: making one takes long.
        self._key = rsa.generate_private_key(65537, 2048)
        self.address = ""
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.required = False
            self.lifetime = 3599
            self.accounts: dict[str, Account] = {}
            self.tokens: dict[str, tuple[str, float, set]] = {}  # token -> (email, expires, scopes)
            self.refresh: dict[str, str] = {}
            self.metadata: str | None = None
            self.issued = 0

    # -- accounts ------------------------------------------------------------------------------------------------
    def add(self, given: dict) -> dict:
        """A service account; the answer is its key file (IAM page "Service account keys")."""
        email = given["email"]
        key = rsa.generate_private_key(65537, 2048) if given.get("own_key") else self._key
        account = Account(email, key, secrets.token_hex(20), given.get("projects"), given.get("datasets"), given.get("impersonates", []))
        with self.lock:
            self.accounts[email] = account
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        return {"type": "service_account", "project_id": given.get("project_id", "stand-in"), "private_key_id": account.key_id, "private_key": pem,
                "client_email": email, "client_id": "1", "auth_uri": f"{self.address}/auth", "token_uri": f"{self.address}/token",
                "universe_domain": "googleapis.com"}

    def add_user(self, given: dict) -> dict:
        """Application default credentials of a user (type authorized_user)."""
        self.add(given)
        token = "1//" + secrets.token_urlsafe(24)
        with self.lock:
            self.refresh[token] = given["email"]
        return {"type": "authorized_user", "client_id": "client", "client_secret": "client-secret", "refresh_token": token,
                "token_uri": f"{self.address}/token"}

    # -- tokens --------------------------------------------------------------------------------------------------
    def issue(self, email: str, scopes, lifetime: int | None = None) -> dict:
        token = "ya29." + secrets.token_urlsafe(32)
        seconds = self.lifetime if lifetime is None else min(lifetime, 3600)
        with self.lock:
            self.tokens[token] = (email, time.time() + seconds, set(scopes))
            self.issued += 1
        return {"access_token": token, "expires_in": seconds, "token_type": "Bearer"}

    def verify(self, jwt: str) -> dict:
        """Claims of a JWT that one of the accounts signed (page: header alg RS256, kid; claims iss, iat, exp within an hour)."""
        try:
            head, body, signature = jwt.split(".")
            header, claims = json.loads(padded(head)), json.loads(padded(body))
        except ValueError:
            raise BadToken("invalid_grant", "Invalid JWT: Failed to parse.") from None
        account = self.accounts.get(claims.get("iss"))
        if account is None:
            raise BadToken("invalid_grant", "Invalid grant: account not found")
        if header.get("alg") != "RS256" or header.get("kid", account.key_id) != account.key_id:
            raise BadToken("invalid_grant", "Invalid JWT Signature.")
        try:
            account.key.public_key().verify(padded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise BadToken("invalid_grant", "Invalid JWT Signature.") from None
        now = time.time()
        if not isinstance(claims.get("iat"), int) or not isinstance(claims.get("exp"), int) or claims["exp"] < now or claims["iat"] > now + 300 \
                or claims["exp"] - claims["iat"] > 3600:
            raise BadToken("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                           "Check your iat and exp values in the JWT claim.")
        return claims

    def grant(self, form: dict) -> dict:
        kind = form.get("grant_type")
        if kind == "refresh_token":
            email = self.refresh.get(form.get("refresh_token", ""))
            if email is None:
                raise BadToken("invalid_grant", "Token has been expired or revoked.")
            return self.issue(email, SCOPES)
        if kind != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise BadToken("unsupported_grant_type", f"Invalid grant_type: {kind}")
        claims = self.verify(form.get("assertion", ""))
        # Page: aud: "https://oauth2.googleapis.com/token" always; clients that name the token endpoint they were given are taken too.
        if claims.get("aud") not in (f"{self.address}/token", "https://oauth2.googleapis.com/token"):
            raise BadToken("invalid_grant", "Invalid JWT: audience must be the token endpoint")
        if claims.get("target_audience"):
            return {"id_token": self.identity(claims["iss"], claims["target_audience"])}
        if not claims.get("scope"):
            raise BadToken("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return self.issue(claims["iss"], claims["scope"].split())

    def identity(self, email: str, audience: str, **more) -> str:
        now = int(time.time())
        return sign({"iss": "https://accounts.google.com", "aud": audience, "email": email, "email_verified": True, "sub": "1", "iat": now,
                     "exp": now + 3600, **more}, self._key, "stand-in")

    def certificates(self) -> dict:
        numbers = self._key.public_key().public_numbers()
        size = lambda number: (number.bit_length() + 7) // 8
        return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "stand-in", "n": unpadded(numbers.n.to_bytes(size(numbers.n), "big")),
                          "e": unpadded(numbers.e.to_bytes(size(numbers.e), "big"))}]}

    def impersonate(self, headers, email: str, body: dict) -> dict:
        """iamcredentials generateAccessToken reference."""
        caller = self.caller(headers, True, IAM_SCOPES)
        if email not in self.accounts or email not in caller.account.impersonates:
            raise ApiError("forbidden", f"Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist): {email}", status=403)
        if not body.get("scope"):
            raise ApiError("badRequest", "scope is required", status=400)
        lifetime = int(str(body.get("lifetime", "3600s")).rstrip("s"))
        if lifetime > 3600:
            raise ApiError("badRequest", "lifetime must be at most 3600s", status=400)
        made = self.issue(email, body["scope"], min(lifetime, self.lifetime))
        return {"accessToken": made["access_token"], "expireTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + made["expires_in"]))}

    # -- callers -------------------------------------------------------------------------------------------------
    def caller(self, headers, need=False, scopes=frozenset(SCOPES)) -> Caller:
        given = headers.get("Authorization") or ""
        if not given and not self.required and not need:
            return Caller(Account("anonymous@example.com"))
        refused = ApiError("authError", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
                           "authentication credential.", "Authorization", status=401)
        if not given.startswith("Bearer "):
            raise ApiError("required", "Request is missing required authentication credential. Expected OAuth 2 access token.", "Authorization", status=401)
        token = given.removeprefix("Bearer ")
        found = self.tokens.get(token)
        if found is None and token.count(".") == 2:
            found = self._self_signed(token)
        if found is None or found[1] < time.time() or found[0] not in self.accounts:
            raise refused
        if not found[2] & scopes:
            raise ApiError("insufficientPermissions", "Request had insufficient authentication scopes.", status=403)
        return Caller(self.accounts[found[0]])

    def _self_signed(self, token: str):
        """Page, addendum "Service account authorization without OAuth": a JWT for one API's audience, or with a scope, is a token itself."""
        try:
            claims = self.verify(token)
        except BadToken:
            return None
        if not claims.get("scope") and not str(claims.get("aud", "")).startswith(("https://bigquery", "https://bigquerystorage", self.address)):
            return None
        return claims["iss"], claims["exp"], set(claims["scope"].split()) if claims.get("scope") else SCOPES
