"""The real bridge as a child process on the loopback exchange, beside the lab's own numbers.

``one_tick``: a single tick, for the demo. ``span``: every bar of a stretch of history, ``mnemo rehearse``.
"""

from lab.pipeline.rehearsal.one_tick import rehearse_tick
from lab.pipeline.rehearsal.span import Mode, rehearse

__all__ = ["Mode", "rehearse", "rehearse_tick"]
