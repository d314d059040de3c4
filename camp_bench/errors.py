"""Every error that camp-bench raises on purpose.

    CampBenchError
    |-- ConfigError       ValueError      an option, a TOML file, a model or variant name
    |-- DataError         ValueError      a dataset folder, its arrays or its captions
    |-- RecordError       ValueError      a run record that can't be read as one
    |-- CheckpointError   ValueError      a checkpoint or vocabulary of another program
    |-- NumericError      ArithmeticError a score or loss that is not a number
    |-- DeviceError       RuntimeError    a device that isn't there or has no memory left
    `-- OutputError       OSError         a place that can't be written

Each also derives from the builtin that it stands for, so `except ValueError` works for people who
use the library. A message is one line: what is wrong, what was found, what was expected, what to do.
The command line prints it and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "CampBenchError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "NumericError",
    "OutputError",
    "RecordError",
    "nearest",
]


class CampBenchError(Exception):
    """Base of all errors a user can cause."""


class ConfigError(CampBenchError, ValueError):
    """What a run was asked to do makes no sense."""


class DataError(CampBenchError, ValueError):
    """A dataset can't be used as it is."""


class RecordError(CampBenchError, ValueError):
    """A run record is missing, damaged or of another version."""


class CheckpointError(CampBenchError, ValueError):
    """A file of another program that isn't what it should be, or asks for more than to be read."""


class NumericError(CampBenchError, ArithmeticError):
    """A computation gave NaN or infinity where a number was needed.

    text: the message, with {image} and {caption} in place of the numbers of the items that it is about, if any.
    """

    def __init__(self, text: str, *, image: int | None = None, caption: int | None = None) -> None:
        self._text, self._image, self._caption = text, image, caption
        super().__init__(text.replace("{image}", str(image)).replace("{caption}", str(caption)))

    def within(self, place: str) -> NumericError:
        """Return the same, said to have happened in a file or split."""
        return NumericError(f"{place}: {self._text}", image=self._image, caption=self._caption)

    def of_whole(self, images: Sequence[int], captions: Sequence[int]) -> NumericError:
        """Return the same of the whole from whose `images` and `captions`, by their numbers, a part was made."""
        return NumericError(
            self._text,
            image=None if self._image is None else images[self._image],
            caption=None if self._caption is None else captions[self._caption],
        )


class DeviceError(CampBenchError, RuntimeError):
    """The device asked for is not there or not able."""


class OutputError(CampBenchError, OSError):
    """A result can't be written where it was asked for."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known name nearest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
