//! Whatever a stream may hold can be written, and is kept as configured.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tidewatch::record::Outcome;
use tidewatch::store::config::TextStorage;

use super::{Fixture, chunk, dead, scored};

/// Writes one scored message and one dead letter, and returns their rows of the views.
async fn written(text: TextStorage) -> (PgRow, PgRow) {
    let fixture = Fixture::with(|config| config.text = text).await;
    let epochs = fixture.claim(&[0]).await;
    let chunk = chunk([Outcome::Scored(scored(0, 0)), Outcome::Dead(dead(0, 1))]);
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    let row = async |sql: &'static str| sqlx::query(sql).fetch_one(&fixture.pool).await.unwrap();
    (
        row("SELECT text, text_sha256 AS hash, probabilities::text, confidence FROM v_predictions")
            .await,
        row("SELECT payload, payload_sha256 AS hash, payload_bytes FROM v_dead_letters").await,
    )
}

#[tokio::test]
async fn texts_are_kept_in_full_hashed_or_not_at_all() {
    let (scored, dead) = written(TextStorage::Full).await;
    assert_eq!(scored.get::<&str, _>("text"), "text 0");
    assert_eq!(scored.get::<Option<&str>, _>("hash"), None);
    assert_eq!(
        scored.get::<&str, _>("probabilities"),
        r#"{"neutral": 0.25, "negative": 0.5, "positive": 0.25}"#
    );
    assert!((scored.get::<f32, _>("confidence") - 0.5).abs() < f32::EPSILON);
    assert_eq!(dead.get::<&[u8], _>("payload"), b"{\"text\": \"fine\"}");
    assert!(dead.get::<Option<&str>, _>("hash").is_some());

    let (scored, dead) = written(TextStorage::Hash).await;
    assert_eq!(scored.get::<Option<&str>, _>("text"), None);
    assert_eq!(
        scored.get::<&str, _>("hash"),
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest("text 0"))
    );
    assert_eq!(dead.get::<Option<&[u8]>, _>("payload"), None);
    assert!(dead.get::<Option<&str>, _>("hash").is_some());

    let (scored, dead) = written(TextStorage::None).await;
    assert_eq!(scored.get::<Option<&str>, _>("text"), None);
    assert_eq!(scored.get::<Option<&str>, _>("hash"), None);
    assert_eq!(dead.get::<Option<&[u8]>, _>("payload"), None);
    assert_eq!(dead.get::<Option<&str>, _>("hash"), None);
    assert_eq!(dead.get::<i64, _>("payload_bytes"), 16);
}

#[tokio::test]
async fn whatever_a_message_holds_can_be_written_and_written_again() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    // JSON may name a lone surrogate, which becomes U+FFFD when it is decoded.
    let surrogate = String::from_utf16_lossy(&[0xd83d]);
    let odd = [
        "a\0b\0".to_owned(),
        surrogate,
        "\u{1}\u{7f}\u{feff}\u{202e}".to_owned(),
        "👩‍👩‍👧‍👦 {\"}',\\N\t\r\n".to_owned(),
        "x".repeat(5_000),
        "é".repeat(300),
        String::new(),
    ];
    let mut outcomes = Vec::new();
    for (offset, odd) in (0_i64..).zip(odd) {
        let mut scored = scored(0, offset * 2);
        scored.message.text = odd.clone();
        for field in [
            &mut scored.message.id,
            &mut scored.message.author,
            &mut scored.message.source,
            &mut scored.message.subject,
            &mut scored.message.language,
        ] {
            *field = Some(odd.clone());
        }
        let mut dead = dead(0, offset * 2 + 1);
        dead.detail = odd.clone();
        dead.raw.key = Some(Bytes::from_static(b"\xff\0"));
        dead.raw.payload = (!odd.is_empty()).then(|| Bytes::from(vec![0xff; odd.len()]));
        outcomes.extend([Outcome::Scored(scored), Outcome::Dead(dead)]);
    }
    let chunk = chunk(outcomes);
    for _ in 0..2 {
        fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
        assert_eq!(fixture.store.counts("posts").await.unwrap().predictions, 7);
        assert_eq!(fixture.store.counts("posts").await.unwrap().dead_letters, 7);
        fixture.assert_rollups_exact().await;
    }
    let kept: String = sqlx::query_scalar(r#"SELECT text FROM v_predictions WHERE "offset" = 0"#)
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(kept, "a\u{fffd}b\u{fffd}");
}

#[tokio::test]
async fn wild_timestamps_are_rows_like_others_and_make_no_table() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let wild = [
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MAX_UTC,
        DateTime::UNIX_EPOCH,
        DateTime::UNIX_EPOCH - chrono::TimeDelta::nanoseconds(1),
        "2999-12-31T23:59:59.999999999Z".parse().unwrap(),
    ];
    let chunk = chunk((0_i64..).zip(wild).flat_map(|(offset, time)| {
        let (mut scored, mut dead) = (scored(0, offset * 2), dead(0, offset * 2 + 1));
        scored.message.raw.kafka_time = time;
        scored.message.event_time = time;
        dead.raw.kafka_time = time;
        [Outcome::Scored(scored), Outcome::Dead(dead)]
    }));
    let now = Utc::now();
    fixture.store.maintain(now).await.unwrap();
    let tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let before = fixture.number(tables).await;
    for _ in 0..2 {
        fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
        fixture.store.maintain(now).await.unwrap();
        assert_eq!(
            fixture
                .number("SELECT count(*) FROM predictions_default")
                .await,
            5
        );
        assert_eq!(
            fixture
                .number("SELECT count(*) FROM dead_letters_default")
                .await,
            5
        );
        fixture.assert_rollups_exact().await;
    }
    assert_eq!(fixture.number(tables).await, before);
}

#[tokio::test]
async fn a_chunk_of_huge_texts_is_written_in_several_statements() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let chunk = chunk((0..40).map(|offset| {
        if offset % 2 == 0 {
            let mut scored = scored(0, offset);
            scored.message.text = "ä".repeat(500_000);
            Outcome::Scored(scored)
        } else {
            let mut dead = dead(0, offset);
            dead.raw.payload = Some(Bytes::from(vec![b'x'; 2_000_000]));
            Outcome::Dead(dead)
        }
    }));
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    assert_eq!(
        fixture
            .number("SELECT sum(octet_length(text))::bigint FROM predictions")
            .await,
        20 * 1_000_000
    );
    // Of a value too large to keep, its beginning, its length and its hash are kept.
    assert_eq!(
        fixture
            .number("SELECT sum(octet_length(payload))::bigint FROM dead_letters")
            .await,
        20 * (1 << 20)
    );
    assert_eq!(
        fixture
            .number("SELECT min(payload_bytes) FROM dead_letters")
            .await,
        2_000_000
    );
}
