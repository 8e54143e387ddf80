"""GatherLines: the few lines that a job hands to its driver, as one object; works on every runner."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.compacted import read_object
from transforms.write_objects import write_object


@dataclass
class GatherLines(beam.PTransform):
    """str → an object of sorted lines at `path`; an empty one if there are none."""

    path: str

    def expand(self, lines):  # type: ignore[no-untyped-def]
        return (
            lines
            | "CollectAll" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
            | "WriteObject" >> beam.Map(_write, self.path)
        )


def _write(lines: list[str], path: str) -> None:
    write_object(path, "".join(f"{line}\n" for line in sorted(lines)).encode())


def gathered(path: str) -> list[str]:
    """What `GatherLines` wrote, after the job."""
    return read_object(path).decode().splitlines()
