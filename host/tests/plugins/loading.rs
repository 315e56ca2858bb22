//! Which components are taken into use, and what a host says of them.
