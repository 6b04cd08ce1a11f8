"""A real browser for the pages' tests: headless, with a profile of its own, talking to nobody."""

import shutil
from collections.abc import Iterator

import pytest

ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --window-size=1440,960"
)


def _found(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(
        f"None of {', '.join(names)} is installed; on Debian: apt-get install chromium chromium-driver"
    )


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """One browser for all tests: starting it takes a second, opening a page in it does not."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = _found("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(_found("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium):  # type: ignore[no-untyped-def]
    """The browser on an empty page, with empty logs."""
    chromium.get("about:blank")
    for log in ("performance", "browser"):
        chromium.get_log(log)
    return chromium
