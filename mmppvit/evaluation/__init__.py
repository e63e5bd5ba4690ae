from mmppvit.evaluation.faster_coco_metric import FasterCocoMetric
from mmppvit.evaluation.sealed_coco_metric import SealedCocoMetric
from mmppvit.evaluation.top_accuracy import HeldOutLoss, TopAccuracy

__all__ = ['FasterCocoMetric', 'HeldOutLoss', 'SealedCocoMetric', 'TopAccuracy']
