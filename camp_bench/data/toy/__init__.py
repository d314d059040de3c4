"""The toy data, which the project draws itself: scenes, what regions show of them, what captions say, the truth."""

__all__: list[str] = []
