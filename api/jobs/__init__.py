"""Work that takes longer than a request: kinds of jobs, and the worker processes that do them."""
