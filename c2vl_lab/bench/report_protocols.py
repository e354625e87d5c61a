"""The field's protocols in a report: what ``c2vl evaluate`` has measured, arm beside arm."""

from __future__ import annotations

import pandas as pd

from c2vl_lab.bench.report_tables import Section


def protocol_rows(section: Section) -> list[dict[str, str]]:
    """What ``c2vl evaluate`` has measured of a section's runs: one row for each arm and measure of a protocol.

    Returns:
        ``label``, ``protocol``, ``measure``, ``text`` (mean and sample standard deviation over the seeds of the run,
        each seed's own draws averaged first; shares in %) and ``seeds`` (how many runs).
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    forms: dict[tuple[str, str, str], tuple[int, str]] = {}
    for label, runs in section.arms.items():
        for record in (own for run in runs for own in run.results.get("protocols", {}).values()):
            for measure in record.get("measures", ()):
                key = (record["title"], measure["name"], label)
                forms[key] = {"share": (100, ".1f"), "rank": (1, ".1f")}.get(measure["unit"], (1, ".3f"))
                found.setdefault(key, []).append(measure["mean"])
    measures = dict.fromkeys(key[:2] for key in found)
    rows = []
    for key in (key for own in measures for key in found if key[:2] == own):  # the arms of a measure side by side
        scale, form = forms[key]
        values = scale * pd.Series(found[key])
        spread = f" ± {values.std():{form}}" if len(values) > 1 else ""
        about = {"protocol": key[0], "measure": key[1], "label": key[2]}
        rows.append({**about, "text": f"{values.mean():{form}}{spread}", "seeds": str(len(values))})
    return rows
