"""Chromium on the dashboard of a server, and what is asked of every page there."""

import json
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from .postgres import DEPS

AXE = DEPS / "servers/browser/axe.min.js"
PHONE, DESK = {"width": 400, "height": 800}, {"width": 1200, "height": 760}
# Where `PENSTOCK_SCREENSHOTS=docs/images` says, what the manual shows is taken anew.
SCREENSHOTS = os.environ.get("PENSTOCK_SCREENSHOTS")
# Of what can be focused and seen: its text, and whether it shows that it has the focus.
FOCUSED = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const style = getComputedStyle(one), box = one.querySelector('.box');
    return {what: (one.getAttribute('href') || one.id || '') + ' ' + one.textContent.trim(), tag: one.tagName.toLowerCase(),
            shown: (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) || (box !== null && parseFloat(getComputedStyle(box).strokeWidth) >= 4)};
}"""
REACHABLE = """() => [...document.querySelectorAll('a[href], button, input')].filter((one) => one.checkVisibility())
    .map((one) => (one.getAttribute('href') || one.id || '') + ' ' + one.textContent.trim())"""
TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && one.checkVisibility())
    .map((one) => one.outerHTML.slice(0, 150)).slice(0, 3)"""


class Browser:
    """One process for a module's tests; each has a context of its own, as another person would."""

    def __init__(self):
        chromium = shutil.which("chromium")
        assert chromium, "no Chromium here: tools/bootstrap servers installs it"
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])

    def visitor(self, server, token: str | None = None) -> "Visitor":
        return Visitor(self._chromium.new_context(viewport=DESK, color_scheme="light", locale="en-GB"), server, token)

    def close(self):
        self._chromium.close()
        self._playwright.stop()


class Visitor:
    """Somebody at a page. What a browser complains of, and what it asked of other places, is kept for the end."""

    def __init__(self, context, server, token):
        self.context, self.origin = context, f"http://127.0.0.1:{server.port}"
        self.complaints, self.elsewhere, self.dialogs = [], [], []
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: None if asked.url.startswith((self.origin + "/", "data:,")) else self.elsewhere.append(asked.url))
        self.page.on("dialog", self._answer)
        if token is not None:
            context.add_init_script(f"if (!sessionStorage.getItem('signed-in')) {{ sessionStorage.setItem('signed-in', 'once'); sessionStorage.setItem('penstock-token', {json.dumps(token)}); }}")

    def _answer(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.accept()

    def go(self, hash_: str = "", heading: str | None = None):
        """By address, as a bookmark would; `heading` is waited for."""
        self.page.goto(f"{self.origin}/{hash_}")
        if heading is not None:
            self.heading(heading)

    def heading(self, text: str):
        self.page.get_by_role("heading", name=text, level=1, exact=True).wait_for()

    def told(self, text: str):
        self.page.locator("#told", has_text=text).wait_for()

    # -- judging ---------------------------------------------------------------------------------------------------
    def judge(self):
        """In light on a desk, and in dark on a phone."""
        if not self.page.evaluate("() => typeof axe !== 'undefined'"):
            self.page.evaluate(AXE.read_text())  # by the debugger, which the page's policy does not bind
        self._assert_accessible("light, desk")
        self.page.emulate_media(color_scheme="dark")
        self.page.set_viewport_size(PHONE)
        wide = self.page.evaluate("() => document.scrollingElement.scrollWidth")
        assert wide <= PHONE["width"], f"{self.page.url} is {wide} wide: {self.page.evaluate(TOO_WIDE)}"
        self._assert_accessible("dark, phone")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(DESK)

    def _assert_accessible(self, how: str):
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
        serious = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, f"{self.page.url} ({how}): {serious}"

    def tab_through(self) -> list[str]:
        """From the page's beginning until the focus leaves it: every thing that can be used is reached, shows that it is, and none is a trap."""
        self.from_the_top()
        reached = []
        for _ in range(200):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if focused is None or reached and focused["what"] == reached[0]:
                break
            assert focused["shown"], f"the focus on {focused} is not to be seen"
            reached.append(focused["what"])
        else:
            raise AssertionError(f"the focus does not leave the page: {reached[-5:]}")
        missed = set(self.page.evaluate(REACHABLE)) - set(reached)
        assert not missed, f"{self.page.url}: not reached by Tab: {missed}"
        return reached

    def from_the_top(self):
        """As if the page had just been opened: the next Tab takes the first thing."""
        self.page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")

    def tab_to(self, what: str):
        """Presses Tab until the thing with this text or address has the focus."""
        for _ in range(200):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if focused and what in focused["what"]:
                return
        raise AssertionError(f"{what} is not reached")

    def screenshot(self, name: str):
        """At most 150 kB: they are committed."""
        taken = self.page.screenshot(animations="disabled")
        assert len(taken) < 150_000, f"{name} has {len(taken)} bytes"
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            (Path(SCREENSHOTS) / f"{name}.png").write_bytes(taken)

    def leave(self, *expected: str):
        """Nothing was asked of others, and the browser complained of nothing but of answers that were `expected`."""
        self.context.close()
        left = [one for one in self.complaints if not any(text in one for text in expected)]
        assert not left and not self.elsewhere and len(self.complaints) < 200, (left, self.elsewhere)
