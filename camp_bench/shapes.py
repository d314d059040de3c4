"""Shape types for signatures: `Float[Tensor, "images regions dim"]`.

The package never evaluates its annotations, so jaxtyping is no dependency at run time (its import costs
0.6 s). The tests import jaxtyping first and have beartype check every call against these shapes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Int
else:  # annotations stay strings, so the names only have to exist
    Bool = Float = Int = None

__all__ = ["Bool", "Float", "Int"]
