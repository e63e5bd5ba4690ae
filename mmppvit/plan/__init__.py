"""Which scheme to take for a budget: a table of trainings, run unattended, and a verdict."""
