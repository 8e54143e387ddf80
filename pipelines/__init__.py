"""Jobs: wiring and options only; the rules are in transforms/."""
