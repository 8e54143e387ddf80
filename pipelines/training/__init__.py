"""The parts of the training pipeline (pipelines.train). Importing this needs no TFX."""
