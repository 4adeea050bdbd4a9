"""How long a model would take on a platform, from what profiles and ceilings of it say.

A cost is a sum of few terms for each operator: so much a call, a row, and a multiply-accumulate.
costs.py fits them to profiles, predict.py adds them up for a model, errors.py tells how wrong that
has been, roofline.py compares a profile with the board's ceilings, and advice.py asks what another
choice would give.
"""
