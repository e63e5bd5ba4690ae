from mmppvit.evaluation.sealed_coco_metric import SealedCocoMetric
from mmppvit.evaluation.top_accuracy import HeldOutLoss, TopAccuracy

__all__ = ['HeldOutLoss', 'SealedCocoMetric', 'TopAccuracy']
