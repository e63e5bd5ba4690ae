from mmppvit.evaluation.top_accuracy import TopAccuracy

__all__ = ['TopAccuracy']
