"""The rate limiter: what a provider is sent each second, summed over all workers."""
