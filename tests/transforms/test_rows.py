"""Elements have typed fields, so that the engine reads whole rows too."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from apache_beam.coders import RowCoder, registry

from transforms.advance_home import HoleReport
from transforms.rows import register_rows


class Untyped(NamedTuple):
    """Holds what no other language can read."""

    home_id: str
    anything: Any


def test_a_field_that_only_python_can_read_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Untyped\.anything"):
        register_rows(Untyped)


def test_postponed_annotations_become_types_of_the_schema() -> None:
    coder = registry.get_coder(HoleReport)
    assert isinstance(coder, RowCoder)
    kinds = {field.name: field.type.WhichOneof("type_info") for field in coder.schema.fields}
    assert (kinds["publish_us"], kinds["first_seqs"]) == ("atomic_type", "array_type")
    report = HoleReport("h", "g", "0e", 1 << 60, [2], [2], [""], [0], [0])
    assert coder.decode(coder.encode(report)) == report
