"""Where training writes what it makes: weights, labels, tables and fetched typefaces, none of it committed."""

from __future__ import annotations

from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build" / "models"
