"""The tools, by discipline and stage. Importing a module registers its functions."""
