"""Events: which alerts are about one danger, whoever sent them and in whatever words."""
