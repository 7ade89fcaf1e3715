"""Models of the configuration files, one module for each file or folder."""
