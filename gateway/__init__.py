"""The running service: settings, the application, its transports and its command line."""
