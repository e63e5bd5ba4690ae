"""Files, folders and configs: what several packages share."""
