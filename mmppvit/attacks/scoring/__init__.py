"""Scores of reconstructed images and patch orders, with intervals."""
