"""A receiver's check of a callback, by the library that the Standard Webhooks project publishes.

Reads {"secret", "headers", "body"} from standard input; prints whether the library takes it.
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
