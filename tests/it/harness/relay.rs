//! A relay before a broker, which can keep things from its clients.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const METADATA: i16 = 3;
const END_TRANSACTION: i16 = 26;

/// What a relay can keep from its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// Whoever asks about the cluster is told that it has no broker, as a broker does that has just come back and is not known
    /// yet.
    Brokers,
    /// Transactions are committed, or aborted, and nobody is told so.
    Ends,
}

/// Passes on whatever clients send to a broker that advertises the relay's address.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The file with the broker's own address.
    broker: OnceLock<PathBuf>,
    hides: Mutex<Option<Hidden>>,
    hidden: AtomicUsize,
}

impl Relay {
    /// Listens; clients wait until there is a broker.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(State::default());
        let relayed = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&relayed);
                std::thread::spawn(move || {
                    // A connection that breaks is the client's to make again.
                    let _ = relay(&client, &state);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, state }
    }

    /// From now on to the broker whose own address will stand in this file.
    pub fn to(&self, file: PathBuf) {
        self.state.broker.set(file).expect("there is one broker");
    }

    /// Keeps this from the clients for so long. Tells how many answers it was kept out of.
    pub fn hide(&self, what: Hidden, lasts: Duration) -> usize {
        let before = self.state.hidden.load(Ordering::SeqCst);
        *self.state.hides.lock().expect("nobody panics") = Some(what);
        std::thread::sleep(lasts);
        *self.state.hides.lock().expect("nobody panics") = None;
        self.state.hidden.load(Ordering::SeqCst) - before
    }
}

fn relay(client: &TcpStream, state: &Arc<State>) -> std::io::Result<()> {
    let broker = std::fs::read_to_string(state.broker.wait())?;
    let broker = TcpStream::connect(broker.trim())?;
    // Kind and version of the requests under way, by their correlation ids.
    let asked = Arc::new(Mutex::new(HashMap::new()));
    let (mut requests, mut to_broker) = (client.try_clone()?, broker.try_clone()?);
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        while let Ok(frame) = frame(&mut requests) {
            let number = |at| i16::from_be_bytes([frame[at], frame[at + 1]]);
            if matches!(number(0), METADATA | END_TRANSACTION) {
                let id = [frame[4], frame[5], frame[6], frame[7]];
                let request = (number(0), number(2));
                noted.lock().expect("nobody panics").insert(id, request);
            }
            if send(&mut to_broker, &frame).is_err() {
                break;
            }
        }
        let _ = to_broker.shutdown(Shutdown::Both);
    });
    let (mut answers, mut to_client) = (broker, client.try_clone()?);
    loop {
        let frame = frame(&mut answers)?;
        let id = [frame[0], frame[1], frame[2], frame[3]];
        let request = asked.lock().expect("nobody panics").remove(&id);
        let hides = *state.hides.lock().expect("nobody panics");
        match (request, hides) {
            (Some((METADATA, version)), Some(Hidden::Brokers)) => {
                send(&mut to_client, &without_brokers(&frame, version))?;
            }
            (Some((END_TRANSACTION, _)), Some(Hidden::Ends)) => {}
            _ => {
                send(&mut to_client, &frame)?;
                continue;
            }
        }
        state.hidden.fetch_add(1, Ordering::SeqCst);
    }
}

/// The same answer to a request for metadata, without its brokers: the partitions' leaders are then unknown ones.
fn without_brokers(answer: &[u8], version: i16) -> Vec<u8> {
    assert!((9..=13).contains(&version), "a version of another layout");
    // The correlation id, no tagged fields, the throttle time; then the brokers, their number first.
    let (mut at, brokers) = (10, answer[9]);
    let skip_text = |at: usize| at + usize::from(answer[at]).max(1);
    for _ in 1..brokers {
        at = skip_text(at + 4); // id, host
        at = skip_text(at + 4); // port, rack
        at += 1; // no tagged fields
    }
    [&answer[..9], &[1], &answer[at..]].concat()
}

fn frame(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn send(to: &mut TcpStream, frame: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(frame.len()).expect("a frame is small");
    to.write_all(&[&length.to_be_bytes(), frame].concat())
}
