"""Simulated homes: ordinary households and scripted scenarios, whose sensors speak MQTT to real gateways."""
