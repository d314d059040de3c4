"""What is wrong with a file, all of it in one go: told together, or left out where that is asked for."""

from __future__ import annotations

from types import TracebackType

from camp_bench.errors import DataError

__all__ = ["Faults"]

SHOWN = 5
"""Faults that are named in one message; more are counted."""
KEPT = 1000
"""Of what was left out, how much is listed in `source.json`; more is counted."""


class _Noted:
    """The context of `Faults.noted`; one for all, as there are as many as captions."""

    def __init__(self, found: list[str]) -> None:
        self._found = found

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, DataError):
            self._found.append(str(error))
            return True
        return False


class Faults:
    """Gathers faults of rows and captions while a file is read to its end.

    skip: whether what is at fault is left out, instead of refused at the end of each step.
    """

    def __init__(self, *, skip: bool = False) -> None:
        self.skip = skip
        self._found: list[str] = []
        self._noted = _Noted(self._found)

    def noted(self) -> _Noted:
        """Return a context that takes a DataError as a fault of one row or caption, which is then not used."""
        return self._noted

    def add(self, text: str) -> None:
        self._found.append(text)

    def refuse(self) -> None:
        """Raise DataError, naming the first faults, where there are some and they aren't to be left out."""
        if self._found and not self.skip:
            first, *others = self._found
            if others:
                shown = "; ".join(others[: SHOWN - 1])
                more = f"; and {len(others) - SHOWN + 1:,} more" if len(others) >= SHOWN else ""
                count = f"{len(others):,} more fault{'s' * (len(others) > 1)}"
                raise DataError(f"{first}; {count}: {shown}{more}; --skip-bad leaves them all out")
            raise DataError(first)

    @property
    def count(self) -> int:
        return len(self._found)

    def facts(self) -> dict[str, object]:
        """Return what was left out, for `source.json`; nothing where nothing was."""
        if not self._found:
            return {}
        return {"left_out": self._found[:KEPT], "left_out_count": len(self._found)}
