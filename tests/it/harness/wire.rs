//! Records written to a broker byte by byte, since a client library refuses, or cannot say, what hostile producers send.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::server;

/// A record, exactly as it will stand in the topic.
#[derive(Debug, Clone, Default)]
pub struct WireRecord {
    /// Milliseconds since the epoch; -1 stands for none.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A connection to the one broker, which leads every partition.
pub struct Wire {
    stream: TcpStream,
}

const PRODUCE: i16 = 0;
const PRODUCE_VERSION: i16 = 3;
const ALL_REPLICAS: i16 = -1;
const TIMEOUT_MS: i32 = 30_000;
const NONE: i16 = -1;

impl Wire {
    pub fn connect() -> Self {
        Self {
            stream: TcpStream::connect(server("KAFKA_BOOTSTRAP"))
                .expect("the broker can be reached"),
        }
    }

    /// Appends the record; returns when it is stored, with its offset.
    pub fn send(&mut self, topic: &str, partition: i32, record: &WireRecord) -> i64 {
        let batch = batch(record);
        let mut request = Vec::new();
        request.extend(PRODUCE.to_be_bytes());
        request.extend(PRODUCE_VERSION.to_be_bytes());
        request.extend(7_i32.to_be_bytes());
        request.extend(NONE.to_be_bytes()); // client id
        request.extend(NONE.to_be_bytes()); // transactional id
        request.extend(ALL_REPLICAS.to_be_bytes());
        request.extend(TIMEOUT_MS.to_be_bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(i16::try_from(topic.len()).expect("short").to_be_bytes());
        request.extend(topic.as_bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(partition.to_be_bytes());
        request.extend(size(&batch).to_be_bytes());
        request.extend(&batch);
        self.stream
            .write_all(&size(&request).to_be_bytes())
            .and_then(|()| self.stream.write_all(&request))
            .expect("the broker takes the request");

        let mut length = [0; 4];
        self.stream
            .read_exact(&mut length)
            .expect("the broker answers");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream
            .read_exact(&mut answer)
            .expect("the broker answers");
        // Correlation id, one topic by its name, one partition by its number: then the error and the offset.
        let at = 4 + 4 + 2 + topic.len() + 4 + 4;
        let error = i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes"));
        assert_eq!(error, 0, "the broker refuses the record with this code");
        i64::from_be_bytes(answer[at + 2..at + 10].try_into().expect("eight bytes"))
    }
}

/// A batch (of the format's second version) that holds the record.
fn batch(record: &WireRecord) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(0_i16.to_be_bytes()); // no compression, the producer's time
    body.extend(0_i32.to_be_bytes()); // the last offset, relative
    body.extend(record.timestamp.to_be_bytes());
    body.extend(record.timestamp.to_be_bytes());
    body.extend((-1_i64).to_be_bytes()); // no idempotent producer
    body.extend((-1_i16).to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    let mut entry = vec![0, 0, 0]; // attributes, time and offset, relative
    bytes(&mut entry, record.key.as_deref());
    bytes(&mut entry, record.value.as_deref());
    varint(&mut entry, i64::from(size(&record.headers)));
    for (name, value) in &record.headers {
        bytes(&mut entry, Some(name));
        bytes(&mut entry, value.as_deref());
    }
    varint(&mut body, i64::from(size(&entry)));
    body.extend(entry);

    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes());
    let rest = i32::try_from(body.len() + 9).expect("a batch is small");
    batch.extend(rest.to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c(&body).to_be_bytes());
    batch.extend(body);
    batch
}

fn size<T>(items: &[T]) -> i32 {
    i32::try_from(items.len()).expect("a request is small")
}

fn bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => varint(out, -1),
        Some(value) => {
            varint(out, i64::from(size(value)));
            out.extend(value);
        }
    }
}

/// Zigzag, seven bits at a time.
fn varint(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = (value >> 1) ^ (0x82f6_3b78 * (value & 1));
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| {
        TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}
