"""Judges: what detectors of plain images still find on reconstructed ones."""
