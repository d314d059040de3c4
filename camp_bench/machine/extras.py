"""The packages that only some formats need, each set an extra of the project."""

from __future__ import annotations

__all__ = ["install_extra"]


def install_extra(extra: str) -> str:
    """Return how to get an extra's packages, as the end of a message; the project has no name in a registry."""
    return f"install it in a checkout: pip install -e '.[{extra}]' -c constraints.txt"
