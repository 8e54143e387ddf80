"""What the system costs and how fast it is: each module measures in one run and writes JSON."""
