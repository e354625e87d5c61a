"""The same figures to move about in: plotly twins that show exactly the values of the figure on paper."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Any

import plotly.graph_objects as go

from c2vl_lab.errors import choose
from c2vl_lab.figures.canvas import PaperFigure, numbers
from c2vl_lab.figures.classes import GAIN, LOSS, gains, shares
from c2vl_lab.figures.curves import SERIES
from c2vl_lab.viz import theme

DASHES = ("solid", "dash", "dashdot", "dot")
FONT = {"size": 12}


def twin(figure: PaperFigure) -> go.Figure:
    """The plotly twin of a joint map (or a pair), a confusion matrix, training curves or gains per class.

    Names, classes and notes are shown as text, never as markup.

    Raises:
        ConfigError: the figure has no twin; the sentence names those that have one.
    """
    make = choose(figure.kind, TWINS, "interactive figure")
    shown: go.Figure = make(figure.data)
    remark, note = figure.data.get("remark", ""), figure.look.note
    lines = textwrap.wrap(" ".join(part for part in (remark, note and f"Note: {note}.") if part), 120)
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "yshift": 8, "xanchor": "left", "yanchor": "bottom"}
    if lines:
        text = "<br>".join(map(escape, lines))
        shown.add_annotation(text=text, showarrow=False, align="left", font={"size": 10}, **place)
    title = {"text": escape(figure.look.title), "x": 0.01, "y": 0.99, "yanchor": "top", "font": {"size": 15}}
    above = 24 + 14 * len(lines) + 24 * bool(figure.look.title)
    shown.update_layout(template="plotly_white", title=title, font=FONT, margin={"t": above, "b": 60, "l": 60, "r": 20})
    return shown


def _confusion(data: dict[str, Any]) -> go.Figure:
    """Cells with both names, share and count on hover."""
    names = [escape(name) for name in data["classes"]]
    share = shares(data["counts"])
    hover = "true: %{y}<br>predicted: %{x}<br>%{z:.1f} % (%{customdata:,} clips)<extra></extra>"
    bar = {"title": {"text": "% of the true class"}}
    look = {"colorscale": "Blues", "zmin": 0, "zmax": 100, "hovertemplate": hover, "colorbar": bar}
    shown = go.Figure(go.Heatmap(z=share, x=names, y=names, customdata=numbers(data["counts"]), **look))
    shown.update_yaxes(autorange="reversed", title="true", scaleanchor="x", constrain="domain", dtick=1)
    shown.update_xaxes(title="predicted", constrain="domain", dtick=1)
    return shown.update_layout(height=max(620, 300 + 20 * len(names)))


def _gains(data: dict[str, Any]) -> go.Figure:
    """Bars with both accuracies on hover."""
    gain, edges = gains(data), numbers(data["interval in points"]).reshape(-1, 2)
    names = [escape(name) for name in data["classes"]]
    first, second = (escape(name) for name in data["runs"])
    reach = {"type": "data", "symmetric": False, "array": edges[:, 1] - gain, "arrayminus": gain - edges[:, 0]}
    hover = f"%{{y}}<br>{first}: %{{customdata[0]:.1f}} %<br>{second}: %{{customdata[1]:.1f}} %<extra></extra>"
    both = list(zip(data["before in %"], data["after in %"], strict=True))
    look = {"orientation": "h", "marker": {"color": [GAIN if g >= 0 else LOSS for g in gain]}, "hovertemplate": hover}
    shown = go.Figure(go.Bar(x=gain, y=list(range(len(names))), error_x=reach, customdata=both, **look))
    shown.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed")
    shown.update_xaxes(title=f"points of accuracy that {second} gains on {first}")
    return shown.update_layout(height=180 + 22 * len(names))


def _curves(data: dict[str, Any]) -> go.Figure:
    """One panel under another, a line and a band each; the legend switches arms."""
    panels, arms = data["panels"], data["arms"]
    shown = go.Figure()
    for place, panel in enumerate(panels):
        axis = {"xaxis": f"x{place + 1}", "yaxis": f"y{place + 1}"}
        for order, line in enumerate(panel["lines"]):
            k = arms.index(line["arm"]) if len(arms) > 1 else order
            name = escape(line["arm"] if len(arms) > 1 else line["column"])
            shown.add_traces(_curve(line, name, k, place == 0, axis))
        top, high = 1 - place / len(panels), 1 / len(panels)
        shown.update_layout({f"yaxis{place + 1}": {"domain": [top - high + 0.04, top], "title": panel["label"]}})
        shown.update_layout({f"xaxis{place + 1}": {"anchor": f"y{place + 1}", "matches": "x"}})
    shown.update_layout({f"xaxis{len(panels)}": {"title": "epoch"}})
    return shown.update_layout(height=170 * len(panels) + 150)


def _curve(line: dict[str, Any], name: str, k: int, legend: bool, axis: dict[str, str]) -> list[go.Scatter]:
    """A mean, and its band where there are several seeds."""
    mean, std, epoch = numbers(line["mean"]), numbers(line["std"]), line["epoch"]
    color = SERIES[k % len(SERIES)]
    mode = "lines+markers" if line["few"] else "lines"
    look = {"line": {"color": color, "dash": DASHES[k % 4]}, "legendgroup": name, "showlegend": legend, **axis}
    drawn = [go.Scatter(x=epoch, y=mean, name=name, mode=mode, **look)]
    if line["seeds"] > 1:
        around = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "legendgroup": name, "showlegend": False}
        drawn.append(go.Scatter(x=epoch, y=mean - std, **around, **axis))
        fill = {"fill": "tonexty", "fillcolor": f"rgba{(*(int(color[i : i + 2], 16) for i in (1, 3, 5)), 0.18)}"}
        drawn.append(go.Scatter(x=epoch, y=mean + std, **around, **axis, **fill))
    return drawn


def _maps(data: dict[str, Any]) -> go.Figure:
    """Panels side by side; each point tells its clip and category, the legend switches categories in all panels."""
    shown, names, panels = go.Figure(), data["categories"], data["panels"]
    colors = theme.class_colors(len(names))
    for place, (heading, panel) in enumerate(panels.items()):
        axis = {"xaxis": f"x{place + 1}", "yaxis": f"y{place + 1}"}
        for modality, own in panel["points"].items():
            for k in range(len(names)) if names else [None]:
                rows = [i for i, value in enumerate(own["value"]) if k is None or value == k]
                label = modality if k is None else names[k]
                marker = {"symbol": theme.mark_of(modality).symbol, "size": 14 if modality == "class prompt" else 6}
                marker |= {"color": colors[k]} if k is not None else {"color": own["value"], "coloraxis": "coloraxis"}
                first = place == 0 and modality == next(iter(panel["points"]))
                look = {"mode": "markers", "marker": marker, "legendgroup": escape(label), "showlegend": first}
                text = [escape(f"{own['name'][i]} ({modality}, {label})") for i in rows]
                xy = {"x": [own["x"][i] for i in rows], "y": [own["y"][i] for i in rows]}
                shown.add_trace(
                    go.Scattergl(**xy, name=escape(label), hovertext=text, hoverinfo="text", **look, **axis)
                )
        wide = [place / len(panels), (place + 0.97) / len(panels)]
        blank = {"showticklabels": False, "showgrid": False, "zeroline": False}
        shown.update_layout(
            {f"xaxis{place + 1}": blank | {"domain": wide, "anchor": f"y{place + 1}", "title": escape(heading)}}
        )
        shown.update_layout({f"yaxis{place + 1}": blank | {"anchor": f"x{place + 1}", "scaleanchor": f"x{place + 1}"}})
    for modality in dict.fromkeys(m for panel in panels.values() for m in panel["points"]):
        marker = {"symbol": theme.mark_of(modality).symbol, "size": 9, "color": theme.QUIET}
        shown.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=modality))
    legend = {"tracegroupgap": 0, "font": {"size": 11}}
    return shown.update_layout(height=580, legend=legend, coloraxis={"colorscale": "Cividis"})


TWINS = {
    "joint_map": _maps,
    "confusion_matrix": _confusion,
    "training_curves": _curves,
    "class_gains": _gains,
}
