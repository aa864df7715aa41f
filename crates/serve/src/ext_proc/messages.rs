//! Messages to the proxy in front.

use super::proto::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use super::proto::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use super::proto::envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
use super::proto::envoy::extensions::filters::http::ext_proc::v3::processing_mode::HeaderSendMode;
use super::proto::envoy::service::ext_proc::v3::common_response::ResponseStatus;
use super::proto::envoy::service::ext_proc::v3::processing_request::Request;
use super::proto::envoy::service::ext_proc::v3::processing_response::Response;
use super::proto::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ImmediateResponse, ProcessingResponse,
    TrailersResponse,
};
use super::proto::envoy::r#type::v3::HttpStatus;

/// The kinds of messages that must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    RequestHeaders,
    ResponseHeaders,
    RequestBody,
    ResponseBody,
    RequestTrailers,
    ResponseTrailers,
}

impl Message {
    pub(super) fn of(request: &Request) -> Message {
        match request {
            Request::RequestHeaders(_) => Message::RequestHeaders,
            Request::ResponseHeaders(_) => Message::ResponseHeaders,
            Request::RequestBody(_) => Message::RequestBody,
            Request::ResponseBody(_) => Message::ResponseBody,
            Request::RequestTrailers(_) => Message::RequestTrailers,
            Request::ResponseTrailers(_) => Message::ResponseTrailers,
        }
    }

    /// The answer that changes nothing.
    pub(super) fn empty(self) -> ProcessingResponse {
        let headers = HeadersResponse { response: None };
        let (body, trailers) = (BodyResponse {}, TrailersResponse { header_mutation: None });
        response(match self {
            Message::RequestHeaders => Response::RequestHeaders(headers),
            Message::ResponseHeaders => Response::ResponseHeaders(headers),
            Message::RequestBody => Response::RequestBody(body),
            Message::ResponseBody => Response::ResponseBody(body),
            Message::RequestTrailers => Response::RequestTrailers(trailers),
            Message::ResponseTrailers => Response::ResponseTrailers(trailers),
        })
    }
}

/// Lets a request go on with these headers. `is_last` asks not to be told of the response, where the proxy allows that.
pub(super) fn go_on(set: Vec<HeaderValueOption>, remove: Vec<String>, is_last: bool) -> ProcessingResponse {
    let mode = ProcessingMode {
        response_header_mode: HeaderSendMode::Skip.into(),
        // What is not said here is switched off.
        request_trailer_mode: HeaderSendMode::Send.into(),
    };
    ProcessingResponse {
        mode_override: is_last.then_some(mode),
        ..response(Response::RequestHeaders(changed(set, remove)))
    }
}

/// Lets a request's trailers go on without some.
pub(super) fn request_trailers(remove: Vec<String>) -> ProcessingResponse {
    let mutation = HeaderMutation { set_headers: Vec::new(), remove_headers: remove };
    let header_mutation = (!mutation.remove_headers.is_empty()).then_some(mutation);
    response(Response::RequestTrailers(TrailersResponse { header_mutation }))
}

/// Lets a response go on with these headers.
pub(super) fn response_headers(set: Vec<HeaderValueOption>, remove: Vec<String>) -> ProcessingResponse {
    response(Response::ResponseHeaders(changed(set, remove)))
}

/// Lets a response go on with these headers, and without its body.
pub(super) fn response_without_body(set_headers: Vec<HeaderValueOption>) -> ProcessingResponse {
    // The length is the proxy's to tell; the body that this is the coding of is gone.
    let mutation =
        HeaderMutation { set_headers, remove_headers: ["content-encoding", "set-cookie"].map(str::to_owned).into() };
    response(Response::ResponseHeaders(HeadersResponse {
        response: Some(CommonResponse {
            status: ResponseStatus::ContinueAndReplace.into(),
            header_mutation: Some(mutation),
            body_mutation: Some(BodyMutation { clear_body: true }),
        }),
    }))
}

/// Answers instead of the origin; the proxy's access log gets to know why.
pub(super) fn immediate(status: u16, set: Vec<HeaderValueOption>, body: &str, why: &str) -> ProcessingResponse {
    response(Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code: status.into() }),
        headers: Some(HeaderMutation { set_headers: set, remove_headers: Vec::new() }),
        body: body.into(),
        details: format!("velvetrope_{why}"),
    }))
}

/// A header to set, or `None` where a header cannot carry the value: Envoy fails a whole answer for one of those.
/// Cookies stand beside others, also beside the origin's; everything else takes their place.
pub(super) fn set_header(name: &str, value: &str) -> Option<HeaderValueOption> {
    let is_fit = value.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte));
    // Only `raw_value`: Envoy ignores `value`, and refuses both.
    let header = HeaderValue { key: name.to_owned(), value: String::new(), raw_value: value.into() };
    let append_action = match name {
        "set-cookie" => HeaderAppendAction::AppendIfExistsOrAdd,
        _ => HeaderAppendAction::OverwriteIfExistsOrAdd,
    };
    // The action to append is 0 on the wire, the same as none. Envoy then heeds this older field, and without it
    // overwrites: of several cookies only the last would be left, and none of the origin's.
    let append = (name == "set-cookie").then_some(true);
    #[allow(deprecated, reason = "see above")]
    is_fit.then(|| HeaderValueOption { header: Some(header), append, append_action: append_action.into() })
}

fn changed(set_headers: Vec<HeaderValueOption>, remove_headers: Vec<String>) -> HeadersResponse {
    let is_unchanged = set_headers.is_empty() && remove_headers.is_empty();
    let header_mutation = Some(HeaderMutation { set_headers, remove_headers });
    HeadersResponse { response: (!is_unchanged).then(|| CommonResponse { header_mutation, ..Default::default() }) }
}

fn response(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), mode_override: None }
}
