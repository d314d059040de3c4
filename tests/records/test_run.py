"""A record asked for what it keeps."""

from __future__ import annotations

import pytest
from examples import example_record

from camp_bench.errors import RecordError


def test_split_without_evaluation_is_named() -> None:
    with pytest.raises(RecordError, match="no evaluation of split 'testall'"):
        example_record().evaluation("testall")
