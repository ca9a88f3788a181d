"""Market in, market out: stateful steps as pure kernels, with a thin Bytewax wrapper where one is needed."""
