"""What was measured, as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Figures = Mapping[str, float]

ROWS = {
    "frames": "frames measured",
    "embed": "embed, ms a frame",
    "first click": "first click on a frame, ms",
    "click": "later clicks, ms, median",
    "late click": "95 % of later clicks, ms",
    "decoder": "the decoder alone, ms",
    "follow": "follow {objects} objects, ms a frame",
    "embed and follow": "embed and follow, ms a frame",
    "reopen": "reopen, ms a frame",
    "click after reopening": "first click after reopening, ms",
    "followed": "masks that are not empty, %",
    "peak": "peak memory, MiB",
}
"""The rows of the large table, by the name of their figure."""


def compared(columns: Mapping[str, Figures], objects: int) -> str:
    """Write what every contender took."""
    rows = [
        [title.format(objects=objects), *(rounded(one.get(name)) for one in columns.values())]
        for name, title in ROWS.items()
    ]
    return table(["", *columns], rows)


def aims(columns: Mapping[str, Figures]) -> str:
    """Write how each model of ours stands to itself, and to the stock classes."""
    rows = []
    for name, ours in columns.items():
        if "stock" in name or "micro-sam" in name:
            continue
        stock = columns.get(f"stock {name}", {})
        rows.append(
            [
                name,
                ratio(ours.get("click"), ours.get("decoder")),
                ratio(stock.get("follow"), ours.get("follow")),
                ratio(stock.get("follow"), ours.get("embed and follow")),
                ratio(ours.get("embed"), ours.get("reopen")),
            ]
        )
    titles = [
        "",
        "later click : decoder alone",
        "stock : ours, following",
        "stock : ours, embedding and following",
        "embedding : reopening",
    ]
    return table(titles, rows)


def grown(what: str, figures: Mapping[int, Figures]) -> str:
    """Write how time and memory grow with something."""
    rows = [
        [str(amount), *(rounded(one.get(name)) for name in ("follow", "followed", "peak"))]
        for amount, one in figures.items()
    ]
    titles = [what, "embed and follow, ms a frame", "masks that are not empty, %", "peak, MiB"]
    return table(titles, rows)


def floors(models: Mapping[str, Mapping[str, Figures]]) -> str:
    """Write what each step of each model takes at least, and what it took."""
    rows = []
    for model, steps in models.items():
        for step in ("encode", "click"):
            one = steps[step]
            least = max(one["calculating"], one["moving"])
            rows.append(
                [
                    f"{model}, {step}",
                    f"{one['flops'] / 1e9:.1f}",
                    f"{one['bytes'] / 1e6:.1f}",
                    *map(rounded, (one["calculating"], one["moving"], least, one["measured"])),
                    ratio(one["measured"], least),
                ]
            )
    titles = ["", "GFLOP", "MB", "calculating, ms", "moving, ms", "floor, ms", "measured, ms"]
    return table([*titles, "measured : floor"], rows)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows of cells under their titles."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def rounded(figure: float | None) -> str:
    """Write a figure with as many digits as can be trusted."""
    if figure is None:
        return ""
    return f"{figure:.0f}" if abs(figure) >= 100 or figure == int(figure) else f"{figure:.1f}"


def ratio(one: float | None, other: float | None) -> str:
    """Divide figures, where both are there."""
    return f"{one / other:.2f}" if one and other else ""
