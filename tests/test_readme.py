"""What the README tells people to type is what CI runs and the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = 'python3 -m venv .venv && .venv/bin/pip install ".[all]" && .venv/bin/napari-sam3 demo'
TESTS = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox"


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_two_commands_do_all_the_set_up():
    assert DEMO in commands(README)
    assert TESTS in commands(README)


def test_ci_runs_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert script[-1] == TESTS


def test_documentation_starts_the_demo_as_the_readme_does():
    home = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")

    assert DEMO in commands(home)


def test_debian_packages_of_the_readme_are_those_ci_installs():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (listed,) = re.findall(r"packages=\((.*?)\)", script, re.DOTALL)
    (told,) = (line for line in commands(README) if line.startswith("sudo apt-get install"))

    assert set(listed.split()) - {"xvfb"} == set(told.split()[3:]) - {"python3-venv"}


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", README)

    assert [link for link in links if not (ROOT / link).exists()] == []
