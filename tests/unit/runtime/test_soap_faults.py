"""SOAP envelopes are XML whatever the texts within them hold."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.runtime import soap_faults

DETAIL = ".//{urn:microgate:fault}description"


@pytest.mark.parametrize("version", [soap_faults.SOAP_1_1, soap_faults.SOAP_1_2])
@given(message=st.text(), description=st.text())
def test_any_text_stays_text(version, message, description):
    tree = ET.fromstring(version.body(429, 900800, message, description))
    assert len(list(tree.iter("{urn:microgate:fault}fault"))) == 1
    assert len(list(tree.iter("{urn:microgate:fault}code"))) == 1


@pytest.mark.parametrize("version", [soap_faults.SOAP_1_1, soap_faults.SOAP_1_2])
def test_markup_and_forbidden_characters_are_seen_as_they_are(version):
    tree = ET.fromstring(version.body(500, 1, "a", "</fault><x>&lt; ]]>\x00\x1f\ud800"))
    assert tree.findtext(DETAIL) == "</fault><x>&lt; ]]>???"
