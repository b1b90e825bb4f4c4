//! Requests and responses on WASI 0.3.
//!
//! Every call of the host takes about as long as formatting a response. So only what is needed crosses the boundary: those
//! headers of a request that the responder reads, and the headers of a response once for many responses.

use crate::responder;
use crate::response::Response;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, StatusCode, request};
use std::cell::RefCell;
use wasi::http::types::{ErrorCode, Fields, Request, Response as WasiResponse};
use wasi::{spawn, wit_future, wit_stream};

/// Reads what the responder needs of a request.
///
/// # Errors
/// Returns the error code of a part that HTTP does not allow.
pub fn head(request: &Request) -> Result<request::Parts, ErrorCode> {
    let path = request.get_path_with_query().unwrap_or_default();
    let path = PathAndQuery::try_from(path).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let method = http::Method::try_from(request.get_method());
    let method = method.map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let mut head = http::Request::new(()).into_parts().0;
    (head.method, head.uri) = (method, Uri::from(path));
    let headers = request.get_headers();
    for name in responder::headers() {
        // Most are missing, and `has` costs a third less than `get`.
        if headers.has(name.as_str()) {
            for value in headers.get(name.as_str()) {
                let value = value.try_into().map_err(|_| ErrorCode::HttpProtocolError)?;
                head.headers.append(&name, value);
            }
        }
    }
    Ok(head)
}

/// Makes a response, whose body is sent after the handler has returned it.
///
/// # Errors
/// Returns an error if the host does not allow a header.
pub fn response(response: Response) -> Result<WasiResponse, ErrorCode> {
    let (head, body) = response.into_parts();
    let (mut writer, contents) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = WasiResponse::new(fields(head.headers)?, Some(contents), trailers);
    if head.status != StatusCode::OK {
        let set = response.set_status_code(head.status.as_u16());
        set.map_err(|()| ErrorCode::HttpProtocolError)?;
    }
    spawn(async move {
        // If the client has left, nobody reads.
        let _ = writer.write_all(body.into()).await;
        drop(writer);
        let _ = end.write(Ok(None)).await;
    });
    Ok(response)
}

thread_local! {
    /// The headers of the last response. Most responses have the same, and a copy costs a tenth of a new list.
    static LAST: RefCell<Option<(HeaderMap, Fields)>> = const { RefCell::new(None) };
}

fn fields(headers: HeaderMap) -> Result<Fields, ErrorCode> {
    LAST.with_borrow_mut(|last| {
        if let Some((of, fields)) = last
            && *of == headers
        {
            return Ok(fields.clone());
        }
        let list = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let fields = Fields::from_list(&list.collect::<Vec<_>>());
        let fields = fields.map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
        let copy = fields.clone();
        *last = Some((headers, fields));
        Ok(copy)
    })
}
