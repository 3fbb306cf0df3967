"""How many examples property-based tests draw: all of them only in ``make test-slow``."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

SHARE = float(os.environ.get("EXAMPLES", "0.25"))
"""Share of the examples that are drawn."""

DEFAULT = 100


def examples(number: int = DEFAULT, **options: Any) -> settings:  # noqa: ANN401
    """Return the settings of a test that draws some examples if all are drawn."""
    return settings(max_examples=max(1, round(number * SHARE)), deadline=None, **options)
