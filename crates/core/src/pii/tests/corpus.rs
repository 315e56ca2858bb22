//! What tool APIs send all day: texts in which nothing should be found. What is found all the same is pinned.

extern crate std;

use alloc::format;
use std::println;

use serde_json::Value;

use super::*;

/// Lines as they stand in strings.
#[rustfmt::skip]
const LINES: &[&str] = &[
    // Identifiers of orders, shipments, tickets and products.
    "Order #100234567 confirmed", "order_id=9823417650", "PO-2024-000123456", "INV-2024-03-00017", "RMA 48213-7719",
    "112-7736842-9926601", "tracking 1Z999AA10123456784", "tracking 9400111899223197428490", "SKU 0123456789012",
    "EAN 4006381333931", "ISBN 978-3-16-148410-0", "ISBN-10: 0-306-40615-2", "ISBN 9780306406157", "ISSN 0378-5955",
    "GTIN 00012345600012", "part 415-0132-A", "ticket ABC-12345", "case 00012345", "batch 20240131-0007", "lot 7F3A92",
    "customer cus_NffrFeUfNV2Hib", "charge ch_3MmlLrLkdIwHu7ix0snN0B15", "invoice in_1MtHbELkdIwHu7ixl4OzzPMv",
    "seat 12A row 34", "flight LH 1234 on 2024-05-01", "room 4-112", "meter reading 000123456", "VIN 1HGCM82633A004352",
    "container MSCU1234565", "asset tag 000-11-22", "policy number 77-1234567-01", "member 1234-5678", "queue 17/20",
    "chromosome 7: 55,019,017-55,211,628", "UPC 036000291452", "D-U-N-S 15-048-3782", "plot 12/345/6789",
    // Hashes and identifiers of machines.
    "550e8400-e29b-41d4-a716-446655440000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "01HV7M8Q6K3Z5Y2X1W0V9T8S7R",
    "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "sha256:9b74c9897bac770ffc029102a200c5de",
    "507f1f77bcf86cd799439011", "etag W/\"33a64df551425fcc55e4d42a148795d9\"", "mac 00:1B:44:11:3A:B7", "eui 00-1B-44-FF-FE-11-3A-B7",
    "traceparent 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "span b7ad6b7169203331", "pid 48213 tid 139872",
    "arn:aws:s3:::my-bucket/prefix", "i-0abcd1234efgh5678", "vol-049df61146c4d7901", "ami-0c55b159cbfafe1f0", "sg-903004f8",
    "projects/my-project/locations/europe-west1", "gs://bucket/2024/01/31/part-00001.parquet", "C:\\Users\\x\\file1.txt",
    "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDTVbY5bnO0r8sYhZQ", "md5 5d41402abc4b2a76b9719d911017c592 hello.txt",
    // Times and versions.
    "2024-01-31T12:34:56Z", "2024-01-31T12:34:56.789123+05:30", "20240131T123456Z", "Wed, 31 Jan 2024 12:34:56 GMT",
    "31.01.2024 12:34", "01/31/2024 12:34:56", "31-01-2024 12:34:56", "1706704496", "1706704496123", "1706704496123456",
    "1706704496123456789", "expires in 3600 s", "P3Y6M4DT12H30M5S", "R5/2008-03-01T13:00:00Z/P1Y2M10DT2H30M", "12:34:56.789",
    "week 2024-W05-3", "v1.2.3", "version 1.2.3.4", "1.2.3-alpha.1+build.20240131", "v2.0.0-rc.1", "10.0.19045.3930", "1.2.3.4.5",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "curl/8.5.0", "nginx/1.25.3", "Python 3.11.7", "rustc 1.95.0 (59807616e 2026-04-14)", "node v20.11.0", "jdk-17.0.9+9",
    "lodash@4.17.21", "react@18.3.0-canary.abc", "@types/node@20.11.5", "pkg:npm/%40angular/core@16.0.0", "numpy==1.26.3",
    "libssl3 3.0.11-1~deb12u2", "linux-image-6.1.0-17-amd64", "AssemblyVersion 4.0.0.0 of version 4.0.0.0",
    // Amounts and measures.
    "$1,234.56", "EUR 12.345,67", "total 1234567.89", "3.141592653589793", "2.718281828459045", "0.1 + 0.2 = 0.30000000000000004",
    "-0.4111111111111111", "6.02214076e23", "1e-10", "99.95 %", "1,000,000,000", "4 200 000", "12 345 678 bytes", "0x7fffffff",
    "lat 48.858370, lon 2.294481", "48.8583701,2.2944813", "POINT(-122.4194155 37.7749295)", "bbox 5.86 47.27 15.04 55.06",
    "50 x 70 x 120 cm", "1920x1080", "16:9", "ratio 1:2:3:4", "temperature -40.5", "0b101101", "rgb(255, 255, 255)", "#ff00aa",
    "score 0.987654321", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", "[1, 1, 2, 3, 5, 8, 13, 21, 34, 55]", "4 8 15 16 23 42",
    "10000000000", "9007199254740991", "18446744073709551615", "-9223372036854775808", "2147483647", "4294967295", "123456789012",
    "SELECT id FROM t WHERE a = 123456789 AND b < 987654321 LIMIT 100", "rows 1-50 of 12345", "page 3 of 17", "[::2]", "x[1::2]",
    // Logs and URLs.
    "GET /api/v1/orders/123456789?limit=50&offset=100 HTTP/1.1", "200 OK 1234 bytes 56 ms", "[INFO] worker-3: job 48213 took 1234ms",
    "ERROR 2024-01-31 12:34:56,789 main.py:123 KeyError: 'x'", "at Object.<anonymous> (/app/index.js:12:34)", "panicked at src/main.rs:12:34",
    "level=info ts=1706704496.123 caller=main.go:123 msg=\"done\"", "std::collections::BTreeMap", "a::b::c", "Foo::Bar->baz()",
    "https://example.com/a/b?x=1&y=2#z", "https://www.example.com/maps/@48.858370,2.294481,15z", "https://medium.com/@user/post-1234567890ab",
    "https://cdn.example.com/icon@2x.png", "git@github.com:org/repo.git", "ssh://git@github.com/org/repo.git", "s3://b/k=v/dt=2024-01-31",
    "data:text/plain,hello%20world", "utm_source=news&utm_campaign=2024%2F01", "redirect_uri=https%3A%2F%2Fexample.com%2Fcb%3Fx%3D1",
    "mailto:?subject=hi", "urn:isbn:0451450523", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/dev/sda1 /mnt ext4 rw 0 0",
    "Content-Type: multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW", "Range: bytes=0-1023", "If-None-Match: \"abc\"",
    "Authorization: Bearer <token>", "Authorization: Basic <credentials>", "password: required", "api_key: ${API_KEY}", "secret: see vault",
    "DB_PASSWORD=$DB_PASSWORD", "token_type=bearer", "next_page_token=CAUQAA", "the password must have 8 characters", "passwordless login",
    "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDfoo", "Bearer authentication",
    // Prose.
    "Call us tomorrow at 10:30 or at 14:00.", "He bought 3 cards for 12 euros.", "The phone rings.", "My passport expired in 2023.",
    "Section 4.1.2.3 of the manual", "Top 10 of 2024", "Apollo 11 landed on 20 July 1969", "The answer is 42.", "See pages 100-120, 130-145.",
    "Ask Jo (ext. 1234) in room 12.", "1st, 2nd, 3rd", "the years 1939-1945 and 1990-2024", "a@b", "cc @jo @max", "email me", "5@10", "50 % off!",
    "Ünïcödé täxt 12 345", "注文番号 123456789", "заказ 987654321", "\u{661}\u{662}\u{663}\u{664}", "\u{1f600}\u{1f680} 100", "naïve café №5",
    // Images and other binary content.
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "AQIDBAUGBwgJCgsMDQ4PEA==", "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgdGV4dA==", "68656c6c6f20776f726c642c2068692074686572652e", "eyJwYWdlIjoyLCJzaXplIjo1MH0",
];

/// Bodies, whose strings and numbers are looked at with their names as hints.
#[rustfmt::skip]
const BODIES: &[&str] = &[
    r#"{"order_id": 100234567, "customer_id": "c_829341", "amount": 129900, "currency": "EUR", "created": 1706704496}"#,
    r#"{"id": "550e8400-e29b-41d4-a716-446655440000", "version": "1.2.3.4", "updated_at": "2024-01-31T12:34:56Z"}"#,
    r#"{"phone_verified_at": 1706704496, "phone_count": 2, "phone_number_id": "106540352242922", "mobile_app": "7.12.0"}"#,
    r#"{"card_id": "card_1MvoiELkdIwHu7ixOeFGbN9D", "card_type": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}"#,
    r#"{"password_policy": "at least 12 characters", "secret_name": "prod/db", "token_type": "bearer", "api_key_id": "k_12345678"}"#,
    r#"{"model": "gpt-4o-2024-08-06", "temperature": 0.7, "max_tokens": 4096, "seed": 123456789, "usage": {"total_tokens": 48213}}"#,
    r#"{"lat": 48.85837009, "lng": 2.29448129, "accuracy": 12.5, "geohash": "u09tunquc", "plus_code": "8FW4V75V+8Q"}"#,
    r#"{"sha": "9fceb02d0ae598e95dc970b74767f19372d61af8", "ref": "refs/heads/main", "run_id": 7723456789, "run_number": 1042}"#,
    r#"{"isbn": "9780306406157", "ean": "4006381333931", "pages": 320, "price": "19.99", "weight_g": 412}"#,
    r#"{"passport_expires": "2031-05-01", "passport_count": 12345678, "routing_key": "orders.eu.1", "routing_hash": "a1b2c3d4"}"#,
    r#"{"user_id": 61550123456789, "snowflake": "175928847299117063", "discriminator": "0001", "flags": 64}"#,
    r#"{"cells": [123, 456, 789], "cell_id": 48213557, "fax_enabled": false, "sms_count": 17, "tel_aviv": "TLV"}"#,
    r#"{"metrics": {"p50": 1.234, "p99": 45.678, "count": 123456}, "buckets": [0.005, 0.01, 0.025, 0.05, 0.1]}"#,
    r#"{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "search", "arguments": {"q": "rust", "limit": 20}}}"#,
    r#"{"tin_can": 123456789, "destination": "987654321", "classname": "123456789", "abaFlag": true, "martin": "123456789"}"#,
    r#"{"release": "10.0.0.1", "app_version": "4.0.0.0", "build": "2024.1.31.7", "os": "Windows NT 10.0"}"#,
];

/// Parts of what is found where nothing should be. A whole body in one string has no names as hints, so what other names
/// say counts further than their own values.
const KNOWN: &[&str] = &["\"destination\": \"987654321\""];

#[test]
fn nothing_is_found_in_ordinary_texts() {
    let mut surprises: Vec<String> = Vec::new();
    let mut count = 0;
    let mut look = |hint: &str, text: &str| {
        count += 1;
        let findings = found_with(hint, text);
        if !findings.is_empty() {
            surprises.push(format!("{hint}: {text} -> {findings:?}"));
        }
    };
    for line in LINES {
        look("", line);
    }
    for body in BODIES {
        walk("", &serde_json::from_str(body).unwrap(), &mut look);
        look("", body);
    }
    println!("{count} texts, {} with findings: {surprises:#?}", surprises.len());
    assert_eq!(surprises.len(), KNOWN.len(), "{surprises:#?}");
    assert!(surprises.iter().zip(KNOWN).all(|(surprise, known)| surprise.contains(known)), "{surprises:#?}");
}

/// Every string, number and name with the name in front of it as hint.
fn walk(hint: &str, value: &Value, look: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => look(hint, text),
        Value::Number(number) => look(hint, &number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| walk(hint, item, look)),
        Value::Object(members) => {
            for (name, member) in members {
                look("", name);
                walk(name, member, look);
            }
        }
        _ => {}
    }
}

/// A generator that gives the same numbers on every run (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let characters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| characters[self.next(characters.len() as u64) as usize]).collect()
    }
}

/// How often something is found in a thousand random values of each kind. Digits with a card's length and issuer pass
/// the check digit one time in ten, which no recogniser can help.
#[test]
fn random_identifiers_are_seldom_taken_for_something() {
    const HEX: &str = "0123456789abcdef";
    const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const DIGITS: &str = "0123456789";
    let expected = [
        ("git commit", 0),
        ("sha-256", 0),
        ("uuid", 0),
        ("object id", 0),
        ("upper-case hex", 0),
        ("alphanumeric id", 0),
        ("base64 of random bytes", 0),
        ("9 digits", 0),
        ("10 digits", 0),
        ("12 digits", 0),
        ("13 digits", 0),
        ("16 digits", 34),
        ("18 digits", 5),
        ("float", 0),
        ("coordinates", 0),
        ("timestamp", 0),
        ("version", 0),
        ("order number in groups", 11),
    ];
    let mut numbers = Numbers(7);
    let mut counts = Vec::new();
    for (kind, _) in expected {
        let mut count = 0;
        for _ in 0..1000 {
            let n = &mut numbers;
            let text = match kind {
                "git commit" => n.text(HEX, 40),
                "sha-256" => n.text(HEX, 64),
                "uuid" => [8, 4, 4, 4, 12].map(|length| n.text(HEX, length)).join("-"),
                "object id" => n.text(HEX, 24),
                "upper-case hex" => n.text(HEX, 32).to_uppercase(),
                "alphanumeric id" => n.text(ALNUM, 24),
                "base64 of random bytes" => n.text(BASE64, 400),
                "float" => format!("{}.{}", n.next(1000), n.text(DIGITS, 15)),
                "coordinates" => {
                    format!("-{}.{}, {}.{}", n.next(90), n.text(DIGITS, 7), n.next(180), n.text(DIGITS, 7))
                }
                "timestamp" => format!("17{}", n.text(DIGITS, 14)),
                "version" => [n.next(40), n.next(50), n.next(5000)].map(|part| part.to_string()).join("."),
                "order number in groups" => [3, 7, 7].map(|length| n.text(DIGITS, length)).join("-"),
                digits => n.text(DIGITS, digits.split(' ').next().unwrap().parse().unwrap()),
            };
            count += usize::from(!found(&text).is_empty());
        }
        println!("{kind:24} {count:4} of 1000");
        counts.push((kind, count));
    }
    assert_eq!(counts, expected);
}
