"""Open reports in headless Chromium with the network off: size, time, requests, complaints, pictures.

    python -m tests.report_visits reports/*.html [--pictures DIR]

Exits with 1 if a report is too large or too slow, asks for anything or complains.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.oracle.browser import CHROMIUM, opened

READY = "document.documentElement?.dataset.ready === '1'"
LARGEST_MB = 9.0
SLOWEST_S = 2.0
VIEWS = (("light", 1200, False), ("dark", 1200, True), ("phone", 390, True))
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_DRAWN = "performance.getEntriesByName('drawn')[0]?.startTime ?? performance.now()"
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


@dataclass(frozen=True, slots=True)
class Visit:
    """What one look at a report found; seconds count from the start of the navigation."""

    report: str
    view: str
    megabytes: float
    first_paint_s: float | None
    loaded_s: float
    drawn_s: float
    figures: int
    empty_figures: int
    requests: list[str]
    complaints: list[str]
    wider_than_the_screen: bool

    @property
    def faults(self) -> list[str]:
        """What is wrong with it; time is judged apart, since a busy machine is no fault of the page."""
        found = [f"asked for {url}" for url in self.requests]
        found += [f"complained: {said}" for said in self.complaints]
        found += [f"{self.empty_figures} figures are empty"] if self.empty_figures else []
        found += ["is wider than the screen"] if self.wider_than_the_screen else []
        found += [f"has {self.megabytes:.1f} MB"] if self.megabytes >= LARGEST_MB else []
        return found


async def visit(
    report: Path, view: str = "light", width: int = 1200, dark: bool = False, picture: Path | None = None
) -> Visit:
    """Open one report, wait until all is drawn, and say what happened."""
    async with opened(report, width=width, dark=dark) as page:
        await page.until(READY)
        drawn = "[...document.querySelectorAll('.canvas')]"
        paint = await page.value(_FIRST_PAINT)
        found = Visit(
            report=report.name,
            view=view,
            megabytes=report.stat().st_size / 1e6,
            first_paint_s=None if paint is None else paint / 1e3,
            loaded_s=await page.value(_LOADED) / 1e3,
            drawn_s=await page.value(_DRAWN) / 1e3,
            figures=await page.value(f"{drawn}.length"),
            empty_figures=await page.value(f"{drawn}.filter(c => !c.querySelector('.main-svg')).length"),
            requests=[url for url in page.requests() if not url.startswith(("file:", "data:", "blob:"))],
            complaints=[json.dumps(said)[:300] for said in page.complaints()],
            wider_than_the_screen=not await page.value("document.documentElement.scrollWidth <= innerWidth"),
        )
        if picture is not None:
            await page.picture(picture, whole=True)
    return found


def _line(found: Visit) -> str:
    painted = "never" if found.first_paint_s is None else f"{found.first_paint_s:.2f} s"
    return (
        f"{found.report} {found.view}: {found.megabytes:.2f} MB, first paint {painted}, "
        f"loaded {found.loaded_s:.2f} s, all drawn {found.drawn_s:.2f} s, {found.figures} figures, "
        f"{len(found.requests)} requests, {len(found.complaints)} complaints"
        + "".join(f"; {fault}" for fault in found.faults)
    )


def main(arguments: list[str] | None = None) -> int:
    """Visit every report in every view and print one line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.report_visits", description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for PNG files of the whole pages")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    if CHROMIUM is None:
        sys.stderr.write("error: needs Chromium: install the package chromium\n")
        return 2
    visits = []
    for report in options.reports:
        for view, width, dark in VIEWS:
            name = options.pictures and options.pictures / f"{report.stem}-{view}.png"
            visits.append(asyncio.run(visit(report, view, width, dark, name)))
    slow = [found for found in visits if found.loaded_s >= SLOWEST_S]
    if options.json:
        print(json.dumps([asdict(found) for found in visits], indent=2))
    else:
        for found in visits:
            print(_line(found))
    return 1 if slow or any(found.faults for found in visits) else 0


if __name__ == "__main__":
    sys.exit(main())
