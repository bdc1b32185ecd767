"""``mnemo bench``: ours against a peer, in one run, interleaved, outputs compared, as a ratio."""

from lab.pipeline.bench.harness import Case, Measurement, measure

__all__ = ["Case", "Measurement", "measure"]
