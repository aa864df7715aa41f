//! velvetrope as the command line serves it: `callout POLICY ADDRESS`.

use velvetrope::internal::edge::Secrets;
use velvetrope_serve::ext_proc::{Config, ExtProc, PolicySource, SecretSource};
use velvetrope_ext_proc_bench::SECRET;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, address] = &arguments[..] else { return Err("callout POLICY ADDRESS".into()) };
    let config = Config {
        listen: Some(address.parse()?),
        admin: Some(([127, 0, 0, 1], 0).into()),
        secrets: SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        ..Config::new(PolicySource::Path(policy.into()))
    };
    ExtProc::bind(config).await?.until_signal().await?;
    Ok(())
}
