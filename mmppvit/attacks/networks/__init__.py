"""Networks that learned attackers share, and how these are trained."""
