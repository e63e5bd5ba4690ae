"""The host of a two-party training as an attacker: what it receives, and what that tells it."""
