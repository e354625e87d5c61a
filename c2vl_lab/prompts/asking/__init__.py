"""Asking a model about every clip: questions, backends, and a store of answers that survives anything."""
