//! Each class except secrets: what is found, and the near misses that are not.

use super::*;

/// Every text is one finding of the class, all of it.
fn are(class: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(found(text), [(class, text.to_string())], "{text}");
    }
}

/// No text has a finding.
fn are_nothing(texts: &[&str]) {
    for text in texts {
        assert_eq!(found(text), [], "{text}");
    }
}

/// In every text this value, and nothing else, is found.
fn holds(class: &str, value: &str, texts: &[&str]) {
    for text in texts {
        let text = text.replace("{}", value);
        assert_eq!(found(&text), [(class, value.to_string())], "{text}");
    }
}

#[test]
fn cards_of_all_schemes() {
    are(
        "card",
        &[
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "4111+1111+1111+1111",
            "378282246310005",
            "3782 822463 10005",
            "30569309025904",
            "3056 930902 5904",
            "6011111111111117",
            "3530111333300000",
            "5555555555554444",
            "2223003122003222",
            "6200000000000005",
            "6759649826438453",
            "2200000000000004",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "41-11-11-11-11-11-11-11",
            "411111 1111111111",
        ],
    );
    holds(
        "card",
        "4111111111111111",
        &["{}", "pay with {}.", "card={}&x=1", "卡号{}，谢谢", "\"{}\"", "mc{}", "order_{}", "{}.0", "-{}", "{},1"],
    );
    assert_eq!(found("4111111111111111 5555 5555 5555 4444").len(), 2);
    assert_eq!(found("2 4111 1111 1111 1111 7 8"), [("card", "4111 1111 1111 1111".to_string())]);
}

#[test]
fn near_misses_of_cards() {
    are_nothing(&[
        "4111111111111112",
        "4111 1111 1111 1112",
        "4111-1111 1111-1111",
        "41111111111111111",
        "94111111111111111",
        "0.4111111111111111",
        "4111111111111111.25",
        "4.111111111111111",
        "a4b4111111111111111",
        "4111111111111111f0",
        "1234567812345670",
        "9999999999999995",
        "4222222222222",
        "4006381333931",
        "501800000009",
    ]);
    assert_eq!(found("card 4222222222222"), [("card", "4222222222222".to_string())]);
    assert_eq!(found_with("cardNumber", "501800000009"), [("card", "501800000009".to_string())]);
    assert_eq!(found_with("card_id", "501800000009"), []);
}

#[test]
fn ibans_in_both_cases_and_with_spaces() {
    are(
        "iban",
        &[
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "de89 3704 0044 0532 0130 00",
            "GB82 WEST 1234 5698 7654 32",
            "GB82-WEST-1234-5698-7654-32",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "FR1420041010050500013M02606",
        ],
    );
    are_nothing(&[
        "DE89370400440532013001",
        "DE8937040044053201300",
        "DE893704004405320130000",
        "XX89370400440532013000",
        "ADE89370400440532013000",
        "DE89/3704/0044/0532/0130/00",
    ]);
}

#[test]
fn numbers_of_nine_digits() {
    are("us_ssn", &["078-05-1123", "078.05.1123", "078 05 1123", "123-45-6789"]);
    are("us_itin", &["911-70-1234", "911-50-1234", "999-99-9999", "911-92-1234"]);
    are("us_routing", &["3222-7162-7", "0711-0130-7"]);
    are_nothing(&[
        "000-12-3456",
        "666-12-3456",
        "078-00-1123",
        "078-05-0000",
        "078-05-1120",
        "219-09-9999",
        "457-55-5462",
        "111-11-1111",
        "078-05.1123",
        "12-078-05-1123",
        "x078-05-1123",
        "911-49-1234",
        "911-66-1234",
        "911-93-1234",
        "911-89-1234",
        "3222-7162-8",
        "1321-0003-5",
        "078051123",
        "911701234",
        "121000358",
    ]);
}

#[test]
fn words_and_hints_admit_bare_digits() {
    let admitted = [
        ("us_ssn", "078051123", "SSN: "),
        ("us_ssn", "078051123", "social-security number "),
        ("us_ssn", "478-051123", "my ssn is "),
        ("us_itin", "911701234", "ITIN "),
        ("us_itin", "911701234", "tax_id="),
        ("us_routing", "121000358", "routing number "),
        ("us_routing", "121000358", "ABA "),
        ("passport_number", "912803456", "passport no. "),
        ("passport_number", "A12803456", "my travel document is "),
        ("passport_number", "C01X00T47", "Reisepass: "),
        ("passport_number", "YA1234567", "Passport: "),
        ("phone", "5321234567", "Phone: "),
        ("phone", "13812345678", "whatsapp "),
        ("phone", "555-0132", "tel. "),
    ];
    for (class, value, word) in admitted {
        let text = [word, value].concat();
        assert_eq!(found(&text), [(class, value.to_string())], "{text}");
        assert_eq!(found_with(word, value), [(class, value.to_string())], "{word}");
        assert_eq!(found(value), [], "{value}");
        let far = [word, &" and so on".repeat(5), " ", value].concat();
        assert_eq!(found(&far), [], "{far}");
    }
    for hint in ["ssn", "customerSsn", "socialSecurityNumber", "social_security_number", "employee-SSN"] {
        assert_eq!(found_with(hint, "078051123"), [("us_ssn", "078051123".to_string())], "{hint}");
    }
    for hint in ["className", "lessnoise", "ssn_updated_at", "order_id", "destination"] {
        assert_eq!(found_with(hint, "078051123"), [], "{hint}");
    }
    assert_eq!(found_with("phone", "5550132"), [("phone", "5550132".to_string())]);
    assert_eq!(found_with("phone_number_id", "106540352242922"), []);
    assert_eq!(found_with("phone_verified_at", "5321234567"), []);
    assert_eq!(found_with("phone", "1719000000"), []);
}

#[test]
fn phones_of_all_shapes() {
    are(
        "phone",
        &[
            "+14155550132",
            "+1 (415) 555-0132",
            "+1 415 555 0132",
            "+44 (20) 7123 4567",
            "+44 (0)20 7946 0958",
            "+33 1 42 68 53 00",
            "+905321234567",
            "+90-532-123-45-67",
            "(415) 555-0132",
            "(415)555-0132",
            "415-555-0132",
            "415.555.0132",
            "1-415-555-0132",
            "415 555 0132",
            "020 7946 0958",
            "09-7625400",
            "090-1234-5678",
            "01 42 68 53 00",
            "030/1234567",
            "(11) 98456-5666",
            "0-532-123-45-67",
        ],
    );
    are_nothing(&[
        "+1234567",
        "+0123456789",
        "+12345678.90",
        "+50000000.00",
        "1.2.3+20240101123",
        "2024-01-01T00:00:00+0000",
        "a415-555-0132",
        "115-555-0132",
        "415-155-0132",
        "415-555-01321",
        "20-415-555-0132",
        "0-306-40615-2",
        "978-0-306-40615-7",
        "01-02-2024 10:30",
        "05/06/2024 12",
        "112-1234567-1234567",
        "4155550132",
        "2024-01-31 10",
        "012.345.6789",
    ]);
}

#[test]
fn emails() {
    are(
        "email",
        &[
            "jo@example.com",
            "jo.doe+tag@mail.example.co.uk",
            "user@xn--80ak6aa92e.com",
            "a@xn--d1acufc.xn--p1ai",
            "jos\u{e9}@example.com",
            "jo@b\u{fc}cher.example",
            "jo@例え.テスト",
            "\"jo doe\"@example.com",
            "user@163.com",
            "o'neil@example.ie",
        ],
    );
    holds(
        "email",
        "jo@example.com",
        &["<{}>", "'{}'", "mailto:{}?subject=x", "({})", "{}.", "to={}&x", "a,{},b", "[{}]", "“{}”", "{}:"],
    );
    are_nothing(&[
        "jo@example",
        "jo@",
        "@example.com",
        "jo@.com",
        "jo@example.1",
        "lodash@4.17.21",
        "react@18.3.0-canary.abc",
        "icon@2x.png",
        "@types/node",
        "git@github.com:org/repo.git",
        "ssh://git@github.com/org/repo.git",
        "https://medium.com/@user",
        "jo @ example.com",
        "image@sha256:0f3e",
    ]);
}

#[test]
fn addresses_of_the_internet() {
    are(
        "ip",
        &[
            "192.168.0.1",
            "8.8.8.8",
            "010.000.000.001",
            "10.0.0.0/8",
            "::1",
            "2001:db8::1",
            "2001:db8::/32",
            "fe80::1%eth0",
            "::ffff:192.0.2.1",
            "64:ff9b::192.0.2.1",
            "2345:0425:2CA1:0000:0000:0567:5673:23b5",
            "A099::09C0:876A:130B",
        ],
    );
    holds("ip", "10.0.0.1", &["({})", "http://{}/x", "ip={}", "{}:8080", "{}.", "host/{}"]);
    holds("ip", "2001:db8::1", &["[{}]:80", "addr: {}.", "user@{}"]);
    are_nothing(&[
        "1.2.3.4.5",
        "v1.2.3.4",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4-beta",
        "lib-1.2.3.4.jar",
        "version 10.0.0.1",
        "Version=4.0.0.0, Culture=neutral",
        "Chrome/120.0.0.0",
        "12:34:56",
        "12:34:56:78",
        "aa:bb:cc:dd:ee:ff",
        "00:11:22:33:44:55:66:77",
        "std::fs",
        "a::b",
        "dead::beef",
        "x[1::2]",
        "::",
        "2001::db8::1",
        "12345:db8::1",
        "01.02.03.04",
        "fe80::1text",
    ]);
}
