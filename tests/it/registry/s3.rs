//! A stand-in for S3: as much of its protocol as a client needs for objects, with signatures that are checked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub const BUCKET: &str = "models";
pub const KEY: &str = "AKIDTEST";
pub const SECRET: &str = "s3cret/of+the/test";

/// What the server does with requests beside what they ask for.
type Fault = Box<dyn Fn(&str, &str) -> Option<StatusCode> + Send>;

#[derive(Default)]
struct Shared {
    objects: BTreeMap<String, Bytes>,
    uploads: HashMap<String, BTreeMap<u32, Bytes>>,
    /// Method and key of each request, in order.
    requests: Vec<(String, String)>,
    fault: Option<Fault>,
}

/// A server of the test's own; it ends with the runtime.
#[derive(Clone)]
pub struct S3 {
    pub endpoint: String,
    shared: Arc<Mutex<Shared>>,
}

impl S3 {
    pub async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            shared: Arc::default(),
        };
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn keys(&self) -> Vec<String> {
        self.shared
            .lock()
            .unwrap()
            .objects
            .keys()
            .cloned()
            .collect()
    }

    pub fn put(&self, key: &str, contents: &'static [u8]) {
        let contents = Bytes::from_static(contents);
        self.shared
            .lock()
            .unwrap()
            .objects
            .insert(key.to_owned(), contents);
    }

    /// Method and key of each request since the last time this was asked.
    pub fn requests(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.shared.lock().unwrap().requests)
    }

    /// Uploads in parts that were begun and neither completed nor given up.
    pub fn open_uploads(&self) -> usize {
        self.shared.lock().unwrap().uploads.len()
    }

    /// From now on, requests for which `fault` names a status get that and nothing else.
    pub fn fail(&self, fault: impl Fn(&str, &str) -> Option<StatusCode> + Send + 'static) {
        self.shared.lock().unwrap().fault = Some(Box::new(fault));
    }

    pub fn heal(&self) {
        self.shared.lock().unwrap().fault = None;
    }
}

async fn answer(
    State(server): State<S3>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (bucket, key) = uri.path()[1..]
        .split_once('/')
        .unwrap_or((&uri.path()[1..], ""));
    let mut shared = server.shared.lock().unwrap();
    shared.requests.push((method.to_string(), key.to_owned()));
    let fault = shared
        .fault
        .as_ref()
        .and_then(|fault| fault(method.as_str(), key));
    if let Some(status) = fault {
        return error(status, "Fault", "as the test wants it");
    }
    if !is_signed(&method, &uri, &headers, &body) {
        return error(
            StatusCode::FORBIDDEN,
            "SignatureDoesNotMatch",
            "another secret",
        );
    }
    if bucket != BUCKET {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket", "no such bucket");
    }
    let query: HashMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
        .collect();
    let upload = query.get("uploadId").cloned();
    match (method.as_str(), upload) {
        ("GET", _) if key.is_empty() => list(&shared, query.get("prefix").map_or("", |it| it)),
        ("GET", _) => match shared.objects.get(key) {
            Some(object) => with_tag(object.clone()),
            None => error(StatusCode::NOT_FOUND, "NoSuchKey", "no such key"),
        },
        ("PUT", Some(upload)) => {
            let number = query["partNumber"].parse().unwrap();
            let tag = with_tag(Bytes::new());
            shared
                .uploads
                .get_mut(&upload)
                .unwrap()
                .insert(number, body);
            tag
        }
        ("PUT", None) => {
            shared.objects.insert(key.to_owned(), body);
            with_tag(Bytes::new())
        }
        ("POST", None) => {
            let upload = format!("upload-{}", shared.requests.len());
            shared.uploads.insert(upload.clone(), BTreeMap::new());
            xml(format!(
                "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key>\
                 <UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        ("POST", Some(upload)) => {
            let parts = shared.uploads.remove(&upload).unwrap();
            let object: Vec<u8> = parts.into_values().flatten().collect();
            shared.objects.insert(key.to_owned(), object.into());
            xml("<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>".to_owned())
        }
        ("DELETE", Some(upload)) => {
            shared.uploads.remove(&upload);
            StatusCode::NO_CONTENT.into_response()
        }
        ("DELETE", None) => {
            shared.objects.remove(key);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "not here"),
    }
}

fn list(shared: &Shared, prefix: &str) -> Response {
    let contents: String = shared
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(key, object)| {
            format!(
                "<Contents><Key>{key}</Key><Size>{}</Size><ETag>\"tag\"</ETag>\
                 <LastModified>2020-01-02T03:04:05.000Z</LastModified></Contents>",
                object.len()
            )
        })
        .collect();
    xml(format!("<ListBucketResult>{contents}</ListBucketResult>"))
}

fn with_tag(body: Bytes) -> Response {
    Response::builder()
        .header("etag", "\"tag\"")
        .header("last-modified", "Thu, 02 Jan 2020 03:04:05 GMT")
        .body(Body::from(body))
        .unwrap()
}

fn xml(body: String) -> Response {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    Response::new(Body::from(format!("{head}{body}")))
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    (status, body).into_response()
}

/// Whether a request carries the signature that the secret makes (AWS Signature Version 4).
fn is_signed(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let given: HashMap<&str, &str> = header("authorization")
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .unwrap_or_default()
        .split(", ")
        .filter_map(|part| part.split_once('='))
        .collect();
    let (Some(credential), Some(signed), Some(signature)) = (
        given.get("Credential"),
        given.get("SignedHeaders"),
        given.get("Signature"),
    ) else {
        return false;
    };
    let (key, scope) = credential.split_once('/').unwrap();
    let sha256 = header("x-amz-content-sha256");
    if key != KEY || sha256 != hex::encode(Sha256::digest(body)) {
        return false;
    }
    let mut query: Vec<String> = uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|pair| {
            if pair.contains('=') {
                pair.to_owned()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    query.sort();
    let lines: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name).trim()))
        .collect();
    let request = format!(
        "{method}\n{}\n{}\n{lines}\n{signed}\n{sha256}",
        uri.path(),
        query.join("&")
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        header("x-amz-date"),
        hex::encode(Sha256::digest(request))
    );
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let start = format!("AWS4{SECRET}").into_bytes();
    let key = scope.split('/').fold(start, |key, part| mac(&key, part));
    hex::encode(mac(&key, &to_sign)) == *signature
}
