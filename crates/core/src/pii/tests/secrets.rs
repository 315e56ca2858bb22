//! Keys, tokens and passwords. The values are made up by repeating letters, so that no scanner of this repository
//! takes them for real ones.

use alloc::format;

use super::*;

/// `length` characters that are letters and digits of both cases.
fn filler(length: usize) -> String {
    "a1B2c3D4e5F6".chars().cycle().take(length).collect()
}

fn hex(length: usize) -> String {
    "0a1b2c3d4e5f".chars().cycle().take(length).collect()
}

fn upper(length: usize) -> String {
    filler(length).to_uppercase()
}

/// A JWT with an empty claim set and a signature of the given length.
fn jwt(signature: usize) -> String {
    format!("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.{}", filler(signature))
}

/// A token of every documented prefix.
fn tokens() -> Vec<String> {
    let with = |prefixes: &str, rest: String| -> Vec<String> {
        prefixes.split(' ').map(|prefix| format!("{prefix}{rest}")).collect()
    };
    [
        with("AKIA ASIA ABIA ACCA", upper(16)),
        with("AC SK", hex(32)),
        with("AIza", filler(35)),
        with("ghp_ gho_ ghu_ ghs_ ghr_ npm_", filler(36)),
        with("sk- hf_", filler(48)),
        with("sk_live_ sk_test_ rk_live_ rk_test_ whsec_", filler(24)),
        with("dop_v1_", hex(64)),
        with("dapi shpat_ shpss_", hex(32)),
        with("xoxa- xoxb- xoxo- xoxp- xoxr- xoxs- xapp-", format!("1234-{}", filler(24))),
        with("glpat- GOCSPX- ya29. hvs. sk-ant- sk-proj- sk-svcacct- sk-admin- sk-or-v1-", filler(30)),
        with("github_pat_ pypi- ATATT3", filler(60)),
        with("SG.", format!("{}.{}", filler(22), filler(43))),
        with("", jwt(43)),
    ]
    .concat()
}

#[test]
fn tokens_with_known_prefixes() {
    for token in tokens() {
        assert_eq!(found(&token), [("secret", token.clone())], "{token}");
        for text in ["use {} now", "\"{}\"", "x={}", "({})", "{}.", "https://h/?t={}&x"] {
            let text = text.replace("{}", &token);
            let findings = found(&text);
            assert!(matches!(findings.as_slice(), [("secret", value)] if value.starts_with(&token)), "{text}");
        }
    }
}

#[test]
fn near_misses_of_tokens() {
    let texts = [
        format!("AKIA{}", upper(15)),
        format!("AKIA{}", upper(17)),
        format!("AKIA{}", filler(16)),
        format!("XAKIA{}", upper(16)),
        format!("AC{}", hex(31)),
        format!("ghp_{}", filler(35)),
        format!("ghp_{}", "x".repeat(36)),
        "sk-learn-is-a-long-name-of-a-library-for-python".to_string(),
        "task-a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6".to_string(),
        "sk-proj-<your-project-key-goes-here>".to_string(),
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0".to_string(),
        "eyJ.eyJ.x".to_string(),
        "Bearer token".to_string(),
        "Bearer authentication-scheme".to_string(),
        "Bearer $ACCESS_TOKEN_1234567890".to_string(),
        "Basic authentication".to_string(),
        "Basic 12345678".to_string(),
        "pk_live_a1B2c3D4e5F6a1B2c3D4e5F6".to_string(),
    ];
    for text in texts {
        assert_eq!(found(&text), [], "{text}");
    }
}

#[test]
fn credentials_of_http() {
    let token = filler(24);
    assert_eq!(found(&format!("Authorization: Bearer {token}==")), [("secret", format!("{token}=="))]);
    assert_eq!(found(&format!("bearer {token}")), [("secret", token)]);
    assert_eq!(found("Basic dXNlcjpwYXNz"), [("secret", "dXNlcjpwYXNz".to_string())]);
    assert_eq!(found("authorization: basic dTpw cde"), []);
}

#[test]
fn private_keys_up_to_their_end() {
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
        let key = format!("-----BEGIN {label}-----\nMIIEvQ\nabc=\n-----END {label}-----");
        assert_eq!(found(&format!("a {key} b")), [("secret", key.clone())], "{label}");
        let cut = format!("-----BEGIN {label}-----\nMIIEvQ\nabc=");
        assert_eq!(found(&cut), [("secret", cut.clone())], "{label}");
    }
    for text in
        ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----", "PRIVATE KEY"]
    {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn values_that_are_assigned_to_secrets() {
    let assigned = [
        "password=hunter2",
        "password: hunter2",
        "PASSWORD = \"hunter2\"",
        "{\"db_password\": \"hunter2\"}",
        "{'apiKey':'hunter2'}",
        "X-Api-Key: hunter2",
        "client_secret=hunter2&grant=x",
        "export DB_PASSWD='hunter2'",
        "spring.datasource.password=hunter2",
        "password => hunter2",
        "secret := \"hunter2\"",
        "?access_token=hunter2&x=1",
    ];
    for text in assigned {
        assert_eq!(found(text), [("secret", "hunter2".to_string())], "{text}");
    }
    let nothing = [
        "password: required",
        "password=$DB_PASSWORD1",
        "password=${DB_PASSWORD1}",
        "password: <your password 1>",
        "password=********",
        "password=xxxxxxxx1",
        "password=[redacted]",
        "password={{ vault.db1 }}",
        "password = get_password(1)",
        "password=changeme1",
        "password=your-password-1",
        "password=process.env.PASSWORD1",
        "api_key: null",
        "password=abc1",
        "PWD=/home/user1",
        "secret_name: my-database-1",
        "next_page_token=abc123def",
        "tokens: 123456789",
        "the password, hunter2",
    ];
    for text in nothing {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn hints_make_a_whole_text_a_secret() {
    for hint in
        ["password", "db_password", "clientSecret", "apiKey", "X-API-Key", "refresh_token", "awsSecretAccessKey"]
    {
        assert_eq!(found_with(hint, "correcthorse"), [("secret", "correcthorse".to_string())], "{hint}");
        for text in ["", "short", "two words", "null", "[redacted]", "$PASSWORD", "xxxxxxxx", "{{password}}"] {
            assert_eq!(found_with(hint, text), [], "{hint} {text}");
        }
    }
    for hint in ["secret_name", "password_policy", "next_token", "tokens", "keys", "passwordless"] {
        assert_eq!(found_with(hint, "correcthorse"), [], "{hint}");
    }
}
