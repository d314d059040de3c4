"""Checkpoints and vocabularies of other programs, read without running anything that they hold.

`pickles` reads a pickle as data, `containers` torch's files around one, `vocabularies` word lists, and `families` finds
out which model of camp-bench the weights are of.
"""

from __future__ import annotations

__all__: list[str] = []
