//! A backbone from a hub: a local server that answers as the hub does.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tidewatch::model::manifest::Bundle;

use super::refused;
use super::workshop::{RECIPE, Workshop, stderr};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Serves a folder as the model `made/encoder`, revisions `main` and `v1`, until the test process ends.
struct Hub {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn serve(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &folder, &log);
            }
        });
        Self { endpoint, asked }
    }

    /// Runs the program with this hub and a cache of its own.
    fn run(&self, workshop: &Workshop, arguments: &[&str]) -> Output {
        let mut command = workshop.command(arguments);
        for proxy in [
            "http_proxy",
            "HTTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
            "HF_TOKEN",
        ] {
            command.env_remove(proxy);
        }
        command
            .env("HF_ENDPOINT", &self.endpoint)
            .env("HF_HOME", workshop.path("hub-cache"))
            .output()
            .unwrap()
    }
}

/// Answers one request: the hub tells commit, etag and size, and sends the part that was asked for.
fn answer(stream: TcpStream, folder: &Path, log: &Mutex<Vec<String>>) {
    let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
    let request = head.next().unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let range = head
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let range = value.trim().strip_prefix("bytes=")?.to_owned();
            name.eq_ignore_ascii_case("range").then_some(range)
        })
        .last();
    log.lock().unwrap().push(path.clone());

    let file = ["main", "v1"].iter().find_map(|revision| {
        let name = path.strip_prefix(&format!("/made/encoder/resolve/{revision}/"))?;
        std::fs::read(folder.join(name)).ok()
    });
    let mut stream = &stream;
    let Some(content) = file else {
        let _ = stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    };
    let size = content.len();
    let (first, last) = match range.as_deref().and_then(|range| range.split_once('-')) {
        Some((first, last)) => (
            first.parse().unwrap(),
            last.parse().unwrap_or(size - 1).min(size - 1),
        ),
        None => (0, size - 1),
    };
    let part = &content[first..=last];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\
         ETag: \"{size}-{}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        part.len(),
        path.len(),
    );
    // A client that has gone away has what it wanted.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(part));
}

fn workshop(id: &str) -> Workshop {
    let workshop = Workshop::new();
    let hub = format!("backbone = {{ hub = \"{id}\" }}");
    workshop.write(
        "recipe.toml",
        &RECIPE.replace("backbone = { folder = \"encoder\" }", &hub),
    );
    workshop
}

#[test]
fn a_backbone_from_the_hub_gives_the_same_weights_as_from_a_folder_and_is_asked_for_once() {
    let workshop = workshop("made/encoder@v1");
    let hub = Hub::serve(workshop.path("encoder"));
    let output = hub.run(&workshop, &["--epochs", "1", "--out", "fetched"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let asked = std::mem::take(&mut *hub.asked.lock().unwrap());
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let path = format!("/made/encoder/resolve/v1/{file}");
        assert!(asked.contains(&path), "{path} is not among {asked:?}");
    }

    // From the cache, without the hub.
    let output = hub.run(&workshop, &["--epochs", "1", "--out", "cached"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(*hub.asked.lock().unwrap(), Vec::<String>::new());
    workshop.succeed(&["--epochs", "1", "--out", "folder", "--backbone", "encoder"]);
    let [fetched, cached, folder] = ["fetched", "cached", "folder"]
        .map(|name| Bundle::open(workshop.path(name)).unwrap().manifest);
    assert_eq!(
        fetched.files["weights.safetensors"],
        folder.files["weights.safetensors"]
    );
    assert_eq!(fetched, cached);
    assert_eq!(
        fetched.recipe["backbone"],
        json!({"hub": "made/encoder@v1"})
    );
}

#[test]
fn a_model_the_hub_does_not_have_ends_with_2_and_a_sentence_that_names_it() {
    let workshop = workshop("made/up");
    let hub = Hub::serve(workshop.path("encoder"));
    let output = hub.run(&workshop, &["--out", "result"]);
    refused(&output, 2, "the backbone made/up cannot be fetched");
    assert!(stderr(&output).contains("404"), "{}", stderr(&output));
}

#[test]
fn an_id_that_is_none_is_refused_before_the_hub_is_asked() {
    let workshop = workshop("../etc/passwd");
    let hub = Hub::serve(workshop.path("encoder"));
    let output = hub.run(&workshop, &[]);
    refused(&output, 2, "backbone.hub must be owner/name");
    assert_eq!(*hub.asked.lock().unwrap(), Vec::<String>::new());
}
