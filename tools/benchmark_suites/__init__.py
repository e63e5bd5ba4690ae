"""What tools/benchmark.py times: each suite yields cases, a candidate beside its baseline."""
