"""Exports of a catalogue to the formats that the field's programs read."""
