"""How the small models of serving/weights are made: data, nets, measuring, conversion."""
