"""SMS over Twilio: one segment or few, reported on by status callbacks."""
