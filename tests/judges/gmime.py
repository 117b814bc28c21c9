#!/usr/bin/python3
"""GMime. See README.md."""
import base64
import json
import sys

import gi

gi.require_version("GMime", "3.0")
from gi.repository import GMime  # noqa: E402

GMime.init()


def leaves(part):
    if isinstance(part, GMime.MessagePart):
        message = part.get_message()
        if message is not None and message.get_mime_part() is not None:
            yield from leaves(message.get_mime_part())
    elif isinstance(part, GMime.Multipart):
        for index in range(part.get_count()):
            yield from leaves(part.get_part(index))
    elif isinstance(part, GMime.Part):
        wrapper = part.get_content()
        if wrapper is not None:
            stream = GMime.StreamMem.new()
            wrapper.write_to_stream(stream)
            yield bytes(stream.get_byte_array())


for line in sys.stdin:
    name = line.rstrip("\n")
    found = []
    try:
        stream = GMime.StreamMem.new_with_buffer(open(name, "rb").read())
        message = GMime.Parser.new_with_stream(stream).construct_message(None)
        if message is not None and message.get_mime_part() is not None:
            found = list(leaves(message.get_mime_part()))
    except Exception as error:
        sys.stderr.write(f"{name}: {error!r}\n")
    print(json.dumps({"mail": name, "leaves": [base64.b64encode(leaf).decode() for leaf in found]}))
