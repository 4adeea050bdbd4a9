"""The firmware's forward pass in numpy, bit for bit: every board must give the same tokens.

If a port's greedy tokens differ, the port or its compiler has a bug (architecture, invariant 5).
`docs/arithmetic.md` specifies the arithmetic; `exact` is the same network in double precision, with
which the arithmetic is compared.
"""

from edgeprof.shared.reference.model import Reference

__all__ = ["Reference"]
