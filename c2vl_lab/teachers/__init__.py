"""Frozen teachers: texts and pictures in, features out; importing this folder loads no model library."""

from c2vl_lab.teachers.loading import load_teacher
from c2vl_lab.teachers.protocol import Teacher

__all__ = ["Teacher", "load_teacher"]
