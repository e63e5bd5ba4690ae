"""What this CPU computes fast."""
import torch

__all__ = ['has_fast_bfloat16']


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies matrices in bfloat16 faster than in float32."""
    native = getattr(torch.cpu, '_is_avx512_bf16_supported', None)  # torch >= 2.6
    return native() if native else torch.ops.mkldnn._is_mkldnn_bf16_supported()
