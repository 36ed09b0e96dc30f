"""Sentence vectors; the literature index will share this house."""
