//! The upload trigger as a Lambda function: the bucket tells it of what customers put there.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{LambdaEvent, service_fn};
use quire_boot::env;
use quire_platform::Aws;
use quire_routes::Config;
use quire_submit::{StoreEvent, lambda, take_uploads};

const CALLBACK_URL: &str = "QUIRE_INBOX_CALLBACK_URL";

fn main() -> ExitCode {
    quire_boot::run(serve())
}

async fn serve() -> anyhow::Result<()> {
    let home = Aws::from_env().await?.home();
    let routes = Arc::new(Config::from_env()?);
    let callback_url = env::text(CALLBACK_URL)?;
    if let Some(url) = &callback_url {
        lambda::egress()?.check(url).map_err(|why| anyhow::anyhow!("{CALLBACK_URL} is refused: {why}"))?;
    }
    let take = async |LambdaEvent { payload, .. }: LambdaEvent<StoreEvent>| {
        take_uploads(&home, &routes, payload, callback_url.as_deref()).await
    };
    lambda_runtime::run(service_fn(take)).await.map_err(anyhow::Error::from_boxed)
}
