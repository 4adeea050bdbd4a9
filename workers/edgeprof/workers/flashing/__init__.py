"""Puts this project's firmware onto boards that people plug in: `edgeprof flash`.

What is plugged in is found (plugged.py), a chip is looked up (chips.py), its image is taken from
the built or packed firmware (images.py), and a program made for the chip writes it (writers.py).
"""
