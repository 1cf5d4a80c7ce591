"""User name and password through a running gateway: users of the settings and of stores, scopes, challenges, and what the log
says (cases 9, 11 and 15).
"""

from __future__ import annotations

import base64

import pytest

from harness.credentials import bearer
from harness.descriptions import describe
from harness.services import ldap
from harness.waiting import wait_until
from microgate.runtime.security.passwords import stored_forms as passwords

SHA1 = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"  # of "password"
SCHEMES = {
    "securitySchemes": {
        "user": {"type": "http", "scheme": "basic"},
        "oauth": {
            "type": "oauth2",
            "flows": {
                "clientCredentials": {"tokenUrl": "https://id.example.com/token", "scopes": {"read": "", "write": ""}}
            },
        },
    }
}
API = describe(
    {
        "/a": ["get"],
        "/both": {"get": {"security": [{"user": []}, {"oauth": []}]}},
        "/write": {"get": {"x-scope": "write"}},
    },
    secured=True,
    components=SCHEMES,
    security=[{"user": []}],
)
OPEN = describe(["/open"], base="/free", title="free")
USERS = f"""
[b7a.users.ann]
password = "{SHA1}"
scopes = "read,write"
[b7a.users.bob]
password = "{passwords.make_stored("argon2id", "pässwört:".encode())}"
scopes = "read"
"""


def basic(user: str, password: str, word: str = "Basic") -> tuple[str, str]:
    return ("Authorization", f"{word} {base64.b64encode(f'{user}:{password}'.encode()).decode()}")


@pytest.mark.parametrize(
    ("headers", "path", "status", "fault"),
    [
        ([basic("ann", "password")], "/a", 200, None),
        ([basic("ann", "password", "bAsIc")], "/a", 200, None),
        ([basic("bob", "pässwört:")], "/a", 200, None),
        ([basic("ann", "password")], "/write", 200, None),
        ([basic("bob", "pässwört:")], "/write", 403, 900910),
        ([basic("ann", "password")], "/both", 200, None),
        ([bearer()], "/both", 200, None),
        ([bearer()], "/a", 401, 900917),
        ([], "/a", 401, 900902),
        ([basic("ann", "wrong")], "/a", 401, 900911),
        ([basic("eve", "password")], "/a", 401, 900911),
        ([basic("ann", "")], "/a", 401, 900911),
        ([("Authorization", "Basic")], "/a", 401, None),
        ([("Authorization", "Basic YW5u")], "/a", 401, 900912),
        ([("Authorization", "Basic %%%")], "/a", 401, 900912),
        ([("Authorization", "Basic /////w==")], "/a", 401, 900912),
    ],
)
def test_case_11_who_is_let_in(shared_pair, headers, path, status, fault):
    pair = shared_pair((API,), USERS)
    with pair.gateway.connect() as client:
        answer = client.request("GET", path, headers)
    assert answer.status == status
    if fault is not None:
        assert answer.fault == fault
    assert len(pair.backend.requests) == (status == 200)
    if status == 401:
        assert 'Basic realm="microgate", charset="UTF-8"' in answer.header("www-authenticate")
        assert b"xpired" not in answer.body


def test_case_15_the_password_is_neither_passed_on_nor_logged(gateway, backend):
    running = gateway(API, settings=USERS + "[b7a.log]\nlevel = 'DEBUG'\n")
    with running.connect() as client:
        for password in ("password", "guess-me"):
            client.request("GET", "/a", [basic("ann", password)])
    assert "authorization" not in str(backend.requests[0]).lower()
    lines = running.log_lines(2)
    assert [line["status"] for line in lines] == [200, 401]
    assert lines[1]["reason"] == "auth.basic.password"
    said = str(lines) + running.output
    for secret in ("guess-me", basic("ann", "guess-me")[1][6:], basic("ann", "password")[1][6:], SHA1):
        assert secret not in said


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("[b7a.users.ann]\npassword = 'clear text'\n", "MG507"),
        ("[b7a.users.ann]\nscopes = 'read'\n", "MG507"),
        ("[[userStore]]\ntype = 'htpasswd'\n", "MG507"),
        ("[[userStore]]\ntype = 'htpasswd'\nfile = '/nowhere/users'\n", "error"),
        ("[[userStore]]\ntype = 'sqlite'\nfile = '/nowhere/users.db'\n", "error"),
        ("[[userStore]]\ntype = 'python'\nprovider = 'accounts:check'\n", "error"),
        ("[[userStore]]\ntype = 'ldap'\nurl = 'ldap://ldap.example.com'\nuserDn = 'uid={user}'\n", "in the clear"),
        ("[[userStore]]\ntype = 'ldap'\nurl = 'ldaps://ldap.example.com'\nuserDn = 'uid=ann'\n", "all users are one"),
        ("[[userStore]]\ntype = 'ldap'\nurl = 'ldaps://ldap.example.com'\n", "searchBase"),
        ("[[userStore]]\ntype = 'ldap'\nurl = 'https://ldap.example.com'\nuserDn = '{user}'\n", "MG512"),
        ("[[userStore]]\ntype = 'oracle'\n", "MG504"),
        (
            "[[userStore]]\ntype = 'ldap'\nurl = 'ldaps://a'\nsearchBase = 'dc=a'\nsearchFilter = 'uid={user}'\n",
            "no filter",
        ),
    ],
)
def test_case_9_what_cannot_be_right_stops_the_start(gateway, settings, code):
    with pytest.raises(AssertionError, match="does not start") as caught:
        gateway(API, settings=settings)
    said = str(caught.value)
    assert code in said
    assert "Traceback" not in said
    assert "clear text'" not in said


def test_users_of_an_htpasswd_file_come_and_go(gateway, tmp_path):
    users = tmp_path / "users"
    users.write_text(f"ann:{SHA1}\n")
    running = gateway(
        API, settings=f"[[userStore]]\ntype = 'htpasswd'\nfile = '{users}'\n[runtimeConfig]\nworkers = 2\n"
    )

    def status(user):
        with running.connect() as client:
            return client.request("GET", "/a", [basic(user, "password")]).status

    assert {status("ann") for _ in range(10)} == {200}
    users.write_text(f"bob:{SHA1}\n")
    wait_until(lambda: {status("ann") for _ in range(10)} == {401}, "ann is out on all workers")
    wait_until(lambda: {status("bob") for _ in range(10)} == {200}, "bob is in on all workers", seconds=10)


def test_users_of_an_ldap_directory(gateway, identity, tmp_path):
    with ldap.Directory(tmp_path / "ldap", identity) as directory:
        running = gateway(
            API,
            settings=f"""
[[userStore]]
type = "ldap"
url = "{directory.tls_url}"
caFile = "{identity.certificate_file}"
bindDn = "{ldap.READER}"
bindPassword = "{ldap.READER_PASSWORD}"
searchBase = "{ldap.PEOPLE}"
groupBase = "{ldap.GROUPS}"
cacheTime = 0
[userStore.groupScopes]
writers = "write"
""",
        )
        with running.connect() as client:

            def ask(user, password, path="/a"):
                answer = client.request("GET", path, [basic(user, password)])
                return answer.status, answer.fault

            assert ask("ann", "annspass", "/write") == (200, None)
            assert ask("bob", "bobs:pass") == (200, None)
            assert ask("bob", "bobs:pass", "/write") == (403, 900910)
            assert ask("ann", "wrong") == (401, 900911)
            assert ask("*", "annspass") == (401, 900911)
            directory.stop()
            answer = client.request("GET", "/a", [basic("ann", "annspass")])
            assert (answer.status, answer.header("retry-after")) == (503, "1")
            directory.start()
            wait_until(lambda: ask("ann", "annspass") == (200, None), "the directory is asked again")
    assert "the user store `ldap` cannot be asked" in running.output
    assert "annspass" not in running.output


def test_users_of_python_in_the_project(gateway):
    accounts = (
        "def check(user, password):\n"
        "    if user == 'broken':\n        raise ValueError(password)\n"
        "    return ['write'] if (user, password) == ('ann', 'secret') else None\n"
    )
    settings = "[[userStore]]\ntype = 'python'\nprovider = 'accounts:check'\n"
    running = gateway(API, OPEN, settings=settings, files={"extensions/accounts.py": accounts})
    with running.connect() as client:
        assert client.request("GET", "/write", [basic("ann", "secret")]).status == 200
        assert client.request("GET", "/write", [basic("ann", "password")]).status == 401
        assert client.request("GET", "/write", [basic("broken", "my-password")]).status == 503
    assert "failed with ValueError at extensions/accounts.py:3" in running.output
    assert "my-password" not in running.output


def test_a_gateway_without_users_says_that_nobody_can_log_in(gateway):
    running = gateway(API)
    assert running.output.count("nobody can log in: operations take passwords") == 1
    with running.connect() as client:
        assert client.get("/a", basic("ann", "secret")).status == 401
