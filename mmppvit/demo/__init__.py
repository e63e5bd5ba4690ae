"""The whole way in minutes: a key, sealed files, a detector, its detections, an attack."""
