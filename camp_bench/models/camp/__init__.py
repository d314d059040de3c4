"""CAMP as its paper has it (Wang et al., ICCV 2019)."""

__all__: list[str] = []
