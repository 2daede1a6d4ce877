"""What is made up for tests is no measure of time, and leaves nothing in the checkout."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None, database=None)
settings.load_profile("unit")
