//! The registry itself.

/// Who answers for a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tested {
    /// A check in the tests of this crate of the workspace.
    By(&'static str),
    /// Nobody yet: the part of the work that brings what it describes.
    Later(&'static str),
    /// Words about the file; there is nothing to compute.
    Prose,
}

/// Rows of file, answer, keys.
pub const REGISTRY: &[(&str, Tested, &[&str])] = &[];
