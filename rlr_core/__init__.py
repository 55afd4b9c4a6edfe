"""RLR Studio's core: everything that would exist without a browser."""
