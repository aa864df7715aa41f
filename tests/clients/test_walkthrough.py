"""The page examples/bypass-rules/README.md, run as it stands: its commands do what it says."""

import os
import re
import shutil
import signal
import subprocess

from site_under_test import PROGRAM, ROOT

PAGE = (ROOT / "examples/bypass-rules/README.md").read_text()


def shell():
    """A shell with ports of its own, where the system lets us: the page names them, and others may have them."""
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
        return ["bash", "-eu", "-c"]
    return [*alone, "bash", "-eu", "-c", 'ip link set lo up && exec bash -eu -c "$0"']


def test_the_page(tmp_path):
    blocks = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S)
    # What the page takes for granted: the folder of the repository, and the program on the path.
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/velvetrope").symlink_to(PROGRAM)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    script = "".join(f"{text}echo; echo ---\n" for kind, text in blocks if kind == "sh")
    # The children of the page are its own: should a command fail, they end with it.
    page = subprocess.Popen(
        [*shell(), script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, complaints = page.communicate(timeout=120)
    finally:
        try:
            os.killpg(page.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert page.returncode == 0, complaints + printed
    outputs = iter(part.strip() for part in printed.split("---\n"))
    # Each command prints what the page says below it.
    said = {}
    for index, (kind, text) in enumerate(blocks):
        if kind == "sh":
            said[text] = next(outputs)
            following = blocks[index + 1][0] if index + 1 < len(blocks) else "sh"
            if following != "sh":
                assert said[text] == blocks[index + 1][1].strip(), text
    printed_by = lambda part: next(output for command, output in said.items() if part in command)
    assert '"id":"ticketing"' in printed_by("$API/zones\"")
    created = printed_by('"Ticket links"')
    assert '"expression":"ends_with(http.request.uri.path, \\"/userverified\\")"' in created
