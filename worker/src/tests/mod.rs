//! The whole worker but for its confinement: real loopback sockets, a scripted supervisor, server, client and scanner.
mod hostile;
mod lab;
mod relay;
mod scanned;
