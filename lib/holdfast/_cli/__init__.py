"""What the ``holdfast`` command is made of; nothing here is public."""
