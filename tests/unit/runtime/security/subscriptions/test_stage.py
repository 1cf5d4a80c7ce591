"""What states of a subscription mean, and what is kept of them with a caller."""

from __future__ import annotations

import asyncio

import pytest

from harness.minting import settings_of
from microgate.plan import model
from microgate.runtime.control import Subscriber, SubscribersChanged
from microgate.runtime.exchange import Consumer, Subscription
from microgate.runtime.security import breaker
from microgate.runtime.security.subscriptions import stage as subscriptions
from microgate.runtime.security.subscriptions.hub_records import HubRecords
from microgate.runtime.security.subscriptions.stage import Subscriptions, judge_state, tenant_of
from microgate.settings.model import Security

API = model.Api(id="a1", name="Shop", version="1", base_path="/shop", file="shop.yaml", operations=())


@pytest.mark.parametrize(
    ("state", "production", "sandbox"),
    [
        ("UNBLOCKED", "", ""),
        ("TIER_UPDATE_PENDING", "", ""),
        ("BLOCKED", subscriptions.BLOCKED, subscriptions.BLOCKED),
        ("PROD_ONLY_BLOCKED", subscriptions.BLOCKED, ""),
        ("ON_HOLD", subscriptions.INACTIVE, subscriptions.INACTIVE),
        ("REJECTED", subscriptions.MISSING, subscriptions.MISSING),
        ("", subscriptions.MISSING, subscriptions.MISSING),
        ("unblocked", subscriptions.MISSING, subscriptions.MISSING),
    ],
)
def test_weakness_22_states(state, production, sandbox):
    assert judge_state(state, "PRODUCTION") == production
    assert judge_state(state, "SANDBOX") == sandbox


@pytest.mark.parametrize(
    ("owner", "tenant"),
    [("alice", "carbon.super"), ("alice@a.example", "a.example"), ("a@b@c", "c"), ("", "carbon.super")],
)
def test_tenants(owner, tenant):
    assert tenant_of(owner) == tenant


@pytest.mark.parametrize("credential", ["basic", "api_key", "mutual_tls", "forward"])
def test_only_tokens_belong_to_applications(credential):
    judge = Subscriptions(settings_of(security=Security(validate_subscriptions=True)), None, None).judge
    assert judge(Consumer("alice", credential), API).refusal == ""
    assert judge(Consumer("alice", "oauth2"), API).refusal == subscriptions.MISSING


class Steward:
    """A channel whose other side answers as a test tells it to."""

    def __init__(self):
        self.handlers = {}
        self.wanted = []
        self.has_room = True

    def subscribe(self, kind, handler):
        self.handlers[kind] = handler

    def send(self, message):
        self.wanted.append(message)
        return self.has_room

    def tell(self, message):
        self.handlers[type(message)](message)

    def answer(self, key, state="UNBLOCKED", *, available=True, good_for_s=60.0):
        application = ("Web", "1", "u-1", "alice", "Large")
        self.tell(
            Subscriber(
                key,
                API.id,
                available=available,
                known=bool(state),
                application=application if state else (),
                key_type="SANDBOX" if state else "",
                tier="Gold" if state else "",
                state=state,
                good_for_s=good_for_s,
            )
        )


def _caller(key="web"):
    consumer = Consumer("alice", "jwt")
    consumer.consumer_key = key
    return consumer


def _known(steward):
    hub = HubRecords(steward)
    return Subscriptions(settings_of(security=Security(validate_subscriptions=True)), None, hub)


def test_many_callers_ask_the_steward_once():
    async def play():
        steward = Steward()
        known = _known(steward)
        asking = [asyncio.ensure_future(known.judge(_caller(), API)) for _ in range(100)]
        await asyncio.sleep(0)
        assert len(steward.wanted) == 1
        steward.answer("web")
        assert {found.refusal for found in await asyncio.gather(*asking)} == {""}
        caller = _caller()
        assert known.judge(caller, API) == Subscription("Gold", "", "carbon.super", "", 0)
        assert (caller.key_type, caller.application) == ("SANDBOX", "Web")

    asyncio.run(play())


def test_a_change_is_looked_up_and_the_last_word_holds_while_nobody_answers():
    async def play():
        steward = Steward()
        known = _known(steward)
        asked = asyncio.ensure_future(known.judge(_caller(), API))
        await asyncio.sleep(0)
        steward.answer("web")
        await asked
        steward.tell(SubscribersChanged())
        assert known.epoch == 1
        again = asyncio.ensure_future(known.judge(_caller(), API))
        await asyncio.sleep(0)
        steward.answer("web", "BLOCKED")
        assert (await again).refusal == subscriptions.BLOCKED
        steward.tell(SubscribersChanged())
        steward.has_room = False
        assert (await known.judge(_caller(), API)).refusal == subscriptions.BLOCKED
        assert (await known.judge(_caller("other"), API)).refusal == subscriptions.UNAVAILABLE

    asyncio.run(play())


def test_nobody_is_made_to_wait_for_a_key_that_cannot_be():
    known = _known(Steward())
    assert known.judge(_caller("x" * 600), API).refusal == subscriptions.MISSING
    assert known.judge(_caller(""), API).refusal == subscriptions.MISSING


def test_an_unavailable_hub_is_asked_again_at_once():
    async def play():
        steward = Steward()
        known = _known(steward)
        for count in (1, 2):
            asked = asyncio.ensure_future(known.judge(_caller(), API))
            await asyncio.sleep(0)
            steward.answer("web", "", available=False)
            assert (await asked).refusal == subscriptions.UNAVAILABLE
            assert len(steward.wanted) == count

    asyncio.run(play())


def test_a_silent_steward_makes_nobody_wait_for_long():
    async def play():
        steward = Steward()
        hub = HubRecords(steward, wait_s=0.01)
        known = Subscriptions(settings_of(security=Security(validate_subscriptions=True)), None, hub)
        for number in range(breaker.FAILURES_TO_OPEN):
            assert (await known.judge(_caller(f"k{number}"), API)).refusal == subscriptions.UNAVAILABLE
        for number in range(10):
            assert (await known.judge(_caller(f"more{number}"), API)).refusal == subscriptions.UNAVAILABLE
        assert len(steward.wanted) == breaker.FAILURES_TO_OPEN
        steward.answer("web")  # late, and still a sign of life
        assert known.judge(_caller(), API).refusal == ""
        asked = asyncio.ensure_future(known.judge(_caller("new"), API))
        await asyncio.sleep(0)
        steward.answer("new")
        assert (await asked).refusal == ""

    asyncio.run(play())
