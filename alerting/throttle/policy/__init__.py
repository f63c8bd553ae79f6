"""The policy: every figure the throttle decides by, one TOML file, checked whole."""
