"""Draws a run: the distribution of each sampled series, or the rows beside their targets."""

from pathlib import Path

from bench.harness import Options, Report


def draw(path: Path, title: str, done: Report, options: Options) -> None:
    """Write a picture to `path`; its ending says which kind (.png, .svg, .pdf).

    Raises ValueError for an ending that is none of them.
    """
    import matplotlib as mpl  # half a second, for those who want a picture

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    if options.samples:
        for name, values in options.samples.items():
            axes.ecdf(values, label=f"{name} ({len(values)})")
        axes.set_ylabel("share of samples")
        axes.legend()
    else:
        with_target = [row for row in done.rows if row.target]
        axes.barh(
            [f"{row.name} ({row.unit})" for row in with_target],
            [row.value / (row.target or 1) for row in with_target],
        )
        axes.axvline(1, linestyle="--", color="black")
        axes.set_xlabel("value over target")
    axes.set_title(f"{title}\n{done.machine.cpu}, {done.machine.count} CPUs", fontsize="medium")
    figure.savefig(path)
    plt.close(figure)
