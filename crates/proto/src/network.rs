//! The network file, and the signed directory of its nodes.
