"""What every board must answer: the firmware's forward pass in numpy, bit for bit.

A port whose greedy tokens differ from these has a bug, or its compiler has (architecture, invariant 5). The
arithmetic is written down in `docs/arithmetic.md`; `exact` is the same network in double precision, the
oracle that the arithmetic itself is held to.
"""

from edgeprof.shared.reference.model import Reference

__all__ = ["Reference"]
