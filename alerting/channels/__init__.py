"""Channels speak: one adapter per medium behind one contract, and the texts they carry."""
