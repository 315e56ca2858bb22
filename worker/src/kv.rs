//! Workers KV: text under a key.
//!
//! The crate `worker` can do more, and brings along the metadata and options of every value, with the printing of floats.

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{Env, Error};

/// A namespace.
pub(crate) struct Kv(Namespace);

#[wasm_bindgen]
extern "C" {
    type Namespace;

    #[wasm_bindgen(method, catch)]
    fn get(this: &Namespace, key: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &Namespace, key: &str, value: &str) -> Result<Promise, JsValue>;
}

impl Kv {
    /// The namespace that is bound to this name.
    pub(crate) fn bound(env: &Env, name: &str) -> Option<Self> {
        let value = js_sys::Reflect::get(env, &name.into()).ok()?;
        value.is_object().then(|| Self(value.unchecked_into()))
    }

    /// The text under `key`.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let value = JsFuture::from(self.0.get(key)?).await?;
        Ok(value.as_string())
    }

    /// Puts `value` under `key`.
    pub(crate) async fn put(&self, key: &str, value: &str) -> Result<(), Error> {
        JsFuture::from(self.0.put(key, value)?).await?;
        Ok(())
    }
}
