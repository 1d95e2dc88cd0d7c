"""The page of `--compare` in a real browser: the slider cuts where it should, by keyboard and by pointer."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonet_cli.compare import Pair, write_page

SAMPLES = Path(__file__).parents[2] / "samples"
PAIR = Pair("cat-noisy.jpg", SAMPLES / "cat-noisy.jpg", SAMPLES / "clean/cat.png", "noise 9.1 found, 0.8 s")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
BROWSER_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",  # no smooth scrolling: what is clicked stays where it is
    "--window-size=1200,900",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[object]:
    webdriver = pytest.importorskip("selenium.webdriver")
    if not BROWSER or not DRIVER:
        pytest.skip("no Chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*BROWSER_FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


def splits(driver) -> tuple[float, float]:
    """Where the browser cuts: percent hidden of before (from its right) and of after (from its left)."""
    script = "return [...document.querySelectorAll('.layer')].map(layer => getComputedStyle(layer).clipPath)"
    before, after = driver.execute_script(script)
    right, left = before.split("(")[1].split(" 0px 0px")[0], after.rstrip(")").split()[-1]
    return _percent(right), _percent(left)


def _percent(length: str) -> float:
    """`calc(100% - 30%)` and `70%` are both 70."""
    numbers = [float(number) for number in re.findall(r"[\d.]+(?=%)", length)]
    return numbers[0] - sum(numbers[1:])


def test_browser_slider(browser, tmp_path: Path):
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.common.by import By

    page = write_page([PAIR], tmp_path / "page.html", "photonet denoise", overwrite=False)
    browser.get(page.as_uri())
    loaded = browser.execute_script("return [...document.images].every(image => image.complete && image.naturalWidth)")
    assert loaded
    assert splits(browser) == (50, 50)

    slider = browser.find_element(By.CSS_SELECTOR, "input[type=range]")
    assert "cat-noisy.jpg" in slider.accessible_name
    slider.send_keys(Keys.ARROW_RIGHT * 10)
    assert splits(browser) == (40, 60)
    slider.send_keys(Keys.ARROW_LEFT * 30)
    assert splits(browser) == (70, 30)
    slider.send_keys(Keys.HOME)
    assert splits(browser) == (100, 0)

    stage = browser.find_element(By.CSS_SELECTOR, ".stage")
    quarter = stage.size["width"] // 4
    drag = ActionChains(browser).move_to_element_with_offset(stage, -quarter, 0).click_and_hold()
    drag.move_to_element_with_offset(stage, quarter, 20).release().perform()
    assert splits(browser) == pytest.approx((25, 75), abs=0.5)
    ActionChains(browser).move_to_element_with_offset(stage, 0, 0).perform()  # not held: nothing moves
    assert splits(browser) == pytest.approx((25, 75), abs=0.5)
    assert slider.get_attribute("aria-valuetext") == "75 % before"
    ActionChains(browser).send_keys(Keys.ARROW_LEFT).perform()  # a drag leaves the keyboard on the slider
    assert splits(browser)[1] == pytest.approx(74, abs=0.5)
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_browser_crop(browser, tmp_path: Path):
    from selenium.webdriver.common.by import By

    browser.get(write_page([PAIR], tmp_path / "page.html", "t", overwrite=False).as_uri())
    button = browser.find_element(By.CSS_SELECTOR, ".crop")
    image = button.find_element(By.CSS_SELECTOR, "img")
    style = "return getComputedStyle(arguments[0])[arguments[1]]"
    assert browser.execute_script(style, image, "imageRendering") == "pixelated"
    natural = browser.execute_script("return arguments[0].naturalWidth", image)
    assert image.size["width"] % natural == 0  # a pixel stays a square
    assert browser.execute_script(style, image, "transform") == "none"
    button.click()
    assert browser.execute_script(style, image, "transform").startswith("matrix(2, 0, 0, 2")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert browser.execute_script(style, image, "transform") == "none"
