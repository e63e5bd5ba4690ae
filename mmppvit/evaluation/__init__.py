from mmppvit.evaluation.sealed_coco_metric import SealedCocoMetric
from mmppvit.evaluation.top_accuracy import TopAccuracy

__all__ = ['SealedCocoMetric', 'TopAccuracy']
