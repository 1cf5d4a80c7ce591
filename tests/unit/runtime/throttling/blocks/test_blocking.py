"""Blocks: who is shut out and who is not, sources that add up, the file's form, and lists on their way to workers."""

from __future__ import annotations

import json
import time

import pytest

from microgate.plan.model import Api, Block
from microgate.runtime import control, faults
from microgate.runtime.control import Hello
from microgate.runtime.throttling.blocks import blocking, blocking_file
from microgate.runtime.throttling.blocks.block_sender import BlockSender
from microgate.runtime.throttling.blocks.blocking import Blocks
from microgate.runtime.throttling.blocks.blocking_file import BlockingFileError, Follower, read

API = Api("api_1", "Pets", "1.0", "/pets", "pets.yaml", ())

SHUT_OUT = [
    (Block("api", "/pets"), {}, "api"),
    (Block("api", "/pets/"), {}, "api"),
    (Block("api", "/pets/1.0"), {}, "api"),
    (Block("user", "mallory"), {"user": "mallory"}, "user"),
    (Block("user", "mallory"), {"user": "mallory@carbon.super"}, "user"),
    (Block("user", "mallory@carbon.super"), {"user": "mallory"}, "user"),
    (Block("user", "m@shop.example"), {"user": "m@shop.example"}, "user"),
    (Block("application", "ann:shop"), {"application": {"name": "shop", "owner": "ann"}}, "application"),
    (Block("application", "ann:a:b"), {"application": {"name": "a:b", "owner": "ann@carbon.super"}}, "application"),
    (Block("address", networks=("192.0.2.7",)), {}, "address"),
    (Block("address", networks=("192.0.2.7",)), {"user": "bob"}, "address"),
    (Block("address", networks=("192.0.2.0-192.0.2.7", "10.0.0.0/8")), {}, "address"),
    (Block("address", networks=("2001:db8::/32",)), {"client": "2001:db8::7"}, "address"),
    (Block("address", networks=("192.0.2.7",)), {"client": "::ffff:192.0.2.7"}, "address"),
    (Block("address", networks=("10.0.0.0/8",), invert=True), {}, "address"),
    (Block("address", networks=("10.0.0.0/8",), invert=True), {"client": "unknown"}, "address"),
    (Block("address", networks=("10.0.0.0/8",), invert=True), {"client": "unix"}, "address"),
]

LET_IN = [
    (Block("api", "/pet"), {}),
    (Block("api", "/pets/2.0"), {}),
    (Block("api", "/"), {}),
    (Block("user", "mallory"), {}),
    (Block("user", "mallory"), {"user": "Mallory"}),
    (Block("user", "mallory"), {"user": "mallory@shop.example"}),
    (Block("user", "ann:shop"), {"application": {"name": "shop", "owner": "ann"}}),
    (Block("application", "ann:shop"), {"application": {"name": "shop", "owner": "bob"}}),
    (Block("application", "ann:shop"), {"application": {"name": "", "owner": "ann"}}),
    (Block("application", "ann:shop"), {"user": "ann:shop"}),
    (Block("address", networks=("192.0.2.8",)), {}),
    (Block("address", networks=("0.0.0.0/0",)), {"client": "unix"}),
    (Block("address", networks=("192.0.2.0/24",), invert=True), {}),
]


def _check(blocks, exchange):
    return blocking.link(blocks, API)(exchange)


def _blocking(*listed):
    blocks = Blocks()
    blocks.replace("project", listed)
    return blocks


@pytest.mark.parametrize(("block", "request_", "why"), SHUT_OUT)
def test_who_is_shut_out(block, request_, why, exchange_of):
    blocks = _blocking(block)
    for _ in range(2):
        fault = _check(blocks, exchange_of(**request_))
        assert (fault.kind, fault.reason) == (faults.BLOCKED, f"throttle.blocked.{why}")


@pytest.mark.parametrize(("block", "request_"), LET_IN)
def test_who_is_let_in(block, request_, exchange_of):
    blocks = _blocking(block)
    for _ in range(2):
        assert _check(blocks, exchange_of(**request_)) is None


def test_who_vouches_beside_the_caller_is_shut_out_too(exchange_of):
    exchange = exchange_of(user="bob")
    exchange.beside = (exchange_of(user="mallory").consumer,)
    assert _check(_blocking(Block("user", "mallory")), exchange).reason == "throttle.blocked.user"


def test_a_forged_header_frees_nobody(exchange_of):
    """What is asked is the client behind trusted proxies, which the protocol has found."""
    exchange = exchange_of(b"X-Forwarded-For: 10.0.0.1", b"X-Real-IP: 10.0.0.1")
    assert _check(_blocking(Block("address", networks=("192.0.2.7",))), exchange).reason == "throttle.blocked.address"
    assert _check(_blocking(Block("address", networks=("10.0.0.1",))), exchange) is None


def test_sources_add_up_and_replace_their_own_alone(exchange_of):
    blocks = _blocking(Block("user", "ann"))
    blocks.replace("file", (Block("user", "bob"), Block("address", networks=("10.0.0.1",))))

    def shut_out():
        callers = [exchange_of(user="ann"), exchange_of(user="bob"), exchange_of(client="10.0.0.1")]
        return [_check(blocks, exchange) is not None for exchange in callers]

    assert shut_out() == [True, True, True]
    blocks.replace("file", (Block("user", "carl"),))
    assert shut_out() == [True, False, False]
    blocks.replace("project", ())
    assert shut_out() == [False, False, False]
    assert blocks.active
    blocks.replace("file", ())
    assert not blocks.active


def test_a_list_that_cannot_be_changes_nothing(exchange_of):
    blocks = _blocking(Block("user", "ann"))
    with pytest.raises(ValueError, match="nonsense"):
        blocks.replace("project", (Block("address", networks=("nonsense",)),))
    assert _check(blocks, exchange_of(user="ann")) is not None


def test_checks_take_no_longer_with_many_blocks(exchange_of):
    listed = [Block("user", f"user-{number}") for number in range(5_000)]
    listed += [Block("address", networks=(f"10.{number >> 8}.{number & 255}.0/30",)) for number in range(5_000)]
    check = blocking.link(_blocking(*listed), API)
    exchange = exchange_of(user="somebody")
    check(exchange)
    began = time.process_time()
    for _ in range(1_000):
        check(exchange)
    assert time.process_time() - began < 0.05


GOOD_LINES = [
    ('{"user": "mallory"}', Block("user", "mallory")),
    ('{"api": "/pets/1.0"}', Block("api", "/pets/1.0")),
    ('{"application": "ann:shop"}', Block("application", "ann:shop")),
    ('{"address": "192.0.2.7"}', Block("address", networks=("192.0.2.7",))),
    (
        '{"addresses": ["10.0.0.0/8", " 10.0.0.1 - 10.0.0.9 "]}',
        Block("address", networks=("10.0.0.0/8", "10.0.0.1 - 10.0.0.9")),
    ),
    ('{"address": "2001:db8::/32", "invert": true}', Block("address", networks=("2001:db8::/32",), invert=True)),
    ('  {"user": "müller", "invert": false}  \r', Block("user", "müller")),
]

BAD_LINES = [
    ("mallory", "no JSON object"),
    ("[]", "no JSON object"),
    ('{"user": "a"', "no JSON object"),
    ('{"user": "a"} {"user": "b"}', "no JSON object"),
    ("[" * 5_000, "no JSON object"),
    ("{}", "not exactly one"),
    ('{"user": "a", "api": "/b"}', "not exactly one"),
    ('{"address": "10.0.0.1", "addresses": []}', "not exactly one"),
    ('{"User": "a"}', "a key beside"),
    ('{"user": ""}', "no text"),
    ('{"user": 7}', "no text"),
    ('{"user": null}', "no text"),
    ('{"user": "%s"}' % ("x" * 1_025), "more than 1024"),
    ('{"user": "a", "invert": true}', "only addresses"),
    ('{"address": "10.0.0.1", "invert": "yes"}', "`invert`"),
    ('{"api": "pets"}', "begins with `/`"),
    ('{"application": "shop"}', "<owner>:<name>"),
    ('{"address": []}', "or a list of them"),
    ('{"address": [7]}', "or a list of them"),
    ('{"address": "10.0.0.1/8"}', "address 1 of it"),
    ('{"address": ["10.0.0.1", "10.0.0.9-10.0.0.1"]}', "address 2 of it"),
    (json.dumps({"address": ["10.0.0.1"] * 1_001}), "more than 1000 addresses"),
]


@pytest.mark.parametrize(("line", "block"), GOOD_LINES)
def test_a_line_of_the_file_is_a_block(line, block):
    assert read(f"# who and why\n\n{line}\n".encode()) == (block,)


@pytest.mark.parametrize(("line", "why"), BAD_LINES)
def test_a_line_that_is_none_is_told_by_its_number(line, why):
    with pytest.raises(BlockingFileError, match=r"^line 3: ") as raised:
        read(f'# who\n{{"user": "ann"}}\n{line}\n'.encode())
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"user": "\xff"}', "line 1: it is no JSON object"),
        (b"\x00" * 10, "line 1: it is no JSON object"),
        (b"#" * ((4 << 20) + 1), "larger than"),
        (b'{"user": "a"}\n' * 10_001, "more than 10000 blocks"),
    ],
)
def test_a_file_that_is_none(data, why):
    with pytest.raises(BlockingFileError, match=why):
        read(data)


def test_an_empty_file_shuts_nobody_out():
    assert read(b"") == read(b"# nobody\n\n") == ()


class Wires:
    """Ends of real messages: what a hub sends is encoded, and read by workers; `room` is how many each way takes."""

    def __init__(self, workers=2):
        self.workers = workers
        self.room = 1_000
        self.blocks = [Blocks() for _ in range(workers)]
        self.handlers = []
        self.largest = 0

    def send(self, slot, message):
        if self.room <= 0:
            return False
        self.room -= 1
        data = control.encode(message)
        self.largest = max(self.largest, len(data))
        self.blocks[slot].on_part(control.decode_for_worker(data))
        return True

    def subscribe(self, kind, handler):
        self.handlers.append(handler)


def _is_out(blocks, exchange):
    return _check(blocks, exchange) is not None


def test_a_long_list_comes_in_parts_that_fit_and_in_force_at_once(exchange_of):
    wires = Wires()
    sender = BlockSender(wires, "file")
    listed = [
        Block("address", networks=tuple(f"2001:db8::{one:x}:{two:x}" for two in range(1_000))) for one in range(60)
    ]
    sender.replace((Block("user", "first"), *listed, Block("user", "last")))
    wires.room = 5
    assert not sender.push()
    assert not _is_out(wires.blocks[0], exchange_of(user="first"))  # half a list is none
    wires.room = 1_000
    assert sender.push()
    assert wires.largest <= control.MAX_BYTES
    for blocks in wires.blocks:
        assert all(_is_out(blocks, exchange_of(user=user)) for user in ("first", "last"))
        assert _is_out(blocks, exchange_of(client="2001:db8::3b:3e7"))
        assert not _is_out(blocks, exchange_of(client="2001:db8::3c:0"))


def test_a_worker_that_begins_anew_gets_the_whole_list(exchange_of):
    wires = Wires()
    sender = BlockSender(wires, "file")
    sender.replace((Block("user", "ann"),))
    sender.push()
    wires.blocks[1] = Blocks()
    wires.handlers[0](1, Hello(1, 4711))
    assert _is_out(wires.blocks[1], exchange_of(user="ann"))


def test_a_list_of_nobody_frees_all(exchange_of):
    wires = Wires()
    sender = BlockSender(wires, "file")
    for listed in ((Block("user", "ann"),), ()):
        sender.replace(listed)
        assert sender.push()
    assert not _is_out(wires.blocks[0], exchange_of(user="ann"))


def test_the_middle_of_a_list_alone_says_nothing(exchange_of):
    blocks = Blocks()
    blocks.on_part(control.BlockList("file", 1, is_last=True, blocks=(Block("user", "ann"),)))
    assert not blocks.active


def test_a_followed_file_keeps_the_last_good_list_and_tells_of_each_change_once(tmp_path, exchange_of, caplog):
    caplog.set_level("INFO")
    file = tmp_path / "blocked.jsonl"
    wires = Wires(1)
    file.write_text('{"user": "ann"}\n')
    follower = Follower(str(file), wires)

    def look():
        for _ in range(3):
            follower.look()
            follower._sender.push()
        told = [record.message.replace(str(file), "FILE") for record in caplog.records]
        caplog.clear()
        return [_is_out(wires.blocks[0], exchange_of(user=user)) for user in ("ann", "bob")], told

    assert look() == ([True, False], [])
    file.write_text('{"user": "bob"}\n{"user": "carl"}\n')
    assert look() == ([False, True], ["2 blocks of `FILE` are in force"])
    file.write_text('{"user": "ann"}\nnonsense\n')
    assert look() == (
        [False, True],
        ["cannot use `FILE`: line 2: it is no JSON object; the last good list stays in force"],
    )
    file.unlink()
    assert look() == (
        [False, True],
        ["cannot use `FILE`: no such file or directory; the last good list stays in force"],
    )
    file.write_text("")
    assert look() == ([False, False], ["0 blocks of `FILE` are in force"])


def test_a_worker_that_begins_has_the_file_at_once(tmp_path, exchange_of):
    file = tmp_path / "blocked.jsonl"
    file.write_text('{"user": "ann"}\n')
    blocks = Blocks()
    blocking_file.begin(str(file), blocks)
    assert _is_out(blocks, exchange_of(user="ann"))
    file.write_text("nonsense")
    blocking_file.begin(str(file), blocks)
    assert _is_out(blocks, exchange_of(user="ann"))
