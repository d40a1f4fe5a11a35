"""Creates the stack on an emulator without Terraform: the same queues, functions and triggers as infra/, but no roles,
encryption, alarms or workers. Only for tests: infra/ defines the deployment.

`quire provision` creates the bucket, the table, the queues and the secret, with the same settings that infra/ reads.
"""

import json
from pathlib import Path

# (timeout in seconds, memory in MB), as in infra/.
FUNCTIONS = {
    "submit-api": (29, 1024),
    "submit-upload": (30, 256),
    "submit-ingest": (180, 2048),
    "submit-sweep": (60, 256),
    "notifier": (60, 256),
    "dead-letter": (60, 256),
}
# (queue, function, batch size).
MAPPINGS = [
    ("documents", "submit-ingest", 1),
    ("callbacks", "notifier", 10),
    ("documents-dead", "dead-letter", 10),
    ("pages-dead", "dead-letter", 10),
    ("callbacks-dead", "dead-letter", 10),
]
# The routes of the API, from its OpenAPI description.
PATHS = json.loads((Path(__file__).parents[1] / "functions/submit/openapi.json").read_text())["paths"]
METHODS = ("delete", "get", "post", "put")
ROUTES = [f"{method.upper()} {path}" for path, calls in PATHS.items() for method in calls if method in METHODS]
ANY_ROLE = "arn:aws:iam::000000000000:role/quire"


class Stack:
    """A stack whose bucket, table, queues and secret already exist, with names that start with `prefix`."""

    def __init__(self, client, client_environment, prefix, zips, engines=None):
        """`client` creates a client of an AWS service; `client_environment` has the environment variables for clients
        of the emulator; `engines` is the configuration of engines as JSON, or None."""
        self.client, self.prefix, self.zips = client, prefix, zips
        self.region, self.lambdas, self.arns = client_environment["AWS_REGION"], client("lambda"), {}
        self.environment = {
            "QUIRE_AWS_BUCKET": prefix,
            "QUIRE_AWS_TABLE": prefix,
            "QUIRE_AWS_QUEUE_PREFIX": prefix,
            "QUIRE_AWS_WEBHOOK_SECRET": f"{prefix}/webhook",
        }
        self.engines = {"QUIRE_ENGINES": engines} if engines else {}

    def make(self, inbox_callback_url, with_api):
        """Creates the other resources. Returns the URL of the API, or None without an API."""
        self.client("s3").put_bucket_versioning(Bucket=self.prefix, VersioningConfiguration={"Status": "Enabled"})
        api = self.api() if with_api else None
        extra_variables = {
            "submit-api": {
                "QUIRE_SYNC_LIMIT_SECS": "25",
                "QUIRE_LONGEST_WAIT_SECS": "20",
                "QUIRE_MAX_BODY_BYTES": str(4 << 20),
                **({"QUIRE_PUBLIC_URL": api["ApiEndpoint"]} if api else {}),
            },
            "submit-upload": {"QUIRE_INBOX_CALLBACK_URL": inbox_callback_url} if inbox_callback_url else {},
        }
        for name, (timeout, memory) in FUNCTIONS.items():
            self.arns[name] = self.function(name, timeout, memory, extra_variables.get(name, {}))
        self.triggers()
        if api:
            self.routes(api["ApiId"])
        return api and api["ApiEndpoint"]

    def function(self, name, timeout, memory, extra_variables):
        variables = self.environment | {"QUIRE_LOG_FORMAT": "json", "QUIRE_DEV": "1", "QUIRE_AWS_CACHE_MB": "512"}
        variables |= {"QUIRE_METRICS_NAMESPACE": f"Quire/{self.prefix}"} | self.engines
        created = self.lambdas.create_function(
            FunctionName=f"{self.prefix}-{name}",
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=ANY_ROLE,
            Code={"ZipFile": (self.zips / f"{name}.zip").read_bytes()},
            Timeout=timeout,
            MemorySize=memory,
            Environment={"Variables": variables | extra_variables},
        )
        self.lambdas.get_waiter("function_active_v2").wait(FunctionName=f"{self.prefix}-{name}")
        return created["FunctionArn"]

    def triggers(self):
        account = self.arns["notifier"].split(":")[4]
        for queue, name, batch in MAPPINGS:
            self.lambdas.create_event_source_mapping(
                EventSourceArn=f"arn:aws:sqs:{self.region}:{account}:{self.prefix}-{queue}",
                FunctionName=self.arns[name],
                BatchSize=batch,
                FunctionResponseTypes=["ReportBatchItemFailures"],
            )
        self.allow("submit-upload", "s3.amazonaws.com")
        uploads = {
            "LambdaFunctionArn": self.arns["submit-upload"],
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "inbox/"}]}},
        }
        self.client("s3").put_bucket_notification_configuration(
            Bucket=self.prefix, NotificationConfiguration={"LambdaFunctionConfigurations": [uploads]}
        )
        self.allow("submit-sweep", "events.amazonaws.com")
        events, rule = self.client("events"), f"{self.prefix}-sweep"
        events.put_rule(Name=rule, ScheduleExpression="rate(1 minute)")
        events.put_targets(Rule=rule, Targets=[{"Id": "sweep", "Arn": self.arns["submit-sweep"]}])

    def allow(self, name, principal):
        self.lambdas.add_permission(
            FunctionName=self.arns[name], StatementId="trigger", Action="lambda:InvokeFunction", Principal=principal
        )

    def api(self):
        gateway = self.client("apigatewayv2")
        api = gateway.create_api(Name=self.prefix, ProtocolType="HTTP")
        gateway.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
        return api

    def routes(self, api_id):
        self.allow("submit-api", "apigateway.amazonaws.com")
        gateway = self.client("apigatewayv2")
        integration = gateway.create_integration(
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=self.arns["submit-api"],
            PayloadFormatVersion="2.0",
        )
        for route in ROUTES:
            target = f"integrations/{integration['IntegrationId']}"
            gateway.create_route(ApiId=api_id, RouteKey=route, Target=target)
