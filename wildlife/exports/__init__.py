"""Exports of a catalogue to the formats of other programs."""
