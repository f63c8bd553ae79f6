"""Email over SMTP relays, and the mails that come back."""
