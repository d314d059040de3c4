"""The model families behind one protocol (`base.PairModel`); `registry` finds them by name."""

from __future__ import annotations

__all__: list[str] = []
