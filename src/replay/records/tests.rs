use super::*;

fn read(text: &str, format: Format, options: &ReadOptions) -> Vec<Result<Post, String>> {
    let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
    Records::new(input, "f", format, options)
        .expect("the header is right")
        .map(|line| match line.expect("memory can be read") {
            Line::Post(post) => Ok(post),
            Line::Malformed(fault) => Err(fault.to_string()),
        })
        .collect()
}

fn json(post: &Result<Post, String>) -> String {
    let value = post.as_ref().expect("the line is right").value.clone();
    String::from_utf8(value.expect("there is a value")).expect("JSON is UTF-8")
}

fn tweets() -> ReadOptions {
    ReadOptions {
        id_field: Some("1".into()),
        label_field: Some("2".into()),
        text_field: Some("3".into()),
        time_from_id: true,
        ..ReadOptions::default()
    }
}

#[test]
fn tweets_keep_their_quotes_escapes_and_trailing_tabs_do_no_harm() {
    let text = "260097528899452929\tneutral\t\"so\\u2019\\u002c \" quoted\t\r\n\
                260097528899452929\tpositive\tagain";
    let posts = read(text, Format::Tsv, &tweets());
    assert_eq!(posts.len(), 2, "the same id twice is two posts");
    let value: Value = serde_json::from_str(&json(&posts[0])).expect("valid JSON");
    assert_eq!(value["text"], "\"so\\u2019\\u002c \" quoted");
    assert_eq!(value["label"], "neutral");
    assert!(
        value["event_time"]
            .as_str()
            .is_some_and(|t| t.starts_with("2012-10-21T"))
    );
}

#[test]
fn a_malformed_line_is_named_and_the_rest_goes_on() {
    let posts = read(
        "1\tneutral\tok\nshort\n\nx\tneutral\tno id\n",
        Format::Tsv,
        &tweets(),
    );
    assert_eq!(posts.len(), 4);
    assert!(posts[0].is_ok());
    assert_eq!(posts[1], Err("f:2: no column 3 (the line has 1)".into()));
    assert_eq!(posts[2], Err("f:3: the line is empty".into()));
    assert_eq!(posts[3], Err("f:4: the id 'x' is not a snowflake".into()));
}

#[test]
fn csv_columns_are_found_by_their_header_and_may_span_lines() {
    let options = ReadOptions {
        subject_field: Some("airline".into()),
        source: Some("twitter".into()),
        ..ReadOptions::default()
    };
    let text = "id,airline,text\n7,Morva,\"late,\nagain\"\n8,Morva\n9,,fine\n";
    let posts = read(text, Format::Csv, &options);
    assert_eq!(
        json(&posts[0]),
        r#"{"id":"7","text":"late,\nagain","source":"twitter","subject":"Morva"}"#
    );
    assert_eq!(posts[1], Err("f:4: no column 3 (the line has 2)".into()));
    assert_eq!(
        json(&posts[2]),
        r#"{"id":"9","text":"fine","source":"twitter"}"#
    );
}

#[test]
fn a_column_that_is_not_there_is_an_error_at_once() {
    let input = Box::new(std::io::Cursor::new(b"id,body\n1,x\n".to_vec()));
    let error = Records::new(input, "f.csv", Format::Csv, &ReadOptions::default()).err();
    assert!(error.is_some_and(|e| e.to_string().contains("no column named 'text'")));
}

#[test]
fn json_members_are_found_by_path() {
    let options = ReadOptions {
        text_field: Some("post.body".into()),
        author_field: Some("user.id".into()),
        time_field: Some("at".into()),
        ..ReadOptions::default()
    };
    let text = concat!(
        r#"{"post":{"body":"hi"},"user":{"id":12},"at":1424806552}"#,
        "\n{\n",
        r#"{"post":{"body":"hi"},"user":{"id":12}}"#,
        "\n[]\n"
    );
    let posts = read(text, Format::Jsonl, &options);
    assert_eq!(
        json(&posts[0]),
        r#"{"text":"hi","author":"12","event_time":"2015-02-24T19:35:52.000Z"}"#
    );
    assert!(
        posts[1]
            .as_ref()
            .is_err_and(|e| e.starts_with("f:2: not JSON: "))
    );
    assert_eq!(posts[2], Err("f:3: no 'at'".into()));
    assert_eq!(posts[3], Err("f:4: not a JSON object".into()));
}

#[test]
fn broken_bytes_are_malformed_in_records_but_pass_as_raw_messages() {
    let bytes = || Box::new(std::io::Cursor::new(b"ok\nbro\xffken\n".to_vec()));
    let options = ReadOptions::default();
    let lines: Vec<_> = Records::new(bytes(), "f", Format::Lines, &options)
        .expect("there is no header")
        .collect();
    assert!(
        matches!(&lines[1], Ok(Line::Malformed(fault)) if fault.detail == "not UTF-8 from byte 3 on")
    );
    let raw: Vec<_> = Records::new(bytes(), "f", Format::Raw, &options)
        .expect("there is no header")
        .collect();
    assert!(
        matches!(&raw[1], Ok(Line::Post(post)) if post.value.as_deref() == Some(b"bro\xffken"))
    );
}

#[test]
fn posts_without_a_time_are_malformed_where_time_orders_them() {
    let options = ReadOptions {
        timed: true,
        ..ReadOptions::default()
    };
    let posts = read("a text\n", Format::Lines, &options);
    assert_eq!(posts, [Err("f:1: no event time".into())]);
}
