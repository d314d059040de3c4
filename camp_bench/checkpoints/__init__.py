"""Checkpoints and vocabularies of other programs, read without running anything that they hold.

`pickle_data` reads a pickle with inert classes, `torch_file` what torch.save wrote, `vocabularies` word lists, and
`families` finds out which model of camp-bench the weights are of.
"""

from __future__ import annotations

__all__: list[str] = []
