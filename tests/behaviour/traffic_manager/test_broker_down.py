"""A traffic manager whose broker is away (weakness 15 of 3.x): who decides meanwhile, and after."""

from __future__ import annotations

import pytest

from harness.descriptions import describe
from harness.services import free_port
from harness.waiting import wait_until

GOOD = (200, None)
SUBSCRIPTION = (429, 900804)
POLICIES = """\
subscriptionPolicies:
  - Gold: {count: 3, unitTime: 1, timeUnit: day}
  - Unauthenticated: {count: 2, unitTime: 1, timeUnit: day}
"""


class Elsewhere:
    """A broker that is not there."""

    def __init__(self):
        self.port = free_port()


@pytest.fixture
def alone(shop):
    def make(settings):
        running = shop(broker=Elsewhere(), is_there=False, settings=settings, files={"policies.yaml": POLICIES})
        wait_until(lambda: "the traffic manager's broker cannot be had" in running.gateway.output, "it is told")
        return running

    return make


def in_a_row(running, *headers, path="/shop/a", count=5):
    with running.gateway.connect() as client:
        return [client.get(path, *headers).status for _ in range(count)]


def test_weakness_15_the_gateway_counts_by_itself(alone):
    running = alone("")
    assert in_a_row(running, running.token()) == [200] * 3 + [429] * 2
    assert in_a_row(running, path="/open/x") == [200] * 2 + [429] * 3
    # `Large` is no tier of the project, and nobody fails for that.
    wait_until(lambda: len(running.manager.events) == 5, "what is admitted is told all the same")


def test_weakness_15_all_pass_where_the_settings_say_so(alone):
    running = alone('whenBrokerDown = "open"\n')
    assert in_a_row(running, running.token()) == [200] * 5


def test_weakness_15_none_pass_where_the_settings_say_so(alone):
    running = alone('whenBrokerDown = "closed"\n')
    with running.gateway.connect() as client:
        answer = client.get("/shop/a", running.token())
    assert answer.status == 503
    assert answer.header("Retry-After") is not None
    assert running.manager.events == []


def test_a_broker_that_dies_and_comes_back(shop, broker):
    running = shop(files={"policies.yaml": POLICIES})
    running.manager.throttle("2:/shop:1.0.0")
    running.becomes(SUBSCRIPTION, running.token(application="2"))
    broker.kill()
    wait_until(lambda: "the traffic manager's broker cannot be had" in running.gateway.output, "the outage is told")
    assert running.answers(running.token(application="2")) == {SUBSCRIPTION}  # which was said before
    assert in_a_row(running, running.token()) == [200] * 3 + [429] * 2
    running.manager.blocks = {"user": ["mallory"]}  # which nobody can tell
    broker.start()
    running.becomes((403, 900805), running.token("mallory", "3"), seconds=40)
    # What was decided while it was away is not told again, so the own counts hold on for a while.
    assert in_a_row(running, running.token()) == [429] * 5
    running.manager.throttle("4:/shop:1.0.0")
    running.becomes(SUBSCRIPTION, running.token(application="4"))
    assert running.gateway.output.count("the traffic manager's broker cannot be had") == 1
    assert "guest:guest" not in running.gateway.output


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            'jmsConnectionProviderUrl = "http://a"',
            "throttlingConfig.jmsConnectionProviderUrl` is no address of a broker",
        ),
        (
            'throttleEndpointUrl = "tcp://localhost:9611"',
            "throttlingConfig.throttleEndpointUrl` is no http or https address",
        ),
        (
            '[throttlingConfig.dataRetriever]\nserverUrl = "localhost"',
            "dataRetriever.serverUrl` is no http or https address",
        ),
        (
            'throttleEndpointbase64Header = "admin"',
            "throttlingConfig.throttleEndpointbase64Header` is no `user:password`",
        ),
    ],
)
def test_case_9_settings_that_cannot_be_stop_the_start(gateway, setting, said):
    settings = f"[throttlingConfig]\nenabledGlobalTMEventPublishing = true\n{setting}\n"
    with pytest.raises(AssertionError, match=said):
        gateway(describe(["/a"]), settings=settings)
