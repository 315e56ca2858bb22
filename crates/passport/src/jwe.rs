//! Texts that only the holder of a key reads: compact JWE (RFC 7516) with X25519 and AES-256-GCM and nothing else.
//!
//! The key is agreed on directly (`ECDH-ES`, RFC 7518 section 4.6, RFC 8037 section 3.2), with an ephemeral key for every
//! text, and the text is encrypted under it with `A256GCM` (RFC 7518 section 5.3). A header has exactly the members `alg`,
//! `enc`, `epk` and, where the key has one, `kid`.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use x25519_dalek::{StaticSecret, X25519_BASEPOINT_BYTES, x25519};
use zeroize::{Zeroize as _, Zeroizing};

use crate::b64;
use crate::json::{self, Node};
use crate::jwk::{ENCODED_KEY_LEN, JwkError, MAX_JWK_BYTES, PRIVATE_MEMBERS, PrivateJwk, member, optional, required};
use crate::key::KeyError;

/// Longest `kid` of a key, in bytes; a thumbprint has 43.
pub const MAX_KID_BYTES: usize = 128;
/// By how much a token may be longer than four thirds of its text, in bytes: the header with the longest `kid` (341), the
/// initialisation vector (16), the tag (22), four dots, and what rounding adds.
pub const MAX_OVERHEAD_BYTES: usize = 400;
/// Longest token read, in bytes: a text of 1 MiB.
pub const MAX_JWE_BYTES: usize = 2 * 1024 * 1024;

const ALG: &str = "ECDH-ES";
const ENC: &str = "A256GCM";
const KEY_BITS: u32 = 256;
const KEY_BYTES: usize = 32;
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Longest encoded header in bytes that is read.
const MAX_HEADER_BYTES: usize = 1024;
/// What no other use of the same seed has.
const SEED_LABEL: &[u8] = b"passgate jwe 1";

/// A text could not be encrypted. It does not happen with a key that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text cannot be encrypted")]
pub struct EncryptError;

/// Why a token was not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// Longer than [`MAX_JWE_BYTES`].
    #[error("token exceeds {MAX_JWE_BYTES} bytes")]
    TooLarge,
    /// Not five segments of which the second is empty, or a segment is no base64url or has another length than it should.
    #[error("token is no compact JWE whose key is agreed on directly")]
    Malformed,
    /// Another algorithm, another curve, or a member that is not known.
    #[error("token header is not accepted: `alg` ECDH-ES, `enc` A256GCM, `epk` with `crv` X25519, and perhaps `kid`")]
    Header,
    /// Encrypted to another key, or changed.
    #[error("token is encrypted to another key, or was changed")]
    Failed,
}

/// A public X25519 key that texts are encrypted to. Checked when it enters: canonically encoded and not of small order.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey {
    point: [u8; KEY_BYTES],
    kid: Option<String>,
}

impl EncryptionKey {
    /// Reads a public JWK of at most [`MAX_JWK_BYTES`] bytes: `kty` OKP, `crv` X25519 and `x`. `alg`, `use` and `kid` may be
    /// absent, but have to fit: `ECDH-ES`, `enc`, and 1 to [`MAX_KID_BYTES`] visible ASCII characters without `"` and `\`.
    ///
    /// # Errors
    /// [`JwkError`]; private members are refused, not skipped. No message has anything of the key.
    pub fn from_jwk(bytes: &[u8]) -> Result<Self, JwkError> {
        let jwk = json::read(bytes, MAX_JWK_BYTES).map_err(JwkError::Json)?;
        let members = jwk.as_object().ok_or(member("kty", "is missing: a JWK is an object"))?;
        if members.keys().any(|name| PRIVATE_MEMBERS.contains(&name.as_ref())) {
            return Err(JwkError::Private);
        }
        check_kind(required(members, "kty")?, required(members, "crv")?)?;
        check_usage(optional(members, "alg")?, optional(members, "use")?)?;
        let point =
            b64::decode_array(required(members, "x")?).map_err(|_| member("x", "is not the base64url of 32 bytes"))?;
        Self::checked(point, optional(members, "kid")?.map(str::to_owned))
    }

    fn checked(point: [u8; KEY_BYTES], kid: Option<String>) -> Result<Self, JwkError> {
        if !kid.as_deref().is_none_or(is_kid) {
            return Err(member("kid", "is not of 1 to 128 visible ASCII characters without `\"` and `\\`"));
        }
        if !is_reduced(&point) {
            return Err(member("x", "is not canonically encoded (RFC 7748 section 5)"));
        }
        // A clamped scalar is a multiple of eight: the points of small order, and no others, give zero.
        if x25519([1; KEY_BYTES], point) == [0; KEY_BYTES] {
            return Err(JwkError::Key(KeyError::Weak));
        }
        Ok(Self { point, kid })
    }

    /// What tokens name the key by.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// SHA-256 thumbprint of the JWK (RFC 7638): 43 base64url characters.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.point)
    }

    /// The public JWK, in this byte form, without `kid` where it has none: `{"crv":"X25519","kid":"…","kty":"OKP","x":"…"}`.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        let kid = self.kid.as_deref().map(|kid| [r#""kid":""#, kid, r#"","#].concat()).unwrap_or_default();
        [r#"{"crv":"X25519","#, &kid, r#""kty":"OKP","x":""#, &b64::encode(&self.point), r#""}"#].concat()
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncryptionKey").field(&b64::encode(&self.point)).finish()
    }
}

/// Random bytes, from a secure source, that ephemeral keys and initialisation vectors are made from. Wiped when dropped.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; Self::BYTES]>);

impl Seed {
    /// How many bytes it takes.
    pub const BYTES: usize = 32;

    /// Takes bytes that nothing else has been given.
    #[must_use]
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the place that judges.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The ephemeral key and the initialisation vector of a text.
    ///
    /// They depend on the text too: where a seed is used again, equal texts in equal places give equal tokens, and no two
    /// texts share a key.
    fn expand(&self, to: &EncryptionKey, number: u64, text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES + IV_BYTES]>> {
        let mut expanded = Zeroizing::new([0; KEY_BYTES + IV_BYTES]);
        let parts = [&number.to_be_bytes()[..], &to.point, text];
        Hkdf::<Sha256>::new(Some(SEED_LABEL), self.0.as_slice()).expand_multi_info(&parts, &mut *expanded).ok()?;
        Some(expanded)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// The compact JWE of a text for the holder of a key. `number` says which of the texts of this `seed` it is. Equal arguments
/// give equal bytes.
///
/// # Errors
/// [`EncryptError`], which does not happen with a key that was checked and a text that fits into memory.
pub fn encrypt(to: &EncryptionKey, text: &[u8], seed: &Seed, number: u64) -> Result<String, EncryptError> {
    let expanded = seed.expand(to, number, text).ok_or(EncryptError)?;
    let (secret, iv) = expanded.split_first_chunk::<KEY_BYTES>().ok_or(EncryptError)?;
    let iv: &[u8; IV_BYTES] = iv.try_into().map_err(|_| EncryptError)?;
    // The same ladder twice: a table of multiples would be as large as all the rest of this.
    let ephemeral = x25519(*secret, X25519_BASEPOINT_BYTES);
    let shared = Zeroizing::new(x25519(*secret, to.point));
    let key = content_key(&shared, &OtherInfo::OWN).ok_or(EncryptError)?;
    let mut token = String::with_capacity(text.len().div_ceil(3) * 4 + MAX_OVERHEAD_BYTES);
    b64::push(&mut token, header(&ephemeral, to.kid.as_deref()).as_bytes());
    let payload = Payload { msg: text, aad: token.as_bytes() };
    let sealed = Aes256Gcm::new((&*key).into()).encrypt(iv.into(), payload).map_err(|_| EncryptError)?;
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(EncryptError)?;
    token.push_str("..");
    b64::push(&mut token, iv);
    token.push('.');
    b64::push(&mut token, ciphertext);
    token.push('.');
    b64::push(&mut token, tag);
    Ok(token)
}

fn header(ephemeral: &[u8; KEY_BYTES], kid: Option<&str>) -> String {
    let (epk, kid) = (b64::encode(ephemeral), kid.map(|kid| [r#","kid":""#, kid, r#"""#].concat()).unwrap_or_default());
    [r#"{"alg":"ECDH-ES","enc":"A256GCM","epk":{"crv":"X25519","kty":"OKP","x":""#, &epk, r#""}"#, &kid, "}"].concat()
}

/// What a key is agreed on for (RFC 7518 section 4.6.2).
struct OtherInfo<'a> {
    algorithm: &'a str,
    party_u: &'a str,
    party_v: &'a str,
    key_bits: u32,
}

impl OtherInfo<'static> {
    const OWN: Self = Self { algorithm: ENC, party_u: "", party_v: "", key_bits: KEY_BITS };
}

impl OtherInfo<'_> {
    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for field in [self.algorithm, self.party_u, self.party_v] {
            bytes.extend_from_slice(&u32::try_from(field.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        bytes.extend_from_slice(&self.key_bits.to_be_bytes());
        Some(bytes)
    }
}

/// The key that texts are encrypted under (Concat KDF, NIST SP 800-56A); of a shorter one the first bytes.
fn content_key(shared: &[u8; KEY_BYTES], info: &OtherInfo<'_>) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    // RFC 7518 section 4.6, RFC 8037 section 3.2: a key that contributes nothing is refused.
    if *shared == [0; KEY_BYTES] {
        return None;
    }
    one_step_kdf::derive_key_into::<Sha256>(shared, &info.to_bytes()?, key.as_mut_slice()).ok()?;
    Some(key)
}

/// A private X25519 key, for whoever reads. Wiped when dropped, and never printed.
pub struct DecryptionKey {
    secret: StaticSecret,
    public: EncryptionKey,
}

impl DecryptionKey {
    /// Takes 32 bytes from a secure random source. The key is named by its thumbprint.
    #[must_use]
    pub fn from_seed(mut seed: [u8; KEY_BYTES]) -> Self {
        let secret = StaticSecret::from(seed);
        seed.zeroize();
        let point = x25519_dalek::PublicKey::from(&secret).to_bytes();
        Self { secret, public: EncryptionKey { kid: Some(thumbprint(&point)), point } }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &EncryptionKey {
        &self.public
    }

    /// The private JWK, in one line; wiped when dropped.
    #[must_use]
    pub fn to_private_jwk(&self) -> Zeroizing<String> {
        let mut d = Zeroizing::new([0_u8; ENCODED_KEY_LEN]);
        // The buffer has the exact size, so the call cannot fail; on an error `d` would stay zero and not read back.
        let _written = URL_SAFE_NO_PAD.encode_slice(self.secret.as_bytes(), d.as_mut_slice());
        // One allocation of the full size: growing would leave copies of the secret behind.
        let mut jwk = Zeroizing::new(String::with_capacity(512));
        let public = self.public.to_jwk();
        let (crv, rest) = public.split_once(',').unwrap_or_default();
        jwk.push_str(crv);
        jwk.push_str(r#","d":""#);
        jwk.push_str(core::str::from_utf8(d.as_slice()).unwrap_or_default());
        jwk.push_str(r#"","#);
        jwk.push_str(rest);
        jwk
    }

    /// Reads a private JWK of at most [`MAX_JWK_BYTES`] bytes.
    ///
    /// # Errors
    /// [`JwkError`]; `d` has to belong to `x`, and the public members follow the rules of [`EncryptionKey::from_jwk`].
    pub fn from_private_jwk(bytes: &[u8]) -> Result<Self, JwkError> {
        let jwk = PrivateJwk::<IgnoredAny>::read(bytes)?;
        check_kind(&jwk.kty, &jwk.crv)?;
        check_usage(jwk.alg.as_deref(), jwk.r#use.as_deref())?;
        let point = b64::decode_array(&jwk.x).map_err(|_| member("x", "is not the base64url of 32 bytes"))?;
        let public = EncryptionKey::checked(point, jwk.kid.clone())?;
        let secret = StaticSecret::from(*jwk.secret()?);
        let is_own = x25519_dalek::PublicKey::from(&secret).as_bytes() == &public.point;
        if is_own { Ok(Self { secret, public }) } else { Err(JwkError::Mismatch) }
    }

    /// The text of a token as [`encrypt`] makes it.
    ///
    /// # Errors
    /// [`DecryptError`].
    pub fn decrypt(&self, token: &str) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        if token.len() > MAX_JWE_BYTES {
            return Err(DecryptError::TooLarge);
        }
        let mut segments = token.split('.');
        let mut next = || segments.next().ok_or(DecryptError::Malformed);
        let (header, key, iv, ciphertext, tag) = (next()?, next()?, next()?, next()?, next()?);
        if segments.next().is_some() || !key.is_empty() {
            return Err(DecryptError::Malformed);
        }
        let ephemeral = read_header(header)?;
        let iv = b64::decode_array::<IV_BYTES>(iv).map_err(|_| DecryptError::Malformed)?;
        let mut sealed = b64::decode(ciphertext).map_err(|_| DecryptError::Malformed)?;
        sealed.extend(b64::decode_array::<TAG_BYTES>(tag).map_err(|_| DecryptError::Malformed)?);
        let shared = self.secret.diffie_hellman(&ephemeral.into());
        let key = content_key(shared.as_bytes(), &OtherInfo::OWN).ok_or(DecryptError::Failed)?;
        let payload = Payload { msg: &sealed, aad: header.as_bytes() };
        let text = Aes256Gcm::new((&*key).into()).decrypt((&iv).into(), payload);
        text.map(Zeroizing::new).map_err(|_| DecryptError::Failed)
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The ephemeral key of a header.
fn read_header(encoded: &str) -> Result<[u8; KEY_BYTES], DecryptError> {
    let bytes = b64::decode(encoded).map_err(|_| DecryptError::Malformed)?;
    let document = json::read(&bytes, MAX_HEADER_BYTES).map_err(|_| DecryptError::Header)?;
    let members = document.as_object().ok_or(DecryptError::Header)?;
    let text = |name: &str| members.get(name).and_then(Node::as_str);
    let is_known = |name: &str| ["alg", "enc", "epk", "kid"].contains(&name);
    if !members.keys().all(|name| is_known(name)) || text("alg") != Some(ALG) || text("enc") != Some(ENC) {
        return Err(DecryptError::Header);
    }
    let epk = members.get("epk").and_then(Node::as_object).ok_or(DecryptError::Header)?;
    let kind = (required(epk, "kty"), required(epk, "crv"));
    let (Ok("OKP"), Ok("X25519")) = kind else { return Err(DecryptError::Header) };
    b64::decode_array(required(epk, "x").map_err(|_| DecryptError::Header)?).map_err(|_| DecryptError::Header)
}

fn check_kind(kty: &str, crv: &str) -> Result<(), JwkError> {
    match (kty, crv) {
        ("OKP", "X25519") => Ok(()),
        ("OKP", _) => Err(member("crv", "is not X25519")),
        _ => Err(member("kty", "is not OKP")),
    }
}

fn check_usage(alg: Option<&str>, usage: Option<&str>) -> Result<(), JwkError> {
    match (alg, usage) {
        (None | Some(ALG), None | Some("enc")) => Ok(()),
        (None | Some(ALG), _) => Err(member("use", "is not enc")),
        _ => Err(member("alg", "is not ECDH-ES")),
    }
}

fn is_kid(kid: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=MAX_KID_BYTES).contains(&kid.len()) && kid.bytes().all(is_plain)
}

/// Whether the coordinate is below p = 2^255-19, with the bit clear that RFC 7748 section 5 ignores.
fn is_reduced([first, middle @ .., last]: &[u8; KEY_BYTES]) -> bool {
    *last < 0x7f || (*last == 0x7f && (*first < 0xed || middle.iter().any(|byte| *byte != 0xff)))
}

/// RFC 7638 section 3: SHA-256 over the required members in lexicographic order, without white space.
fn thumbprint(point: &[u8; KEY_BYTES]) -> String {
    let jwk = [r#"{"crv":"X25519","kty":"OKP","x":""#, &b64::encode(point), r#""}"#].concat();
    b64::encode(&Sha256::digest(jwk))
}

#[cfg(test)]
mod tests;
