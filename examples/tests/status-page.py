#!/usr/bin/env python3
"""Drives the status page of plugin-host in a real browser, and fails if anything is missing.

    cargo build --package tower-plugin-examples --bin plugin-host
    examples/tests/status-page.py [SCREENSHOT.png]

Needs chromium (apt-get install chromium) and nothing but Python's own library.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOST = pathlib.Path(os.environ.get("PLUGIN_HOST", ROOT / "target/debug/plugin-host"))
TOKEN = "the-token-of-the-administrator"
WAIT = 30

# Nobody's proxy stands between this machine and itself.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url, message, token=None):
    headers = {"content-type": "application/json", "connect-protocol-version": "1"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)
    try:
        with OPENER.open(request, timeout=WAIT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


class Host:
    """A host on loopback, and a plugin that works."""

    def __init__(self, folder):
        self.audit = folder / "audit"

    def __enter__(self):
        environment = {
            **os.environ,
            "PLUGIN_HOST_ADMIN_TOKEN": TOKEN,
            "PLUGIN_HOST_AUDIT_KEYS": "1 " + "7a" * 32,
        }
        listen = "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --open-admission"
        self.process = subprocess.Popen(
            [HOST, *listen.split(), "--audit-file", self.audit],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        banner = ""
        for line in self.process.stdout:
            banner += line
            if line.startswith("for "):
                break
        self.url = re.search(r"listens on (\S+)", banner)[1]
        self.admin = re.search(r"/admin: (\S+)", banner)[1]
        self.secret = re.search(r"PLUGIN_HOST_BOOTSTRAP_SECRET='(\w+)'", banner)[1]
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.process.terminate()
        self.process.wait(WAIT)

    def admit(self):
        status, answer = post(
            f"{self.url}/connectplugin.v1.HandshakeService/Handshake",
            {
                "coreProtocolVersion": 1,
                "appProtocolVersion": 1,
                "magicCookieKey": "CONNECT_PLUGIN",
                "magicCookieValue": self.secret,
                "selfId": "page",
                "selfVersion": "1.2.3",
            },
        )
        assert status == 200, status
        return answer["runtimeToken"]

    def register(self, token):
        service = {"serviceType": "kv", "version": "1.0.0", "endpointPath": "/kv/"}
        return post(f"{self.url}/connectplugin.v1.ServiceRegistry/RegisterService", service, token)[0]


class Browser:
    """Chromium over a pair of pipes: messages of the DevTools protocol, each ended by a zero byte."""

    def __init__(self, profile):
        binary = shutil.which("chromium") or shutil.which("chromium-browser")
        if not binary:
            sys.exit("chromium is missing: apt-get install chromium")
        read_by_browser, self.out = os.pipe()
        self.into, written_by_browser = os.pipe()

        def connect():
            # It expects them as 3 and 4; first out of the way of each other.
            there, back = os.dup(read_by_browser), os.dup(written_by_browser)
            os.dup2(there, 3)
            os.dup2(back, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        flags = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
            "--disable-background-networking --disable-component-update --disable-sync "
            "--remote-debugging-pipe --window-size=1100,1300 --no-proxy-server"
        )
        self.process = subprocess.Popen(
            [binary, *flags.split(), f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=connect,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_browser)
        os.close(written_by_browser)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []

    def receive(self):
        while b"\0" not in self.buffer:
            chunk = os.read(self.into, 1 << 16)
            assert chunk, "the browser has gone"
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && !!document.getElementById('token')")

    def value(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, script):
        end = time.monotonic() + WAIT
        while not self.value(script):
            assert time.monotonic() < end, f"never true: {script}\n{self.value('document.body.innerText')}"
            time.sleep(0.1)

    def type_token(self, token):
        self.value("document.getElementById('token').focus()")
        self.call("Input.insertText", text=token)
        self.value("document.querySelector('#login button').click()")

    def cells(self, table, first):
        """The cells of the row that starts with this text."""
        script = f"""
            [...document.querySelectorAll('#{table} tbody tr')]
                .map((row) => [...row.cells].map((cell) => cell.textContent))
                .find((row) => row[0] === {json.dumps(first)}) || null"""
        return self.value(script)

    def card(self, name):
        return self.value(f"document.querySelector('[data-name=\"{name}\"] b').textContent")

    def faults(self):
        """Exceptions, and what the policy of the page has kept from happening."""
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                yield event["params"]
            if event.get("method") == "Log.entryAdded":
                entry = event["params"]["entry"]
                # A refused token is a refused request, and the browser says so.
                if entry["level"] == "error" and entry["source"] != "network":
                    yield entry

    def requested(self):
        for event in self.events:
            if event.get("method") == "Network.requestWillBeSent":
                yield event["params"]["request"]["url"]

    def end(self):
        self.process.terminate()
        self.process.wait(WAIT)


def main():
    screenshot = sys.argv[1] if len(sys.argv) > 1 else None
    if not HOST.exists():
        sys.exit(f"{HOST} is missing: cargo build --package tower-plugin-examples --bin plugin-host")
    # The browser may still write while its profile is removed.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryDirectory() as folder,
        Host(pathlib.Path(folder)) as host,
    ):
        plugin = host.admit()
        statuses = [host.register(plugin) for _ in range(8)]
        admitted, refused = statuses.count(200), statuses.count(429)
        assert admitted >= 5 and refused >= 1 and admitted + refused == 8, statuses

        browser = Browser(profile)
        try:
            browser.open(host.admin + "/")
            assert browser.value("document.getElementById('main').hidden")

            browser.type_token("not-the-token-of-anybody")
            browser.until("document.getElementById('note').textContent.includes('not accepted')")
            assert browser.value("document.getElementById('main').hidden")

            browser.type_token(TOKEN)
            browser.until("!document.getElementById('main').hidden")
            name, quota, seen, over, undecided = browser.cells("policies", "register")
            assert (name, quota) == ("register", "1/s:5"), (name, quota)
            assert (int(seen), int(over), int(undecided)) == (admitted, refused, 0), (seen, over)
            assert browser.card("Tokens alive") == "1"
            assert browser.card("Registrations") == str(admitted)
            assert browser.card("Host") == "ready"
            assert browser.card("Redis") == "not used"
            assert browser.cells("refusals", "ratelimit")[1:] == ["RATE_LIMITED", str(refused)]
            plugins = browser.value(
                "[...document.querySelectorAll('#plugins tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
            )
            assert plugins[0] == ["Plugin", "Version", "Runtime id", "Since", "Health", "Services", "Token ends"], plugins
            assert plugins[1][0:2] == ["page", "1.2.3"] and plugins[1][2].startswith("page-"), plugins
            assert plugins[1][4] == "not told" and plugins[1][5].startswith("kv 1.0.0"), plugins
            assert "logger 1.0.0" in browser.value("document.getElementById('grants').textContent")
            audit = browser.value(
                "[...document.querySelectorAll('#audit tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
            )
            assert audit[0][:4] == ["Time", "Event", "Action", "Outcome"], audit[0]
            assert all(any(row[number] for row in audit[1:]) for number in range(len(audit[0]))), "an empty column"
            times, events = {row[0][:2] for row in audit[1:]}, {row[1] for row in audit[1:]}
            assert times == {"20"} and "authn_token_created" in events, audit

            # In memory and nowhere else.
            kept = browser.value(
                "document.documentElement.outerHTML + document.cookie + location.href"
                " + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})"
                " + document.getElementById('token').value"
            )
            assert TOKEN not in kept

            # It is live.
            host.admit()
            browser.until("document.querySelector('[data-name=\"Tokens alive\"] b').textContent === '2'")
            if screenshot:
                data = browser.call("Page.captureScreenshot", format="png")["data"]
                pathlib.Path(screenshot).write_bytes(base64.b64decode(data))

            # Nothing has come from elsewhere, and nothing was kept from running.
            strangers = [url for url in browser.requested() if not url.startswith((host.admin, "about:"))]
            assert not strangers, strangers
            assert not list(browser.faults()), list(browser.faults())

            # A token that is forgotten has to be typed again; a host that is gone is missed.
            browser.value("document.getElementById('leave').click()")
            assert browser.value("document.getElementById('main').hidden")
            browser.type_token(TOKEN)
            browser.until("!document.getElementById('main').hidden")
            host.end()
            browser.until("document.getElementById('note').textContent.includes('does not answer')")
        finally:
            browser.end()
    print("status page: everything is there")


main()
