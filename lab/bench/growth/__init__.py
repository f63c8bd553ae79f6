"""What ten years of alerts do to the live path."""
