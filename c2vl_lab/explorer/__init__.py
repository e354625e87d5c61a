"""The concept explorer: linked maps of a joint space, search by words, and the clip behind every point."""
