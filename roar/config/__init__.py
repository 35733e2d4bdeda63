"""What can be set: names, types, defaults and help in ``model``, where values come from in ``read``."""
