"""Where the examples lie that the demo, benches and chaos runs send."""

from __future__ import annotations

from pathlib import Path

FLOOD = Path(__file__).parents[1] / "examples" / "flood.xml"
