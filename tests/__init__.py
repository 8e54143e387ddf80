"""Tests mirror the source tree; shared helpers lie beside this file."""
