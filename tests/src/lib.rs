//! mailward-tests
