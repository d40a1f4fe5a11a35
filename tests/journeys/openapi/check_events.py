"""Validates received webhooks against the server's OpenAPI description.

Prints the number of events by schema, as JSON. Fails at the first event that matches no schema, or more than one.
"""

import json
import sys

import jsonschema_rs
import requests

base, file = sys.argv[1:]
document = requests.get(f"{base}/openapi.json", timeout=60).json()
body = document["webhooks"]["event"]["post"]["requestBody"]["content"]["application/json"]["schema"]
kinds = {}
for event in json.load(open(file, encoding="utf-8")):
    valid = []
    for kind in body["oneOf"]:
        schema = {**kind, "components": document["components"]}
        if jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(event):
            valid.append(kind["$ref"].rsplit("/", 1)[1])
    assert len(valid) == 1, f"matches {valid or 'no schema'}: {event}"
    kinds[valid[0]] = kinds.get(valid[0], 0) + 1
json.dump(kinds, sys.stdout)
