"""The page on observability names everything that can be seen, and nothing that cannot."""

import re
from pathlib import Path

import pytest

from microgate.runtime import faults
from microgate.runtime.observability.exposition import render
from microgate.runtime.observability.flags import FLAGS
from microgate.runtime.observability.ledger import Ledger
from microgate.runtime.observability.log_template import FIELDS
from microgate.runtime.observability.metrics import Metrics, region_size

PAGE = (Path(__file__).parents[4] / "docs" / "observability.md").read_text(encoding="utf-8")


def test_every_field_of_the_access_log_is_on_the_page():
    assert [name for name in FIELDS if f"`{name}`" not in PAGE] == []


def test_every_metric_is_on_the_page_and_none_that_there_is_not(plan):
    region = bytearray(region_size(plan, 1))
    Metrics(region, plan, 0).recorder(1)(200, 1, 1, 1, 1, 1)
    ledger = Ledger()
    ledger.begin(plan, region, 1)
    text = render(ledger, 1, {}).decode()
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    documented = set(re.findall(r"`((?:http|microgate)_[a-z_]+)`", PAGE)) - set(FIELDS)
    assert documented - {"http_request_method", "http_route", "http_response_status_code"} == exported


def test_every_fault_has_a_flag():
    """A line of the access log cannot be written without one."""
    kinds = [kind for kind in vars(faults).values() if isinstance(kind, faults.Kind)]
    assert [kind.label for kind in kinds if kind.label not in FLAGS] == []


@pytest.mark.parametrize("label", sorted(FLAGS))
def test_every_flag_is_on_the_page(label):
    if FLAGS[label] == "-":
        return
    [row] = re.findall(rf"^\| `{FLAGS[label]}` \| (.*) \|$", PAGE, re.MULTILINE)
    assert f"`{label}`" in row or f"`{label.split('.')[0]}.*`" in row
