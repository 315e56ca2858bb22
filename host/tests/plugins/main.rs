//! Policy plugins in their host: good ones, broken ones, and those that mean harm.
#![cfg(test)]

mod guest;
mod support;

mod answers;
mod hostile;
mod loading;
