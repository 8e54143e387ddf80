"""How elements are encoded: NamedTuples by RowCoders whose every field has a type."""

from __future__ import annotations

import typing

from apache_beam.coders import RowCoder, registry


def register_rows(*elements: type) -> None:
    """Encode these NamedTuples by RowCoders, in whole rows that the engine can read.

    Where annotations are postponed Beam sees strings, and takes each field for "any Python object": a
    type that Java decodes only if it was pickled. An int is not, so that a keyed element with one makes
    Flink fail, again and again. Hence the annotations are resolved first.

    Raises:
        TypeError: A field has no type that crosses languages.
    """
    for element in elements:
        element.__annotations__ = typing.get_type_hints(element)
        for field in RowCoder.from_type_hint(element, None).schema.fields:
            if "pythonsdk_any" in str(field.type):
                raise TypeError(f"{element.__name__}.{field.name} is {element.__annotations__[field.name]}")
        registry.register_coder(element, RowCoder)
