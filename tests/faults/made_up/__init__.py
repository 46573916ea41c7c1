"""Inputs that hypothesis makes up for the readers: near what they expect, and not."""
