"""What fields are to the protocol, and that remembering them is bounded."""

import pytest

from microgate.runtime.protocols import fields
from microgate.runtime.protocols.fields import Connection, Lines, status_line, valid_hosts


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"Host: a", fields.HOST),
        (b"hOsT:a", fields.HOST),
        (b"X-Other: 1", fields.PLAIN),
        (b"X_Forwarded_For: 1.2.3.4", fields.STOPPED),
        (b"x-forwarded_for: 1.2.3.4", fields.STOPPED),
        (b"Transfer_Encoding: chunked", fields.STOPPED),
        (b"TE: trailers", fields.STOPPED),
        (b"User-Agent: x", fields.USER_AGENT),
        (b"No colon", fields.INVALID),
        (b" Folded: x", fields.INVALID),
        (b"Host : a", fields.INVALID),
        (b": empty", fields.INVALID),
        (b"X: a\rb", fields.INVALID),
        (b"X: a\nb", fields.INVALID),
        (b"X: a\x00b", fields.INVALID),
        (b"X: \xff", fields.PLAIN),
        (b"X:", fields.PLAIN),
    ],
)
def test_kinds(line, kind):
    lines = Lines(fields.REQUEST_KINDS, proves=True)
    assert lines[line] == kind
    assert lines[line] == kind
    assert lines.classify(line) == kind


def test_invented_lines_do_not_grow_the_memory():
    lines = Lines(fields.REQUEST_KINDS)
    for number in range(3 * fields.MEMO_ENTRIES):
        assert lines[b"X-%d: %d" % (number, number)] == fields.PLAIN
    assert len(lines) <= fields.MEMO_ENTRIES
    assert lines[b"Host: a"] == fields.HOST


@pytest.mark.parametrize(
    ("value", "close", "keep", "drops"),
    [
        (b"close", True, False, set()),
        (b"Keep-Alive", False, True, set()),
        (b"close, X-Drop , x-Other", True, False, {b"x-drop", b"x-other"}),
        (b"content-length, host, authorization, transfer-encoding", False, False, set()),
        (b"", False, False, set()),
    ],
)
def test_connection_options(value, close, keep, drops):
    options = Connection(value)
    assert (options.close, options.keep_alive, set(options.drops)) == (close, keep, drops)


@pytest.mark.parametrize("host", [b"a", b"a.example:80", b"[::1]:80", b"10.0.0.1", b"", b"a_b.example"])
def test_good_hosts(host):
    assert valid_hosts[host]


@pytest.mark.parametrize(
    "host", [b"user@a", b"a b", b"a/b", b"a,b:80:90", b"a\x00", b"[::1", b"a:port", b"a#b", b"a?b"]
)
def test_bad_hosts(host):
    assert not valid_hosts[host]


def test_status_lines_keep_a_reason():
    assert status_line(200, b"") == b"HTTP/1.1 200 OK"
    assert status_line(200, b"Fine") == b"HTTP/1.1 200 Fine"
    assert status_line(799, b"") == b"HTTP/1.1 799 "
