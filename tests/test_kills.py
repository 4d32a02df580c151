"""``kill -9`` during training: the next run goes on and ends with the same weights and numbers, bit for bit."""

import importlib.util
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("kills", Path(__file__).parent / "benchmarks" / "kills.py")
kills = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(kills)


def test_three_killed_runs_end_like_uninterrupted_ones():
    ends = kills.main(3, list(kills.CASES)[:3])
    assert all(identical for _, identical, _ in ends), ends
