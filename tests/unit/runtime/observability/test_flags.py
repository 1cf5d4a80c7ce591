"""Response flags and who decided, for every way an exchange can end."""

import pytest

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.observability.flags import FLAGS, decided_by


def test_every_kind_of_fault_has_a_flag():
    assert set(FLAGS) == {kind.label for kind in faults.KINDS}
    assert all(flag == "-" or (flag.isupper() and 2 <= len(flag) <= 4) for flag in FLAGS.values())


@pytest.mark.parametrize(
    ("kind", "answered", "decider"),
    [
        (None, True, "backend"),
        (None, False, "gateway"),  # a redirect, /health
        (faults.MISSING_CREDENTIALS, False, "gateway"),
        (faults.BACKEND_TIMEOUT, False, "gateway"),  # the 504 is ours
        (faults.BACKEND_CLOSED, True, "backend"),  # the 200 was theirs, and they broke it off
        (faults.BODY_TOO_LARGE, True, "gateway"),
        (faults.CLIENT_ABORT, False, "client"),
        (faults.CLIENT_ABORT, True, "client"),
    ],
)
def test_who_decided(exchange_of, kind, answered, decider):
    exchange = exchange_of(answer_head_at=1.0 if answered else 0.0, fault=Fault(kind) if kind else None)
    assert decided_by(exchange) == decider
