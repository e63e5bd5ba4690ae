"""Detectors run by two parties: a host without the key, and the owner."""
