"""A world in which MENTOR's mechanisms can show, or fail to: chains of steps, a shortcut, rare successes, another teacher."""
