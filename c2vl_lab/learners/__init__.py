"""What is trained: an encoder with the heads, momentum copies and loss terms of one method."""
