// A receiver's check of a callback, by the library that the Standard Webhooks project publishes.
//
// Reads {"secret", "headers", "body"} from standard input; prints whether the library takes it.

import { text } from "node:stream/consumers";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(await text(process.stdin));
try {
  new Webhook(secret).verify(body, headers);
  console.log("true");
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) {
    throw error;
  }
  console.log("false");
}
