"""Module names: an editor's tab shows the name alone, so each is met once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import alerting

PACKAGE = Path(alerting.__file__).parent


def test_no_two_modules_share_a_name() -> None:
    names = Counter(p.name for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []
