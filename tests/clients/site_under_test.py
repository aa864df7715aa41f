"""A proxy with a store, and an origin behind it: what the clients talk to."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("VELVETROPE", str(ROOT / "target/debug/velvetrope"))
SECRET = "a secret of the tests"


class Origin(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"origin")

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def call(api, token, method, path, body=None):
    """The envelope that the API answers with."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(api + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)


class Site:
    """The policy `ticketing` of the examples, copied, with a store of its own."""

    def __init__(self, folder):
        self.policy = folder / "ticketing"
        shutil.copytree(ROOT / "examples/ticketing", self.policy)
        self.store = folder / "store.db"
        self.origin = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.site, self.admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.token = self.create_token("write")
        arguments = ["serve", self.policy, "--store", self.store, "--listen", self.site, "--admin", self.admin]
        origin = f"http://127.0.0.1:{self.origin.server_port}"
        environment = os.environ | {"VELVETROPE_SECRET": SECRET}
        self.log = open(folder / "log", "w+")
        command = [PROGRAM, *map(str, arguments), "--origin", origin]
        self.process = subprocess.Popen(command, env=environment, stderr=self.log)
        self.wait_until_ready()

    @property
    def api(self):
        return f"http://{self.admin}/client/v4"

    def create_token(self, scope):
        command = [PROGRAM, "admin", "token", "create", "--store", str(self.store), "--scope", scope]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def wait_until_ready(self):
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://{self.admin}/readyz"):
                    return
            except OSError:
                time.sleep(0.1)
        self.log.seek(0)
        raise AssertionError("the proxy does not serve: " + self.log.read())

    def visit(self, path, **headers):
        """The status that a visitor gets: 200 from the origin, 302 to the waiting room."""
        headers = {"host": "tickets.example"} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://{self.site}{path}", headers=headers)
        opener = urllib.request.build_opener(NoRedirect)
        try:
            with opener.open(request) as response:
                return response.status, response.headers
        except urllib.error.HTTPError as error:
            return error.code, error.headers

    def call(self, method, path, body=None):
        return call(self.api, self.token, method, path, body)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.origin.shutdown()
        self.log.close()
