"""The policy: every parameter of the throttle, one TOML file, validated as a whole."""
