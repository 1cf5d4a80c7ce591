"""Settings: micro-gw.conf, the environment and the command line become one typed, checked `Settings`."""
