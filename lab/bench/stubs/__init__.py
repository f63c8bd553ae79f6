"""What stands in for providers, relays, hosts and engines, as fast as this machine allows."""
