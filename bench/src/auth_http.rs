//! The HTTP answer that nginx's mail module asks for at each login.
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::spawn_local;

/// Sends every user to `server`.
pub(crate) async fn serve(listen: SocketAddr, server: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (mut client, _) = listener.accept().await?;
        spawn_local(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if client.read_buf(&mut request).await? == 0 {
                    break;
                }
            }
            let answer = format!(
                "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n",
                server.ip(),
                server.port()
            );
            client.write_all(answer.as_bytes()).await
        });
    }
}
