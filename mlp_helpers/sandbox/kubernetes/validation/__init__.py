"""Validation of built-in kinds: what a real server refuses, field by field."""
