// Verifies a callback with the JavaScript library of the Standard Webhooks project.
//
// Reads {"secret", "headers", "body"} from standard input; prints `true` if the signature is valid, otherwise `false`.

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
