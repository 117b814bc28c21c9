#!/usr/bin/python3
"""Programs that unpack a mail into a folder: ripmime, munpack. See README.md."""
import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TOOL = sys.argv[1]

for line in sys.stdin:
    name = line.rstrip("\n")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        command = {
            "ripmime": ["ripmime", "-i", name, "-d", folder, "--overwrite", "-q"],
            "munpack": ["munpack", "-q", "-t", "-C", folder, str(Path(name).resolve())],
        }[TOOL]
        try:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=10)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{name}: {TOOL} does not end\n")
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and not (TOOL == "munpack" and path.suffix == ".desc"):
                found.append(path.read_bytes())
    print(json.dumps({"mail": name, "leaves": [base64.b64encode(leaf).decode() for leaf in found]}))
