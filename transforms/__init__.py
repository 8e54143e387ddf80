"""Beam composites, one per file, with their pure functions above them."""
