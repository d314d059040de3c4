"""CAMP as its authors' released program has it."""

__all__: list[str] = []
