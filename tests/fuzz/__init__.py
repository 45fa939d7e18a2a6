"""What parses outside input, fed with anything."""
