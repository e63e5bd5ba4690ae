from mmppvit.compat import apply

# Before the test modules import mmcv.ops.
apply()
