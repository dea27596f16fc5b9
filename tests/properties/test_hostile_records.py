"""Whatever stands in a VM's ExtraConfig: a record, or one sentence about what is wrong with it."""

from __future__ import annotations

import base64
import gzip
import json

from hypothesis import example, given
from hypothesis import strategies as st

from tests.emulator.vm_operator import records
from tests.unit.builders import vm
from velero_vmservice.adapters.vcenter.record_yaml import parse_record
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key
from velero_vmservice.vsphere.record import Record, judge

ENTRIES = records.recorded(vm("web-1", claims=["data"]), others=(), disks=(), version="1700")
VM, DISKS = SPELLINGS[Key.VM][0], SPELLINGS[Key.CLAIM_DISKS][0]
WHOLE = base64.b64decode(ENTRIES[VM])
TEXTS = st.text(alphabet=st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))
"""JSON escapes what is beyond as a pair of surrogates, which are none of YAML's."""
NUMBERS = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content)).decode()


def judged(machine: str, disks: str = "") -> Record:
    record = judge({VM: machine, DISKS: disks}, parse_record).record
    assert bool(record.problem) is bool(record.code)
    assert "\n" not in record.problem
    assert len(record.problem) < 1000
    return record


@given(st.text())
def test_any_value(value: str) -> None:
    assert judged(value).problem


@given(st.binary())
def test_any_bytes_in_base64_and_in_gzip(content: bytes) -> None:
    judged(base64.b64encode(content).decode())
    judged(packed(content), packed(content))


@given(st.text(alphabet="ab:-[]{},&*!|>'\"?#%@` \n\t~0"))
def test_any_yaml_and_no_yaml(text: str) -> None:
    judged(packed(text.encode()))


@given(JSON, JSON)
def test_any_object_that_says_it_is_a_vm(metadata: object, spec: object) -> None:
    machine = {**vm("web-1"), "spec": spec, "metadata": {"name": "web-1", "namespace": spec, "annotations": metadata}}
    judged(packed(json.dumps(machine).encode()), packed(json.dumps(metadata).encode()))


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255), st.integers(0, 8))
def test_a_record_with_a_broken_byte_or_cut_off(at: int, change: int, keep: int) -> None:
    broken = bytearray(WHOLE)
    broken[at] ^= change
    judged(base64.b64encode(broken).decode())
    judged(base64.b64encode(WHOLE[:at]).decode()[: -keep or None])


@given(JSON)
@example(1e16)
@example(5e-324)
@example(0.00019447698816998658)
@example([-(10**18), "1e16", "null", "\x85"])
def test_any_json_reads_alike_as_yaml(value: object) -> None:
    assert parse_record(json.dumps({"value": value})) == {"value": value}
