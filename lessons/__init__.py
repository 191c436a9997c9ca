"""Numbered lessons in percent format, and the kit they are written with."""
