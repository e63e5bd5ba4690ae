"""Schemes compared by privacy and detector mAP."""
