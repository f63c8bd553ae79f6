"""Stubs of providers, relays, hosts and engines, as fast as this machine allows."""
