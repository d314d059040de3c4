"""A finished run's folder: its record, its files and its per-query results, proven before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.errors import RecordError
from camp_bench.records.reading import read_arrays, read_file, read_record
from camp_bench.records.run import VOCABULARY_NAME, WEIGHTS_NAME, EvaluationRecord, RunRecord

__all__ = ["RunFolder"]

COUNTS = tuple(f"{way}_{count}" for way in ("i2t", "t2i") for count in "bnp")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """path: the folder. record: what stands in it."""

    path: Path
    record: RunRecord

    @classmethod
    def open(cls, place: str | Path) -> RunFolder:
        """Read the record of a folder, or a record.json itself; raises as `read_record` does."""
        place = Path(place)
        return cls(place if place.is_dir() else place.parent, read_record(place))

    def require_weights(self) -> None:
        """Raise RecordError where the run has no weights of its own."""
        if self.record.external is not None:
            raise RecordError(
                f"{self.path}: is another system, which holds no weights; add it again with what you want of it, such "
                f"as --relevance or --protocol"
            )
        if WEIGHTS_NAME not in self.record.files:
            trained = self.record.parent or "not this one"
            raise RecordError(f"{self.path}: holds no weights; give the run that was trained, {trained}")

    def weights(self) -> bytes:
        """Return the weights; RecordError where there are none, or others than the record's."""
        self.require_weights()
        return read_file(self.path, self.record, WEIGHTS_NAME)

    def vocabulary(self) -> bytes:
        """Return the vocabulary as JSON; raises as `read_file` does."""
        return read_file(self.path, self.record, VOCABULARY_NAME)

    def queries(self, evaluation: EvaluationRecord, extra: Sequence[str] = ()) -> dict[str, npt.NDArray[Any]]:
        """Return the per-query results of an evaluation: `image_of`, the counts b, n, p of both ways, and the rest.

        extra: what must be there as well. Raises RecordError where there are none, where something is missing, or the
        arrays don't fit the record, which their headers tell before anything is inflated.
        """
        if evaluation.queries is None:
            raise RecordError(
                f"{self.path}: keeps no per-query results of split '{evaluation.split}'; evaluate it again"
            )
        arrays = read_arrays(self.path, self.record, evaluation.queries)
        where = self.path / evaluation.queries
        if missing := [name for name in ("image_of", *COUNTS, *extra) if name not in arrays]:
            raise RecordError(f"{where}: no {', '.join(missing)} in there; expected the per-query results of a run")
        image_of = arrays["image_of"]
        if not np.all((image_of >= 0) & (image_of < evaluation.images)):
            raise RecordError(f"{where}: captions belong to images beyond the {evaluation.images} of the record")
        return arrays
