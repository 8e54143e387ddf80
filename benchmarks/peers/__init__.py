"""The same work on other engines, each in an environment that the benchmark makes."""
