"""Moho: an agent for geophysicists. Data types, readers, units and projects live here and import none of the rest."""

__version__ = "0.1.0"
