//! What stands before the origins: the proxy, the callout as Envoy asks it, and the callout behind Envoy itself.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;

use tonic::transport::Channel;

use super::fan::{CASE, Fan, Origins, Passed};
use super::http2::Http2;
use crate::rope::envoy::{self, Answer};
use crate::rope::line::{Head, Line};
use crate::rope::request::{Request, Version};
use crate::wire::in_time;

/// Where visitors ask.
pub enum Front {
    /// Over HTTP, and it forwards by itself.
    Http { address: SocketAddr, fan: Fan },
    /// By gRPC, and what it lets pass is written to the origins as Envoy writes it.
    Callout { channel: Channel, origins: Arc<Vec<(String, SocketAddr)>> },
}

/// A visitor, with connections that stay open.
pub struct Visitor<'f> {
    front: &'f Front,
    line: Option<Line>,
    http2: Option<Http2>,
    origins: Option<Origins>,
}

impl Visitor<'_> {
    pub fn at(front: &Front) -> Visitor<'_> {
        let origins = match front {
            Front::Http { .. } => None,
            Front::Callout { origins, .. } => Some(Origins::new(origins)),
        };
        Visitor { front, line: None, http2: None, origins }
    }

    /// Asks, under a name that no other request has. `None` where no origin got it.
    pub async fn ask(&mut self, request: &Request, case: &str) -> Option<Passed> {
        match self.front {
            Front::Http { address, fan } => {
                let asked = async {
                    match request.version {
                        Version::Http2 => self.ask_http2(*address, request, case).await,
                        _ => self.ask_http1(*address, request, case).await,
                    }
                };
                in_time(&format!("an answer to {request}"), asked).await;
                fan.passed(case)
            }
            Front::Callout { channel, .. } => {
                let headers = envoy::as_read(request)?;
                let answer = in_time(&format!("an answer to {request}"), envoy::ask(channel, &headers)).await;
                let Answer::GoesOn(mutation) = answer else { return None };
                let written = envoy::as_written(headers, mutation, (CASE, case));
                Some(self.origins.as_mut()?.ask(&Head(written), b"").await)
            }
        }
    }

    async fn ask_http1(&mut self, address: SocketAddr, request: &Request, case: &str) {
        let bytes = request.bytes((CASE, case));
        // A connection that was kept may have been ended meanwhile; a new one that ends is an answer, too.
        let kept = self.line.take();
        for line in kept.map(Some).into_iter().chain([None]) {
            let asked = async {
                let mut line = match line {
                    Some(line) => line,
                    None => Line::to(address).await?,
                };
                line.write(&bytes).await?;
                let (answer, _) = line.answer(request.method == "HEAD").await?;
                Result::Ok((!answer.is_last()).then_some(line))
            };
            if let Ok(line) = asked.await {
                self.line = line;
                return;
            }
        }
    }

    async fn ask_http2(&mut self, address: SocketAddr, request: &Request, case: &str) {
        let kept = self.http2.take();
        for http2 in kept.map(Some).into_iter().chain([None]) {
            let asked = async {
                let mut http2 = match http2 {
                    Some(http2) => http2,
                    None => Http2::to(address).await?,
                };
                http2.ask(request, (CASE, case)).await?;
                Result::Ok(http2)
            };
            if let Ok(http2) = asked.await {
                self.http2 = Some(http2);
                return;
            }
        }
    }
}
