"""Debian's chromium, without a window and without a network, for the tests that look at pages as a reader does."""

import base64
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--force-device-scale-factor=1", "--hide-scrollbars"),
)

_ABSENT = not (os.path.exists(CHROMIUM) and os.path.exists(DRIVER))
_REASON = f"needs {CHROMIUM} and {DRIVER} (Debian's packages chromium and chromium-driver)"

needs_browser = pytest.mark.skipif(_ABSENT, reason=_REASON)
"""Mark of a test that drives the browser."""


@contextmanager
def browser(width, height, dark=False):
    """A fresh browser, closed at the end of the block; skips the test where there is none.

    Args:
        width, height: of the page's viewport, in CSS pixels; a phone's width too, which no window of a desktop could have.
        dark: whether the reader's system asks for the dark scheme.

    Yields:
        a selenium driver.
    """
    if _ABSENT:
        pytest.skip(_REASON)
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (the extra [test])")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tempfile.mkdtemp(prefix="evenhand-browser-")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = None
    try:
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        driver.set_page_load_timeout(60)
        set_viewport(driver, width, height)
        set_scheme(driver, dark)
        yield driver
    finally:
        if driver is not None:
            driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def set_viewport(driver, width, height):
    """Lay the page out for a screen of so many CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def set_scheme(driver, dark):
    """What `prefers-color-scheme` says to the page."""
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def screenshot(driver, path, whole_page=True):
    """A PNG of the whole page, or of what the window shows; its path."""
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole_page})
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(shot["data"]))
    return path
