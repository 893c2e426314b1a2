"""The tables of the gateway and of its six platforms; a platform from outside brings its own ``MetaData``."""
