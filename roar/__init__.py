"""roar: where did this file come from, and can I make it again?"""

__version__ = "0.1.0"
