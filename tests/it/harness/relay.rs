//! A relay before a broker, which can hide the brokers from its clients.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const METADATA: i16 = 3;

/// Passes on whatever clients send to a broker that advertises the relay's address.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The file with the broker's own address.
    broker: OnceLock<PathBuf>,
    hides: AtomicBool,
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

    /// For so long, whoever asks about the cluster is told that it has no broker, as a broker does that has just come back and
    /// is not known yet. Tells how many were told so.
    pub fn hide_brokers(&self, lasts: Duration) -> usize {
        let before = self.state.hidden.load(Ordering::SeqCst);
        self.state.hides.store(true, Ordering::SeqCst);
        std::thread::sleep(lasts);
        self.state.hides.store(false, Ordering::SeqCst);
        self.state.hidden.load(Ordering::SeqCst) - before
    }
}

fn relay(client: &TcpStream, state: &Arc<State>) -> std::io::Result<()> {
    let broker = std::fs::read_to_string(state.broker.wait())?;
    let broker = TcpStream::connect(broker.trim())?;
    // The versions of the requests for metadata that are under way, by their correlation ids.
    let asked = Arc::new(Mutex::new(HashMap::new()));
    let (mut requests, mut to_broker) = (client.try_clone()?, broker.try_clone()?);
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        while let Ok(frame) = frame(&mut requests) {
            let number = |at| i16::from_be_bytes([frame[at], frame[at + 1]]);
            if number(0) == METADATA {
                let id = [frame[4], frame[5], frame[6], frame[7]];
                noted.lock().expect("nobody panics").insert(id, number(2));
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
        let version = asked.lock().expect("nobody panics").remove(&id);
        match version {
            Some(version) if state.hides.load(Ordering::SeqCst) => {
                send(&mut to_client, &without_brokers(&frame, version))?;
                state.hidden.fetch_add(1, Ordering::SeqCst);
            }
            _ => send(&mut to_client, &frame)?,
        }
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
