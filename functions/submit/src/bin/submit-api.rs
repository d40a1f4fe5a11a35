//! The HTTP API as a Lambda function behind API Gateway.

use std::{process::ExitCode, sync::Arc};

use axum::body::Body;
use lambda_http::{Request, RequestExt, service_fn};
use quire_platform_aws::Aws;
use quire_submit::{lambda, router};

fn main() -> ExitCode {
    lambda::run_if_child().unwrap_or_else(|| quire_telemetry::run(serve()))
}

async fn serve() -> anyhow::Result<()> {
    let app = Arc::new(lambda::app_state(Aws::from_env().await?.backend())?);
    let router = router(Arc::clone(&app));
    let answer = async |request: Request| {
        let limit = quire_telemetry::time_left(request.lambda_context().deadline);
        let answer = lambda::answer(&app, router.clone(), request.map(Body::new), limit);
        Ok::<_, std::convert::Infallible>(answer.await)
    };
    lambda_http::run(service_fn(answer)).await.map_err(anyhow::Error::from_boxed)
}
