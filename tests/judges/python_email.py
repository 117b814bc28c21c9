#!/usr/bin/python3
"""Python's email package. See README.md."""
import base64
import email
import email.policy
import json
import sys

POLICY = {"compat32": email.policy.compat32, "default": email.policy.default}[sys.argv[1]]


def leaves(message):
    if message.get_content_maintype() == "message" and not message.is_multipart():
        yield (message.get_payload(decode=True) or b"")
    elif message.is_multipart():
        for part in message.get_payload():
            yield from leaves(part)
    else:
        content = message.get_payload(decode=True)
        yield content if content is not None else str(message.get_payload()).encode("utf-8", "surrogateescape")


for line in sys.stdin:
    name = line.rstrip("\n")
    found = []
    try:
        with open(name, "rb") as file:
            found = list(leaves(email.message_from_binary_file(file, policy=POLICY)))
    except Exception as error:  # A reader that falls over opens nothing more.
        sys.stderr.write(f"{name}: {error!r}\n")
    print(json.dumps({"mail": name, "leaves": [base64.b64encode(leaf).decode() for leaf in found]}))
