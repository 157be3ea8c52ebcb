"""Environments for peers: each package from PyPI in a virtual environment of its own, made once and kept."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

CACHE = Path("~/.cache/spanhouse-benchmarks")


def environment(package: str, version: str, cache: Path = CACHE) -> Path:
    """Return the ``bin`` folder of an environment that holds a package, installing it where it is not there yet."""
    folder = cache.expanduser() / f"{package}-{version}"
    ready = folder / "installed"
    if not ready.exists():
        print(f"installing {package} {version} into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"{package}=={version}"], check=True
        )
        ready.touch()
    return folder / "bin"
