"""Rules that say in which directions zeroth order perturbs the parameters, and how slopes along them become a gradient."""
