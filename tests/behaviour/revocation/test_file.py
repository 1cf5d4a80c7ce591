"""Revocation through a file, in a real gateway of two workers: what is revoked, how soon, and for how long."""

from __future__ import annotations

import json
import time

import pytest

from harness.credentials import mint
from harness.descriptions import describe
from harness.waiting import holds_for, wait_until

API = describe({"/a": ["get"]}, secured=True)
WORKERS = "[runtimeConfig]\nworkers = 2\n"


class Revoked:
    """A file of revocations, and the gateways that follow it."""

    def __init__(self, folder, gateway):
        self.file = folder / "revoked.txt"
        self.file.write_text("# nothing yet\n")
        self._gateway = gateway

    def start(self, more=""):
        settings = f'{WORKERS}[tokenRevocationConfig]\nfile = "{self.file}"\n{more}'
        self.gateway = self._gateway(API, settings=settings)
        return self.gateway

    def say(self, *entries):
        text = "".join(f"{entry if isinstance(entry, str) else json.dumps(entry)}\n" for entry in entries)
        following = self.file.with_suffix(".new")
        following.write_text(text)
        following.replace(self.file)

    def statuses(self, token, count=12):
        """Of as many connections, so that every worker is among them."""
        found = set()
        for _ in range(count):
            with self.gateway.connect() as client:
                found.add(client.get("/a", ("Authorization", f"Bearer {token}")).status)
        return found


@pytest.fixture
def revoked(tmp_path, gateway):
    return Revoked(tmp_path, gateway)


def test_case_10_revocation_beats_the_cache_on_all_workers_within_a_second(revoked):
    gateway = revoked.start()
    token, other = mint(jti="one"), mint(jti="two")
    assert revoked.statuses(token) == {200}
    revoked.say("one")
    begun = time.monotonic()
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused")
    assert time.monotonic() - begun < 1.0
    assert revoked.statuses(token) == {401}
    assert revoked.statuses(other) == {200}
    with gateway.connect() as client:
        answer = client.get("/a", ("Authorization", f"Bearer {token}"))
        assert answer.fault == 900901
        assert "revoked" in answer.header("www-authenticate")
    refused = wait_until(lambda: [line for line in gateway.log_lines() if line["status"] == 401], "refusals are logged")
    assert {line["reason"] for line in refused} == {"auth.revoked"}
    assert token not in gateway.output


def test_case_10_revocation_survives_a_restart(revoked):
    gateway = revoked.start()
    token = mint(jti="one")
    revoked.say("one")
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused")
    gateway.stop()
    (gateway.folder / "ready.json").unlink()
    gateway.start()
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused again")


def test_revocation_survives_the_death_of_steward_and_workers(revoked):
    import os
    import signal

    gateway = revoked.start()
    token, other = mint(jti="one"), mint(jti="two")
    revoked.say("one")
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused")
    for pid in gateway.processes()[1:]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(gateway.processes()) == 4, "all are there again", seconds=10)
    assert revoked.statuses(token) == {401}
    assert revoked.statuses(other) == {200}
    revoked.say("one", "two")
    wait_until(lambda: revoked.statuses(other, 4) == {401}, "a new one is followed")


@pytest.mark.parametrize(
    ("claims", "entry"),
    [
        ({"jti": None}, lambda token: token),
        ({"jti": None}, lambda token: token.rpartition(".")[2]),
        ({"jti": "x"}, lambda _: {"jti": "x", "issuer": "https://issuer.test", "expires": int(time.time()) + 600}),
        ({"jti": None, "azp": "shop"}, lambda _: {"consumer": "shop"}),
        ({"jti": None, "sub": "ann"}, lambda _: {"subject": "ann", "issuedBefore": int(time.time()) + 5}),
        ({"jti": None, "sub": "ann", "iat": None}, lambda _: {"subject": "ann", "issuedBefore": int(time.time())}),
        (
            {"jti": "y"},
            lambda token: {"jwt_signature": token.rpartition(".")[2], "expiry_time": 1000 * int(time.time() + 60)},
        ),
        ({"jti": "z"}, lambda _: {"revokedToken": "z", "ttl": "3600"}),
    ],
    ids=["token", "signature", "issued", "consumer", "subject", "no-date", "wso2-store", "wso2-message"],
)
def test_weakness_04_tokens_without_a_jti_can_be_revoked(revoked, claims, entry):
    revoked.start()
    token, other = mint(**claims), mint(sub="bob", jti="other")
    assert revoked.statuses(token, 4) == {200}
    revoked.say(entry(token))
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused")
    assert revoked.statuses(other, 4) == {200}


def test_what_is_spared_stays_good(revoked):
    revoked.start()
    now = int(time.time())
    spared = mint(sub="ann", jti="late")
    revoked.say(
        {"subject": "ann", "issuedBefore": now - 60},
        {"jti": "late", "issuer": "https://another.test"},
        {"subject": "ann", "issuer": "https://another.test"},
        {"jti": "late", "expires": now - 600},
        {"consumer": "late"},
        {"jti": "seen"},
    )
    wait_until(lambda: revoked.statuses(mint(jti="seen"), 4) == {401}, "the file was read")
    assert revoked.statuses(spared, 4) == {200}


def test_entries_leave_the_file_and_the_table(revoked):
    revoked.start("[server]\ntimestampSkew = 0\n")
    token = mint(jti="one")
    revoked.say("one")
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused")
    revoked.say("two")
    wait_until(lambda: revoked.statuses(token, 4) == {200}, "it is taken back", seconds=12)
    wait_until(lambda: "microgate_revocations 1\n" in revoked.gateway.metrics(), "the table has one entry")


def test_a_reload_keeps_what_was_revoked_and_follows_on(revoked, gateway):
    running = gateway(API, settings=f'{WORKERS}[tokenRevocationConfig]\nfile = "{revoked.file}"\n', arguments=["--dev"])
    revoked.gateway = running
    token, other = mint(jti="one"), mint(jti="two")
    revoked.say("one")
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused")
    description = running.folder / "api.json"
    description.write_text(description.read_text().replace("1.0.0", "1.0.1"))
    wait_until(lambda: "the new version serves" in running.output, "it is served anew", seconds=15)
    assert revoked.statuses(token) == {401}
    assert revoked.statuses(other) == {200}
    revoked.say("one", "two")
    wait_until(lambda: revoked.statuses(other, 4) == {401}, "a new one is followed")


def test_what_nobody_understands_is_passed_over(revoked):
    gateway = revoked.start()
    revoked.say(
        '{"jti": ', "{}", {"jti": "a", "sub": "b"}, {"jti": 5}, {"expires": 1}, {"jti": "x", "expires": "soon"}, "one"
    )
    wait_until(lambda: revoked.statuses(mint(jti="one"), 4) == {401}, "the good one counts")
    assert "microgate_revocations_misread_total 6\n" in gateway.metrics()
    (told,) = [line for line in gateway.output.splitlines() if "cannot be revoked" in line]
    assert f"the file {revoked.file} names 6 things that cannot be revoked, first line 1: it begins like JSON" in told


def test_what_is_no_entry_is_told_of_by_line_and_count_whenever_it_changes(revoked):
    revoked.file.write_text('# lost phones\n\n"quoted"\n0a1b # stolen\n["one", "two"]\nplain\n')
    gateway = revoked.start()
    wait_until(lambda: revoked.statuses(mint(jti="quoted"), 4) == {401}, "the good ones count")
    assert revoked.statuses(mint(jti="plain"), 4) == {401}
    message = "names 2 things that cannot be revoked, first line 4: a revoked value has no blanks inside"
    wait_until(lambda: message in gateway.output, "both are told of in one line")
    revoked.say("quoted", ["one", "two"])
    wait_until(lambda: "line 2: an entry is a text or an object" in gateway.output, "what is wrong now is told")
    assert gateway.output.count("cannot be revoked") == 2


@pytest.mark.parametrize("trouble", ["folder", "missing"])
@pytest.mark.parametrize(("rule", "status"), [("open", 200), ("closed", 503)])
def test_a_file_that_cannot_be_read_at_start_follows_the_rule_and_is_named(revoked, trouble, rule, status):
    revoked.file.unlink()
    if trouble == "folder":
        revoked.file.mkdir()
    gateway = revoked.start(f'whenUnavailable = "{rule}"\n')
    assert revoked.statuses(mint(jti="one"), 4) == {status}
    reason = {"folder": "is a directory", "missing": "no such file or directory"}
    wait_until(lambda: f"file {revoked.file} cannot be had: {reason[trouble]}; nothing of it" in gateway.output, "why")
    closed = f"every credential is answered 503 until the file {revoked.file} can be had"
    if rule == "closed":
        wait_until(lambda: closed in gateway.output, "what it means")
    assert gateway.output.count(closed) == (rule == "closed")
    assert gateway.output.count("cannot be had") == 1


def test_closed_lets_nobody_in_before_the_source_is_there(revoked):
    content = revoked.file.read_text()
    revoked.file.unlink()
    gateway = revoked.start('whenUnavailable = "closed"\ntoleratedOutageInMillis = 0\n')
    token = mint(jti="one")
    assert revoked.statuses(token) == {503}
    with gateway.connect() as client:
        answer = client.get("/a", ("Authorization", f"Bearer {token}"))
        assert (answer.fault, answer.header("retry-after")) == (900900, "1")
    assert _readiness(gateway) == (503, "what was revoked is not known\n")
    revoked.file.write_text(content)
    wait_until(lambda: revoked.statuses(token, 4) == {200}, "the source is there")
    assert _readiness(gateway)[0] == 200
    revoked.file.unlink()
    wait_until(lambda: revoked.statuses(token, 4) == {503}, "it is gone")
    assert gateway.output.count("it is not known what was revoked") == 2, "once at start, once since"


def test_open_goes_by_what_is_known(revoked):
    gateway = revoked.start()
    token, other = mint(jti="one"), mint(jti="two")
    revoked.say("one")
    wait_until(lambda: revoked.statuses(token, 4) == {401}, "it is refused")
    revoked.file.unlink()
    wait_until(lambda: "cannot be had: no such file or directory" in gateway.output, "the outage is told")
    holds_for(lambda: revoked.statuses(token, 4) == {401} and revoked.statuses(other, 4) == {200})
    assert gateway.output.count("cannot be had") == 1


def _readiness(gateway):
    from harness.client import Client

    with Client(int(gateway.ready["admin"])) as client:
        answer = client.get("/readyz", ("Connection", "close"))
        return answer.status, answer.body.decode()
