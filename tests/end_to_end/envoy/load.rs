//! Many visitors at the same time, while something happens.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::support::*;

/// Visitors who ask again and again until they are stopped. Every answer must have one of these statuses.
struct Load {
    visitors: JoinSet<()>,
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
}

impl Load {
    fn begin(address: SocketAddr, path: &'static str, statuses: &'static [u16]) -> Load {
        let (is_over, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut visitors = JoinSet::new();
        for _ in 0..8 {
            let (is_over, answers) = (Arc::clone(&is_over), Arc::clone(&answers));
            visitors.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = get(address, path, &[]).await;
                    assert!(statuses.contains(&answer.status), "{answer:?}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Load { visitors, is_over, answers }
    }

    /// Waits until some more have been answered.
    async fn go_on(&self) {
        let enough = self.answers.load(Ordering::Relaxed) + 50;
        in_time("answers", async {
            while self.answers.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.visitors.join_next().await {
            ended.expect("good answers only");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callouts_are_replaced_one_after_the_other_and_no_request_is_lost() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    // As long as by default: more than Envoy needs to notice.
    let drain_delay = Duration::from_secs(5);
    let start = async |listen: SocketAddr| Program::start(folder.path(), listen, drain_delay).await;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut callouts = VecDeque::from([start(any).await, start(any).await]);
    let envoy = Envoy::start(&origin, [callouts[0].address, callouts[1].address], &[PATIENT]).await;
    let load = [Load::begin(envoy.address, "/", &[200]), Load::begin(envoy.address, "/shop", &[302])];
    for _ in 0..callouts.len() {
        load[0].go_on().await;
        let leaving = callouts.pop_front().expect("a callout");
        let address = leaving.address;
        assert!(leaving.terminate().await.success(), "everything came to its end");
        load[0].go_on().await;
        callouts.push_back(start(address).await);
        envoy.finds(address, true).await;
    }
    for load in load {
        load.go_on().await;
        load.end().await;
    }
    assert_eq!(envoy.counter("ext_proc.streams_failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_replaced_and_no_request_is_lost() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    // Now there is a room at this path and now there is none; both are answers.
    let load = Load::begin(envoy.address, "/shop", &[200, 302]);
    for round in 0..10 {
        let text = if round % 2 == 0 { integration("/fair") } else { integration("/shop") };
        let half = &text[..text.len() / 2];
        std::fs::write(folder.path().join("i.json"), half).expect("a file");
        callout.reload().await.expect_err("half a file");
        load.go_on().await;
        std::fs::write(folder.path().join("i.json"), text).expect("a file");
        callout.reload().await.expect("a policy");
        let status = get(envoy.address, "/shop", &[]).await.status;
        assert_eq!(status, if round % 2 == 0 { 200 } else { 302 });
        load.go_on().await;
    }
    load.end().await;
    drop(envoy);
    callout.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_visitors_at_the_same_time_get_their_own_cookies() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Arc::new(Envoy::before(&origin, &callout).await);
    let mut visitors = JoinSet::new();
    for visitor in 0..TOGETHER {
        let envoy = Arc::clone(&envoy);
        visitors.spawn(async move {
            let queue_id = format!("queue-{visitor}-");
            let session = arrive(&envoy, &queue_id).await;
            // The site answers nobody before everybody has asked: all streams are open at the same time.
            let path = format!("/shop/together?visitor={visitor}");
            let inside = get(envoy.address, &path, &[("Cookie", &session)]).await;
            assert!(inside.body.starts_with(&format!("GET {path}\n")), "{inside:?}");
            let renewed: Vec<_> = inside.all("set-cookie").into_iter().filter(|c| c.starts_with(SESSION)).collect();
            assert!(renewed.len() == 1 && renewed[0].contains(&queue_id), "{renewed:?}");
        });
    }
    while let Some(visit) = visitors.join_next().await {
        visit.expect("a good visit");
    }
    assert_eq!(envoy.counter("ext_proc.streams_failed").await, 0);
    drop(envoy);
    callout.stop().await;
}
