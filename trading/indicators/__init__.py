"""Indicators that take one number a bar and forget all that they no longer need."""
