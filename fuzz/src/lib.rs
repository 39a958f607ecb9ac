//! Program generators and oracles.
