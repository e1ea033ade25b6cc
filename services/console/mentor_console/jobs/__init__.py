"""Jobs of all services: where one is, what it is made of, how it is followed, and forms that submit one."""
