"""Summaries and tables of results."""
