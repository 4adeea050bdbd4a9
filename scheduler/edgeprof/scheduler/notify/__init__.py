"""Tells people and programs that jobs have ended, by webhook and by mail."""
