"""The laboratory: benches measure the product, chaos breaks it. Run from a checkout."""
