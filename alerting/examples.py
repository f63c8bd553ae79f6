"""The path of the example files that the demo, benches and chaos runs send."""

from __future__ import annotations

from pathlib import Path

#: A link to `examples` in a checkout, a folder with its files in a wheel.
FLOOD = Path(__file__).parent / "example_files" / "flood.xml"
