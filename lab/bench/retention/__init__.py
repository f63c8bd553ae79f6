"""What pruning costs."""
