//! `GET /v1/models` and `GET /v1/models/{id}`, in the shape of whoever asks; `GET /v1beta/models` for Gemini's clients.

use dialect::refusal::Refusal;
use gateway::{Request, Worker};
use http::{Response, StatusCode};

use crate::answer::{Body, json};

pub(crate) async fn list(worker: &Worker, request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let models = worker.list_models(request).await?;
    Ok(json(
        StatusCode::OK,
        request.asked.dialect.write_model_list(&models),
    ))
}

pub(crate) async fn one(
    worker: &Worker,
    request: &Request<'_>,
    name: &str,
) -> Result<Response<Body>, Refusal> {
    let model = worker.model(request, name).await?;
    Ok(json(StatusCode::OK, request.asked.dialect.write_model(&model)))
}
