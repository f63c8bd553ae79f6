"""Events: which alerts tell of one danger, whoever sent them and in whatever words."""
