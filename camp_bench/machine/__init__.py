"""The machine under it all: devices, timing, threads, compiled loops, the process itself. Imports nothing by itself."""

__all__: list[str] = []
