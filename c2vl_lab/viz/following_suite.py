"""Watch a suite in a notebook while it runs, from its files alone, whoever runs it and where."""

from __future__ import annotations

import os
import threading
from html import escape
from pathlib import Path

import ipywidgets as widgets

from c2vl_lab.viz.desk_tables import Line

PAUSE = 2.0  # seconds between two looks at the files
