//! mailward-bench
