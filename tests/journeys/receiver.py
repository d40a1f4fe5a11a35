"""Verifies a callback with the Python library of the Standard Webhooks project.

Reads {"secret", "headers", "body"} from standard input; prints `true` if the signature is valid, otherwise `false`.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

delivery = json.load(sys.stdin)
try:
    Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
    json.dump(True, sys.stdout)
except WebhookVerificationError:
    json.dump(False, sys.stdout)
