//! Fetches the configuration from Queue-it now and then, never while a request waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::keeper::Keeper;
use super::{aside, now_ms};
use velvetrope::internal::edge::BoxError;
use velvetrope::internal::edge::pull::{News, Pull, PullRequest, TIMEOUT_MS};

/// No configuration is that long.
const MAX_BYTES: u64 = 32 << 20;

/// How often to see whether fetching was switched on or is due.
const LOOK: Duration = Duration::from_millis(250);

/// Fetches whenever it is due and the policy says so, until `end`. `url` stands in for Queue-it's.
pub(crate) async fn fetch(keeper: Arc<Keeper>, url: Option<String>, end: CancellationToken) {
    let mut pull: Option<(u32, Pull)> = None;
    loop {
        tokio::select! { () = end.cancelled() => return, () = sleep(LOOK) => {} }
        let asking = Arc::clone(&keeper);
        let Ok(Some(settings)) = aside(move || asking.settings()).await else { continue };
        let delivery = settings.delivery;
        if !delivery.pull {
            continue;
        }
        let (_, mut state) = pull
            .take()
            .filter(|(interval, _)| *interval == delivery.interval)
            .unwrap_or_else(|| (delivery.interval, Pull::new(delivery.interval)));
        let request = PullRequest::new(&settings.customer_id, keeper.api_key(&settings).as_deref());
        if let (Some(mut request), true) = (request, state.due(now_ms())) {
            request.url = url.clone().unwrap_or(request.url);
            let (keeper, mut fetching) = (Arc::clone(&keeper), state.clone());
            let fetched = aside(move || {
                fetch_once(&keeper, &request, &mut fetching);
                fetching
            });
            state = fetched.await.unwrap_or(state);
        }
        pull = Some((delivery.interval, state));
    }
}

fn fetch_once(keeper: &Keeper, request: &PullRequest, pull: &mut Pull) {
    let mut body = Vec::new();
    let answer = get(request, &mut body).map_err(BoxError::from);
    let answer = answer.map(|status| (status, body.as_slice()));
    let jitter = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    match pull.fetched(now_ms(), jitter, answer, |text| keeper.publish(text, "pull")) {
        News::New(_) | News::Same => {}
        News::Failed(error) => {
            tracing::warn!(url = request.url, why = %error, "the configuration could not be fetched")
        }
    }
}

/// The status of the answer, whose body is read into `body`.
fn get(request: &PullRequest, body: &mut Vec<u8>) -> Result<u16, ureq::Error> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_millis(TIMEOUT_MS.into())))
        .http_status_as_error(false)
        .build()
        .new_agent();
    let call = request.headers().fold(agent.get(&request.url), |call, (name, value)| call.header(name, value));
    let mut response = call.call()?;
    *body = response.body_mut().with_config().limit(MAX_BYTES).read_to_vec()?;
    Ok(response.status().as_u16())
}
