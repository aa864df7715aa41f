//! The embedded waiting room as a server.

use http_body_util::Full;
use hyper::header::{ACCEPT, COOKIE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::http::Answered;
use velvetrope::internal::room::{Answer, Visit};
use velvetrope_serve::serving::{OwnRooms, now_ms};

pub(super) fn answer<B>(rooms: &OwnRooms, request: &Request<B>) -> Answered {
    let mut random = [0; 32];
    if getrandom::fill(&mut random).is_err() {
        let mut response = Response::new(Full::from("no randomness for a new place\n"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answer = rooms.answer(&Visit {
        method: request.method().as_str(),
        path_and_query: request.uri().path_and_query().map_or("/", |path| path.as_str()),
        cookie: header(COOKIE),
        accept: header(ACCEPT),
        secure: false,
        now_ms: now_ms(),
        random,
    });
    into_response(answer, request.method() == Method::HEAD)
}

fn into_response(answer: Answer, is_head: bool) -> Answered {
    let mut response = Response::new(Full::from(if is_head { String::new() } else { answer.body }));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
