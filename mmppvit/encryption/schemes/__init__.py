"""Schemes: what an image goes through when it is encrypted, and with what parameters."""
