"""What the API's own JavaScript client does is in `sdk.test.js`."""

import os
import pathlib
import subprocess


def test_javascript_client(site):
    environment = os.environ | {"VELVETROPE_API": site.api, "VELVETROPE_TOKEN": site.token}
    subprocess.run(["npm", "test"], cwd=pathlib.Path(__file__).parent, env=environment, check=True)
