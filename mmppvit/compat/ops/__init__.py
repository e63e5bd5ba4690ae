"""mmcv's operators in plain PyTorch, with the signatures of ``mmcv._ext``.

torchvision's operators are used instead wherever they load. Everything is computed in float32, or
in float64 for float64 inputs; half and bfloat16 inputs are cast, whatever autocast says.
"""
