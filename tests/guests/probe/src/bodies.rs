//! Bodies in both directions. None is ever whole in memory.

use crate::text;
use anyhow::Result;
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use spin_sdk::http::{BoxBody, Request, Response, box_body};
use std::convert::Infallible;

const PIECE: usize = 64 << 10;

/// Sends the request's body back while it arrives.
pub(crate) fn echo(request: Request) -> Response<BoxBody> {
    Response::new(box_body(request.into_body()))
}

/// Reads the whole body and responds with its length.
pub(crate) async fn swallow(request: Request) -> Result<Response<BoxBody>> {
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(text(format!("{length}\n")))
}

/// Reads the whole body and responds with its length. The trailers are the request's and a `grpc-status`.
pub(crate) async fn trailers(request: Request) -> Result<Response<BoxBody>> {
    let collected = request.into_body().collect().await?;
    let mut trailers = collected.trailers().cloned().unwrap_or_default();
    trailers.insert("grpc-status", 0.into());
    let names: Vec<_> = trailers.keys().map(|name| name.as_str()).collect();
    let names = names.join(", ");
    let length = Bytes::from(format!("{}\n", collected.to_bytes().len()));
    let frames = [
        http_body::Frame::data(length),
        http_body::Frame::trailers(trailers),
    ];
    let frames = stream::iter(frames.map(Ok::<_, Infallible>));
    let mut response = Response::new(box_body(StreamBody::new(frames)));
    // HTTP/1 sends only trailers that are announced.
    response.headers_mut().insert("trailer", names.parse()?);
    Ok(response)
}

/// Responds with `count` zeros and a `content-length`.
pub(crate) fn bytes(count: usize) -> Result<Response<BoxBody>> {
    let pieces = stream::unfold(count, |left| async move {
        let piece = left.min(PIECE);
        let frame = http_body::Frame::data(Bytes::from(vec![0; piece]));
        (piece > 0).then_some((Ok::<_, Infallible>(frame), left - piece))
    });
    let mut response = Response::new(box_body(StreamBody::new(pieces)));
    response
        .headers_mut()
        .insert("content-length", count.into());
    Ok(response)
}
