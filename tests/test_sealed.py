"""Files of unfinished work: read back as they were written, or not at all."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from students._sealed import checksum_of, read_sealed, write_sealed

VALUE = {"epoch": 2, "loss": 0.1, "best": {"a": [1, None]}, "name": "é"}


def test_what_was_written_is_read_back(tmp_path):
    write_sealed(tmp_path / "state.json", {**VALUE, "tuple": (1, 2), "loss": math.inf})
    assert read_sealed(tmp_path / "state.json") == {**VALUE, "tuple": [1, 2], "loss": math.inf}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("name", [*VALUE, "checksum"])
def test_a_field_that_was_edited_or_left_out_is_found(tmp_path, name):
    write_sealed(tmp_path / "state.json", VALUE)
    stored = json.loads((tmp_path / "state.json").read_bytes())
    for changed in (
        {**stored, name: 7},
        {key: each for key, each in stored.items() if key != name},
        {**stored, "x": 1},
    ):
        (tmp_path / "state.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=r"state\.json must have the checksum"):
            read_sealed(tmp_path / "state.json")


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_changes_nothing(tmp_path, place, bit):
    write_sealed(tmp_path / "state.json", VALUE)
    data = bytearray((tmp_path / "state.json").read_bytes())
    data[place % len(data)] ^= 1 << bit
    (tmp_path / "state.json").write_bytes(data)
    try:
        assert read_sealed(tmp_path / "state.json") == VALUE  # a blank that became another one
    except ValueError:
        return


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(tmp_path, data):
    (tmp_path / "state.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        read_sealed(tmp_path / "state.json")


def test_a_file_of_any_size_has_a_checksum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 10**6)
    (tmp_path / "b").write_bytes(b"abc" * 10**6)
    assert checksum_of(tmp_path / "a") == checksum_of(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"")
    assert checksum_of(tmp_path / "a") != checksum_of(tmp_path / "b")
