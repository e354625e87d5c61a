"""Stores written in the layouts of other repositories, so that a result can be checked in their code."""

from __future__ import annotations

from c2vl_lab.data.export_common import Export
from c2vl_lab.data.export_ctrgcn import export_ctrgcn
from c2vl_lab.data.export_pyskl import export_pyskl

__all__ = ["Export", "export_ctrgcn", "export_pyskl"]
