"""Physics of the simulated sensors: sound, PIR, accelerometer and room air, seeded."""
