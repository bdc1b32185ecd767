"""The tearsheet in a browser without network: it draws, fetches nothing, complains of nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lab.report import tearsheet
from tests.oracle.browser import CHROMIUM, opened
from tests.oracle.report_run import write_run
from tests.report_visits import READY, VIEWS, visit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: install the package chromium"),
]

HOSTILE = "</script><script>document.title='gone'</script><img src=x onerror=\"document.title='gone'\">"


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run = write_run(folder / "run", markets=3, rename={0: HOSTILE}, description=HOSTILE)
    return tearsheet(run, folder / "sheet.html")


@pytest.mark.parametrize(("view", "width", "dark"), VIEWS)
def test_it_draws_everything_and_fetches_nothing(sheet: Path, view: str, width: int, dark: bool) -> None:
    found = asyncio.run(visit(sheet, view, width, dark))
    assert found.faults == []
    assert found.figures > 5


def test_a_page_that_asks_and_complains_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<html><body><img src='http://127.0.0.1:9/picture.png'><div class='canvas'></div><script>"
        "document.documentElement.dataset.ready = '1'; performance.mark('drawn'); console.error('no')"
        "</script></body></html>"
    )
    faults = " ".join(asyncio.run(visit(page)).faults)
    assert "asked for http://127.0.0.1:9/picture.png" in faults
    assert "complained" in faults
    assert "1 figures are empty" in faults


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_hostile_names_stay_text_and_colours_follow_the_reader(sheet: Path, width: int, dark: bool) -> None:
    async def look() -> None:
        async with opened(sheet, width=width, dark=dark) as page:
            await page.until(READY)
            assert await page.value("document.title") == "demo · tearsheet"
            assert await page.value("document.documentElement.classList.contains('dark')") is dark

    asyncio.run(look())


def test_its_controls_work(sheet: Path) -> None:
    async def visit() -> None:
        async with opened(sheet) as page:
            await page.until(READY)
            select = "document.querySelector('.plot select')"
            names = await page.value(f"[...{select}.options].map(o => o.textContent)")
            assert len(names) == 3
            assert any(name.startswith("</script>") for name in names)
            await page.value(f"({select}.selectedIndex = 1, {select}.dispatchEvent(new Event('change')))")
            shown = f"{select}.closest('.plot').querySelector('.canvas')._fullData.map(t => t.visible)"
            assert await page.value(shown) == [False] * 3 + [True] * 3 + [False] * 3
            colour = "document.querySelector('.canvas')._fullLayout.font.color"
            light = await page.value(colour)
            await page.value("document.getElementById('theme').click()")
            assert await page.value(colour) != light
            saved = await page.value(
                """(async () => {
                    let blob = null;
                    const make = URL.createObjectURL;
                    URL.createObjectURL = (given) => { blob = given; return make(given); };
                    document.querySelector("table[data-name=drawdowns]").parentElement.nextElementSibling
                        .querySelector(".save").click();
                    return await blob.text();
                })()"""
            )
            head, first = saved.splitlines()[:2]
            assert head.startswith(",depth,high,low")
            assert -1.0 < float(first.split(",")[1]) < 0.0
            assert page.complaints() == []

    asyncio.run(visit())
