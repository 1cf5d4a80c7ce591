"""The line an exchange leaves, in each form, whatever the client sent."""

import json
import re
import shlex
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgate.errors import SettingsError
from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.observability import access_log
from microgate.runtime.observability.metrics import rows

KEYS = re.findall(
    r"\w+",
    """time request_id trace_id span_id client method path route api version operation_id status reason decided_by
    response_flag upstream bytes_in bytes_out duration_ms upstream_ms gateway_ms consumer application application_tier
    subscription_tier limit_level limit_policy limit_verdict limit_remaining user_agent protocol""",
)


@pytest.fixture
def line_of(plan):
    """The line of an exchange with an operation of the plan, as text without its newline."""

    def make(form, exchange, row=1, times=(1_234_567, 800_000, 1_001)):
        line = access_log.choose(form).link(rows(plan)[row])(exchange, *times).decode("ascii")
        assert line.count("\n") == 1
        assert line.endswith("\n")
        return line[:-1]

    return make


def served(exchange_of, **fields):
    return exchange_of(
        **{
            "target": b"/pets/1/pet/7?api_key=secret",
            "request_id": "abc-123",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": "b7ad6b7169203331",
            "status": 200,
            "answer_head_at": 1.0,
            "upstream_name": "pets_prod",
            "bytes_in": 12,
            "bytes_out": 3456,
            "consumer": "alice",
            "user_agent": b"curl/8.1",
            "lines": [b"Referer: https://example.com/a", b"X: y"],
            **fields,
        }
    )


def test_json_says_everything_about_an_exchange(line_of, exchange_of):
    before = time.time()
    found = json.loads(line_of("json", served(exchange_of)))
    assert list(found) == KEYS
    began = datetime.strptime(found.pop("time"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    assert before - 1.236 <= began <= time.time() - 1.234
    assert found == {
        "request_id": "abc-123",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/pets/1/pet/7",
        "route": "/pets/1/pet/{id}",
        "api": "Pets",
        "version": "1.0",
        "operation_id": "getPet",
        "status": 200,
        "reason": "",
        "decided_by": "backend",
        "response_flag": "-",
        "upstream": "pets_prod",
        "bytes_in": 12,
        "bytes_out": 3456,
        "duration_ms": 1234.567,
        "upstream_ms": 800.0,
        "gateway_ms": 1.001,
        "consumer": "alice",
        "application": "",
        "application_tier": "",
        "subscription_tier": "",
        "limit_level": "",
        "limit_policy": "",
        "limit_verdict": "",
        "limit_remaining": None,
        "user_agent": "curl/8.1",
        "protocol": "HTTP/1.1",
    }


def test_a_refused_request_says_why_and_asked_no_backend(line_of, exchange_of):
    exchange = exchange_of(status=401, fault=Fault(faults.INVALID_CREDENTIALS, "auth.jwt.expired"), version=0)
    found = json.loads(line_of("json", exchange, times=(950, -1, 950)))
    assert (found["reason"], found["decided_by"], found["response_flag"]) == ("auth.jwt.expired", "gateway", "UAEX")
    assert (found["duration_ms"], found["upstream_ms"], found["gateway_ms"]) == (0.95, None, 0.95)
    assert (found["consumer"], found["upstream"], found["protocol"]) == ("", "", "HTTP/1.0")


def test_a_malformed_request_has_a_line_too(line_of, exchange_of):
    fault = Fault(faults.BAD_REQUEST, "http.bad_request.line")
    exchange = exchange_of(b"", status=400, fault=fault, method="", version=9, user_agent=b"\x00\xff\r\n")
    found = json.loads(line_of("json", exchange, row=0))
    assert (found["method"], found["path"], found["route"], found["protocol"]) == ("", "", "", "")
    assert found["user_agent"] == "\x00\\xff\r\n"
    assert line_of("combined", exchange, row=0).endswith('"- - -" 400 0 "-" "\\x00\\xff\\x0d\\x0a"')


def test_combined_is_what_apache_writes(line_of, exchange_of):
    line = line_of("combined", served(exchange_of, consumer="alice b"))
    month = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000"
    assert re.fullmatch(
        rf'192\.0\.2\.7 - alice\\x20b \[{month}\] "GET /pets/1/pet/7 HTTP/1\.1" 200 3456 '
        r'"https://example\.com/a" "curl/8\.1"',
        line,
    )


def test_the_query_is_not_logged_unless_a_template_asks_for_it(line_of, exchange_of):
    exchange = served(exchange_of)
    assert "secret" not in line_of("json", exchange)
    assert "secret" not in line_of("combined", exchange)
    assert line_of("{target}", exchange) == "/pets/1/pet/7?api_key=secret"


def test_a_template_has_every_field_of_json(line_of, exchange_of):
    template = " ".join(f"{key}={{{key}}}" for key in KEYS)
    found = dict(part.split("=", 1) for part in line_of(template, served(exchange_of)).split(" "))
    expected = json.loads(line_of("json", served(exchange_of)))
    for key in KEYS:
        if key.endswith("_ms"):
            assert found[key] == f"{expected[key]:.3f}"
        elif key != "time":
            assert found[key] == ("-" if expected[key] in {"", None} else str(expected[key]))


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("100% {{{method}}} {status}%s", "100% {GET} 200%s"),
        ("{scheme}://{host}{path}", "https://-/pets/1/pet/7"),
        ("{referer}|{response_flag}|{decided_by}|{reason}", "https://example.com/a|-|backend|-"),
    ],
)
def test_templates(line_of, exchange_of, template, line):
    assert line_of(template, served(exchange_of)) == line


def test_off_writes_nothing():
    assert access_log.choose("off") is None


@pytest.mark.parametrize(
    ("form", "message", "hint"),
    [
        ("jsn", "unknown format `jsn`", "`json`"),
        ("", "unknown format ``", "template"),
        ("{stauts}", "unknown field `stauts`", "did you mean `status`?"),
        ("{}", "unknown field ``", "fields are"),
        ("{0.__class__}", "unknown field `0.__class__`", "fields are"),
        ("{status", "a single `{`", "`{{`"),
        ("{status}}", "a single `}`", "`}}`"),
        ("{status}\n{path}", "one line", ""),
    ],
)
def test_a_wrong_format_says_what_to_do(form, message, hint):
    with pytest.raises(SettingsError, match=re.escape(message)) as raised:
        access_log.choose(form)
    assert hint in raised.value.hint
    assert str(raised.value).startswith("`accessLogConfig.format`: ")


HOSTILE = st.fixed_dictionaries(
    {
        "path": st.binary(max_size=40),
        "user_agent": st.binary(max_size=40),
        "method": st.text(st.characters(codec=None), max_size=8),
        "consumer": st.text(st.characters(codec=None), max_size=20),
        "client": st.text(max_size=20),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(fields=HOSTILE)
def test_no_input_breaks_a_line(line_of, exchange_of, fields):
    exchange = served(exchange_of, **fields)
    found = json.loads(line_of("json", exchange))
    assert list(found) == KEYS
    line = line_of("combined", exchange)
    assert line.isprintable()
    assert len(shlex.split(line.replace("'", "_").replace("#", "_"))) == 10


def test_the_second_changes_with_the_clock(line_of, exchange_of, plan):
    line = access_log.choose("json").link(rows(plan)[1])
    exchange = served(exchange_of)
    long_ago = json.loads(line(exchange, 3_600_000_000, 1, 1))["time"]
    now = json.loads(line(exchange, 0, 0, 0))["time"]
    assert long_ago < now
    assert long_ago[14:19] in {now[14:19], f"{int(now[14:16]) - 1:02d}:59"}
