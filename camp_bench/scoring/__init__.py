"""Pairwise similarity as pure functions of tensors: the papers' plain forms, and exact fast forms held against them.

Shapes: images (I, R, D) or (I, D), captions (C, L, D) or (C, D), scores (I, C). A caption's words beyond its true
length never count.
"""

from __future__ import annotations

__all__: list[str] = []
