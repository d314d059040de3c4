"""SCAN (Lee et al., ECCV 2018)."""

__all__: list[str] = []
