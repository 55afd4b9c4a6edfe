"""A public place for many visitors: a workspace and a turn for each, within limits."""
