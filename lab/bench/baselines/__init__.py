"""The same jobs done the usual way, written as fairly as we can: what the product is compared
with."""
