"""`/health` on the traffic port, word for word as WSO2 §14.2 has it."""

import json

from microgate.runtime.observability import health


def test_health_is_static(exchange_of):
    answer = health.link()(exchange_of(b"/health/anything"))
    assert answer.status == 200
    assert answer.headers == [(b"Content-Type", b"application/json")]
    assert json.loads(answer.body) == {"status": "healthy"}


def test_answers_do_not_share_what_stages_may_change(exchange_of):
    stage = health.link()
    stage(exchange_of()).headers.append((b"X-Request-Id", b"1"))
    assert len(stage(exchange_of()).headers) == 1
