"""What a job costs beside its build does not grow with their number, and memory stays flat."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """bench/corpus as a module."""
    sys.path.insert(0, str(BENCH))
    loader = importlib.machinery.SourceFileLoader("bench_corpus", str(BENCH / "corpus"))
    spec = importlib.util.spec_from_loader("bench_corpus", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_corpus"] = module
    loader.exec_module(module)
    return module


def test_many_jobs_cost_each_what_few_cost(bench: ModuleType) -> None:
    few, many = bench.simulated(100), bench.simulated(800)
    # Processor time: what others do on the machine disturbs it less than the clock.
    assert many.processor < 2 * few.processor
    # A build of 10 ms is short; what is beside it is a part of it.
    assert many.processor < 0.5 * bench._BUILD
    # Of 800 results with 50 files each nothing is kept in memory.
    assert many.growth < 3 << 20
