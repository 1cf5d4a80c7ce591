"""API keys at the wire: signed ones and those of a store, where they may come from, and that they go no further."""

from __future__ import annotations

import subprocess
import time

import pytest

from harness.credentials import mint, other_key, public_pem
from harness.descriptions import describe
from harness.process import COMMAND
from harness.waiting import wait_until

ISSUER = "https://localhost:9095/apikey"
PLACES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "oauth": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "https://id.test/t", "scopes": {"read": "", "write": ""}}},
    },
}
API = describe(
    {"/a": {"get": {}}, "/scoped": {"get": {"security": [{"header": []}, {"oauth": ["read"]}]}}},
    secured=True,
    title="T",
    components={"securitySchemes": PLACES},
    security=[{"header": []}, {"query": []}],
)


def signed(**claims):
    return mint(**{"iss": ISSUER, "exp": None, "keytype": "PRODUCTION", **claims})


@pytest.fixture
def start(gateway, tmp_path):
    (tmp_path / "key.pem").write_bytes(public_pem())

    def begin(more="", *, check="", settings=""):
        text = f'[apikey.tokenConfigs]\ncertificateFile = "{tmp_path / "key.pem"}"\n{check}\n{settings}\n'
        return gateway(API, settings=f"[apikey]\n{more}\n{text}")

    return begin


def ask(client, key, path="/a", **headers):
    fields = [("X-API-Key", key), *((name.replace("_", "-"), value) for name, value in headers.items())]
    answer = client.request("GET", path, fields)
    return answer.status, answer.fault


def test_signed_keys_are_verified_and_go_no_further(start, backend):
    with start().connect() as client:
        assert ask(client, signed()) == (200, None)
        assert ask(client, signed()) == (200, None)
        key = signed()
        assert client.get(f"/a?x=%20&key={key}&y=1&y=").status == 200
        assert client.get(f"/a?key={key}").status == 200
        assert client.get(f"/a?x=1&%6bey={key}").status == 200
        assert client.get("/a").fault == 900902
    targets = [request.target for request in backend.requests]
    assert targets[2:] == ["/a?x=%20&y=1&y=", "/a", "/a?x=1"]
    assert not any(request.header("x-api-key") for request in backend.requests)


def test_case_15_keys_are_sent_on_where_the_project_wants_it(start, backend):
    with start("removeFromOutMessage = false").connect() as client:
        key = signed()
        assert ask(client, key) == (200, None)
        assert client.get(f"/a?key={key}").status == 200
    assert backend.requests[0].header("x-api-key") == key
    assert backend.requests[1].target == f"/a?key={key}"


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda: mint(other_key(), iss=ISSUER), id="another key"),
        pytest.param(mint, id="another issuer"),
        pytest.param(lambda: signed(exp=int(time.time()) - 300), id="expired"),
        pytest.param(lambda: signed(nbf=int(time.time()) + 300), id="not yet"),
        pytest.param(lambda: signed()[:-3] + "AAA", id="changed"),
        pytest.param(lambda: mint(header={"alg": "none"}, iss=ISSUER), id="none"),
        pytest.param(lambda: signed(permittedIP="127.0.0.0/33"), id="no address"),
        pytest.param(lambda: signed(allowedAPIs="T"), id="no list"),
        pytest.param(lambda: "mgk_" + "a" * 46, id="no store"),
        pytest.param(lambda: "x" * 5000, id="long"),
        pytest.param(lambda: "...", id="dots"),
        pytest.param(lambda: "\xff\xfe", id="bytes"),
    ],
)
def test_keys_that_are_not_good_are_refused(shared_pair, tmp_path_factory, key):
    with shared_pair((API,), _trusting(tmp_path_factory)).gateway.connect() as client:
        assert ask(client, key()) == (401, 900901)


def _trusting(factory):
    """One settings text for all rows, so that they share a gateway."""
    if not _FILES:
        file = factory.mktemp("keys") / "key.pem"
        file.write_bytes(public_pem())
        _FILES.append(f'[apikey.tokenConfigs]\ncertificateFile = "{file}"\n')
    return _FILES[0]


_FILES: list[str] = []


def test_two_keys_are_one_too_many(shared_pair, tmp_path_factory):
    with shared_pair((API,), _trusting(tmp_path_factory)).gateway.connect() as client:
        assert ask(client, signed(), f"/a?key={signed()}") == (401, 900901)


def test_allowed_apis_count_where_the_settings_say_so(start):
    good = [{"name": "T", "version": "1.0.0"}]
    with start(check="validateAllowedAPIs = true").connect() as client:
        assert ask(client, signed(allowedAPIs=good)) == (200, None)
        assert ask(client, signed(allowedAPIs=[{"name": "T", "version": "*"}])) == (200, None)
        assert ask(client, signed(subscribedAPIs=good, allowedAPIs=[])) == (200, None)
        for claims in ({}, {"allowedAPIs": []}, {"allowedAPIs": [{"name": "T", "version": "2"}]}):
            assert ask(client, signed(**claims)) == (401, 900901)
    with start().connect() as client:
        assert ask(client, signed(allowedAPIs=[{"name": "other", "version": "*"}])) == (200, None)


def test_keys_can_be_bound_to_addresses_and_pages(start):
    with start().connect() as client:
        assert ask(client, signed(permittedIP="10.0.0.0/8, 127.0.0.1")) == (200, None)
        assert ask(client, signed(permittedIP="::1,10.0.0.1")) == (403, 900908)
        assert ask(client, signed(permittedIP="::ffff:127.0.0.1")) == (200, None)
        # APIM writes both into every key that nobody bound.
        assert ask(client, signed(permittedIP="", permittedReferer="")) == (200, None)
        for nowhere in ([], [""], ",", " "):
            assert ask(client, signed(permittedIP=nowhere)) == (403, 900908)
            assert ask(client, signed(permittedReferer=nowhere), Referer="https://a.test/") == (403, 900908)
        key = signed(permittedReferer="www.shop.test/*,*.page.test/a")
        assert ask(client, key) == (403, 900908)
        assert ask(client, key, Referer="https://www.shop.test/cart") == (200, None)
        assert ask(client, key, Referer="https://www.page.test/a") == (200, None)
        assert ask(client, key, Referer="https://evil.test/?www.shop.test/") == (403, 900908)


def test_case_11_scopes_do_not_matter_to_signed_keys(start):
    with start().connect() as client:
        assert ask(client, signed(), "/scoped") == (200, None)


def run_key(*words):
    done = subprocess.run([COMMAND, "key", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def ids(store):
    return [line.split()[0] for line in run_key("list", "--store", str(store)).splitlines()[1:]]


@pytest.mark.parametrize("name", ["keys.db", "keys.json"])
def test_keys_of_a_store_live_and_die_without_a_restart(gateway, tmp_path, name):
    store = tmp_path / name
    first = run_key("create", "--store", str(store), "--consumer", "billing")
    running = gateway(API, settings=f'[apikey]\nstore = "{store}"\n[runtimeConfig]\nworkers = 2\n')
    with running.connect() as client, running.connect() as second, running.connect() as third:
        everybody = (client, second, third)
        assert [ask(one, first) for one in everybody] == [(200, None)] * 3
        other = run_key("create", "--store", str(store), "--consumer", "shop", "--address", "10.1.1.1")
        wait_until(lambda: [ask(one, other)[0] for one in everybody] == [403] * 3, "the new key", seconds=2)
        run_key("revoke", "--store", str(store), ids(store)[0])
        wait_until(lambda: [ask(one, first)[0] for one in everybody] == [401] * 3, "the revocation", seconds=2)
    assert first not in store.read_bytes().decode("latin-1")
    assert first not in running.output


def test_keys_of_a_store_have_scopes_and_apis(gateway, tmp_path):
    store = str(tmp_path / "keys.db")
    common = ("create", "--store", store, "--consumer", "a")
    read, nothing = run_key(*common, "--scope", "read,x"), run_key(*common)
    mine, foreign = run_key(*common, "--api", "T:1.0.0"), run_key(*common, "--api", "Other:*")
    with gateway(API, settings=f'[apikey]\nstore = "{store}"\n').connect() as client:
        assert ask(client, read, "/scoped") == (200, None)
        assert ask(client, nothing, "/scoped") == (403, 900910)
        assert ask(client, mine) == (200, None)
        assert ask(client, foreign) == (401, 900901)
        assert ask(client, read[:-1] + ("a" if read[-1] != "a" else "b")) == (401, 900901)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("keys.db", lambda _: b"garbage" * 1000),
        ("keys.json", lambda _: b"\0garbage" * 1000),
        ("keys.json", lambda good: good[:-30]),
        ("keys.json", lambda _: b""),
    ],
)
def test_a_store_that_breaks_leaves_the_last_keys_in_use(gateway, tmp_path, name, broken):
    store = tmp_path / name
    key = run_key("create", "--store", str(store), "--consumer", "a")
    good = store.read_bytes()
    running = gateway(API, settings=f'[apikey]\nstore = "{store}"\n')
    with running.connect() as client:
        assert ask(client, key) == (200, None)
        store.write_bytes(broken(good))
        wait_until(lambda: "last stay in use" in running.output, "the complaint")
        assert ask(client, key) == (200, None)
        store.write_bytes(good)
        run_key("revoke", "--store", str(store), ids(store)[0])
        wait_until(lambda: ask(client, key) == (401, 900901), "it is followed again")
    assert running.output.count("last stay in use") == 1
    assert "Traceback" not in running.output


def test_a_store_that_everybody_may_write_is_not_read(gateway, tmp_path):
    store = tmp_path / "keys.json"
    first = run_key("create", "--store", str(store), "--consumer", "a")
    running = gateway(API, settings=f'[apikey]\nstore = "{store}"\n')
    with running.connect() as client:
        assert ask(client, first) == (200, None)
        store.chmod(0o666)
        late = run_key("create", "--store", str(store), "--consumer", "b")
        wait_until(lambda: "may be written by everybody" in running.output, "the complaint")
        assert (ask(client, late), ask(client, first)) == ((401, 900901), (200, None))
    with pytest.raises(AssertionError, match="may be written by everybody"):
        gateway(API, settings=f'[apikey]\nstore = "{store}"\n')


def test_a_rotated_key_has_a_successor(gateway, tmp_path):
    store = tmp_path / "keys.db"
    old = run_key("create", "--store", str(store), "--consumer", "a")
    new = run_key("rotate", "--store", str(store), ids(store)[0])
    with gateway(API, settings=f'[apikey]\nstore = "{store}"\n').connect() as client:
        assert ask(client, new) == (200, None)
        assert ask(client, old) == (401, 900901)


def test_without_key_material_signed_keys_are_refused(gateway):
    with gateway(API).connect() as client:
        assert ask(client, signed()) == (401, 900901)


def test_a_key_of_the_store_that_names_no_api_is_good_for_all(start, tmp_path):
    store = tmp_path / "keys.db"
    key = run_key("create", "--store", str(store), "--consumer", "ann")
    running = start(f'store = "{store}"', check="validateAllowedAPIs = true")
    with running.connect() as client:
        wait_until(lambda: ask(client, key) == (200, None), "it is known")
        assert ask(client, signed()) == (401, 900901)


def test_case_9_a_store_or_certificate_that_is_not_there_stops_the_start(gateway, tmp_path):
    for table, name in (("[apikey]\nstore", "keys.db"), ("[apikey.tokenConfigs]\ncertificateFile", "key.pem")):
        with pytest.raises(AssertionError, match=name):
            gateway(API, settings=f'{table} = "{tmp_path / name}"\n')
