"""The commands of examples/bypass-rules/README.md do what it says."""

import os
import re
import subprocess

from site_under_test import ROOT

PAGE = (ROOT / "examples/bypass-rules/README.md").read_text()


def test_the_page(site):
    blocks = re.findall(r"```(sh|json|text)\n(.*?)```", PAGE, re.S)
    # The site runs already, on ports of its own.
    commands = [text for kind, text in blocks if kind == "sh"][1:]
    answers = [text.strip() for kind, text in blocks if kind != "sh"]
    script = "\n".join(f"{command}\necho; echo ---" for command in commands)
    script = script.replace("http://127.0.0.1:9080/client/v4", site.api)
    script = script.replace("http://127.0.0.1:8080", f"http://{site.site}")
    environment = os.environ | {"TOKEN": site.token}
    done = subprocess.run(["bash", "-euc", script], env=environment, capture_output=True, text=True, check=True)
    zones, _, refused, created, status, *_ = (part.strip() for part in done.stdout.split("---\n"))
    assert '"id":"ticketing"' in zones
    assert [refused, status] == answers
    assert '"expression":"ends_with(http.request.uri.path, \\"/userverified\\")"' in created
    assert site.visit("/shop/42/userverified/more")[0] == 302
