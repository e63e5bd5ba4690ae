"""Attackers: each reconstructs plain images, or the order of patches, from encrypted images."""
