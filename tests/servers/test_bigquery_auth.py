"""The stand-in's tokens and permissions, judged with Google's auth library and client."""

import json
import time
import urllib.error
import urllib.request

import google.auth.compute_engine._metadata as metadata
import google.auth.transport.requests
import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth import credentials as generic
from google.auth import exceptions as auth_errors
from google.auth import impersonated_credentials
from google.cloud import bigquery as bq
from google.oauth2 import credentials as users
from google.oauth2 import id_token, service_account

SCOPE = ["https://www.googleapis.com/auth/bigquery"]


def client_of(bigquery, credentials) -> bq.Client:
    return bq.Client("stand-in", credentials, client_options=ClientOptions(api_endpoint=bigquery.endpoint))


def by_key(bigquery, key, scopes=SCOPE):
    return client_of(bigquery, service_account.Credentials.from_service_account_info(key, scopes=scopes))


@pytest.fixture
def locked(bigquery):
    bigquery.client().create_dataset("ds")
    bigquery.client().create_dataset("other")
    bigquery.client().query("CREATE TABLE other.t AS SELECT 1 AS x").result()
    bigquery.auth(required=True)
    return bigquery


def test_calls_need_a_token(locked):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{locked.endpoint}/bigquery/v2/projects/stand-in/datasets")
    assert refused.value.code == 401


def test_service_account_key(locked):
    key = locked.account("loader@stand-in.iam.gserviceaccount.com")
    client = by_key(locked, key)
    job = client.query("SELECT 1 AS x")
    assert [row.x for row in job.result()] == [1] and job.user_email == key["client_email"]
    assert locked.auth()["issued"] == 1
    locked.control("revoke", {})
    assert len(list(client.list_datasets())) == 2, "a client that is told 401 fetches another token"
    assert locked.auth()["issued"] == 2


def test_key_of_another_is_refused(locked):
    key = locked.account("loader@stand-in.iam.gserviceaccount.com")
    other = locked.account("other@stand-in.iam.gserviceaccount.com", own_key=True)
    with pytest.raises(auth_errors.RefreshError, match="Invalid JWT Signature"):
        list(by_key(locked, {**key, "private_key": other["private_key"]}).list_datasets())


def test_tokens_expire_and_scopes_matter(locked):
    locked.auth(lifetime=1)
    key = locked.account("loader@stand-in.iam.gserviceaccount.com")
    credentials = service_account.Credentials.from_service_account_info(key, scopes=SCOPE)
    credentials.refresh(google.auth.transport.requests.Request())
    time.sleep(1.2)
    request = urllib.request.Request(f"{locked.endpoint}/bigquery/v2/projects/stand-in/datasets", headers={"Authorization": f"Bearer {credentials.token}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 401
    with pytest.raises(exceptions.Forbidden, match="insufficient authentication scopes"):
        list(by_key(locked, key, ["https://www.googleapis.com/auth/drive"]).list_datasets())


def test_permissions_of_projects_and_datasets(locked):
    reader = by_key(locked, locked.account("r@stand-in.iam.gserviceaccount.com", datasets={"stand-in.other": "READER"}))
    assert [row.x for row in reader.query("SELECT x FROM other.t").result()] == [1]
    with pytest.raises(exceptions.Forbidden, match="Access Denied: Table stand-in:other.t") as denied:
        reader.query("DELETE FROM other.t WHERE TRUE", job_retry=None).result()
    assert denied.value.errors[0]["reason"] == "accessDenied"
    with pytest.raises(exceptions.Forbidden, match="Access Denied: Dataset stand-in:ds"):
        reader.get_dataset("ds")
    with pytest.raises(exceptions.Forbidden):
        reader.load_table_from_json([{"x": 1}], "other.t").result()
    nobody = by_key(locked, locked.account("n@stand-in.iam.gserviceaccount.com", projects=[]))
    with pytest.raises(exceptions.Forbidden, match="bigquery.jobs.create"):
        nobody.query("SELECT 1", job_retry=None, retry=None).result()


def test_user_credentials(locked):
    info = locked.user("someone@example.com")
    credentials = users.Credentials(None, info["refresh_token"], token_uri=info["token_uri"], client_id=info["client_id"], client_secret=info["client_secret"])
    assert len(list(client_of(locked, credentials).list_datasets())) == 2


def test_impersonation(locked):
    target = "org@stand-in.iam.gserviceaccount.com"
    locked.account(target)
    for rights, fine in (([target], True), ([], False)):
        key = locked.account("base@stand-in.iam.gserviceaccount.com", impersonates=rights)
        source = service_account.Credentials.from_service_account_info(key, scopes=SCOPE)
        made = impersonated_credentials.Credentials(source, target, SCOPE, lifetime=300, iam_endpoint_override=
                                                    f"{locked.endpoint}/v1/projects/-/serviceAccounts/{target}:generateAccessToken")
        if fine:
            assert client_of(locked, made).query("SELECT 1").user_email == target
        else:
            with pytest.raises(auth_errors.RefreshError):
                list(client_of(locked, made).list_datasets())


def test_metadata_server(locked):
    email = "vm@stand-in.iam.gserviceaccount.com"
    locked.account(email)
    locked.auth(metadata=email)
    host = locked.endpoint.removeprefix("http://")
    request = google.auth.transport.requests.Request()
    root = f"http://{host}/computeMetadata/v1/"
    token = metadata.get(request, "instance/service-accounts/default/token", root=root)
    assert metadata.get(request, "project/project-id", root=root) == "stand-in"

    class Fixed(generic.Credentials):
        def refresh(self, _):
            self.token = token["access_token"]

    assert client_of(locked, Fixed()).query("SELECT 1").user_email == email
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{root}instance/service-accounts/default/token")


def test_identity_tokens_verify(locked):
    made = locked.control("identity", {"email": "push@example.com", "audience": "https://example.com/billing"})["token"]
    keys = json.load(urllib.request.urlopen(f"{locked.endpoint}/oauth2/v3/certs"))["keys"]
    assert keys[0]["kid"] == "stand-in" and made.count(".") == 2
    claims = id_token.jwt.decode(made, verify=False)
    assert claims["aud"] == "https://example.com/billing" and claims["email"] == "push@example.com"
