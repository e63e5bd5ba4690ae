"""Trained protectors in use: as a scheme of sealed data sets, and as ONNX files."""
