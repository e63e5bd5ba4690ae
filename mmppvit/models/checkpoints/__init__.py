"""Checkpoints of other vision transformers, made ones of those here.

Either straight into a backbone, :func:`load_pretrained`, or from file to file,
``tools/convert_checkpoint.py``. Every tensor is accounted for, and what leaves something
unexplained is an error.
"""
from mmppvit.models.checkpoints.embedding import mix_kernel
from mmppvit.models.checkpoints.fitting import reject_problems
from mmppvit.models.checkpoints.layouts import SOURCES, guess_source
from mmppvit.models.checkpoints.load_report import LoadReport
from mmppvit.models.checkpoints.loading import adapt_state_dict, load_pretrained
from mmppvit.models.checkpoints.strict_loading import differences, load_whole
from mmppvit.models.checkpoints.tensor_files import read_state_dict, write_state_dict
from mmppvit.models.checkpoints.to_pevit import to_pevit
from mmppvit.models.checkpoints.to_peyolos import TableSizes, to_peyolos

__all__ = [
    'SOURCES', 'LoadReport', 'TableSizes', 'adapt_state_dict', 'differences', 'guess_source',
    'load_pretrained', 'load_whole', 'mix_kernel', 'read_state_dict', 'reject_problems',
    'to_pevit', 'to_peyolos', 'write_state_dict'
]
