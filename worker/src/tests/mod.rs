//! The whole worker: real loopback sockets, a scripted supervisor, server, client and scanner.
mod confined;
mod hostile;
mod lab;
mod relay;
mod scanned;
