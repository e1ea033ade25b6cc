"""Server. Who may reach which hosts, and the proxy that is the only way there; what calls send through it is parsed."""
