"""The console: jobs, data sets, runs, evaluations and trajectories in a browser, over the services' public APIs alone."""
