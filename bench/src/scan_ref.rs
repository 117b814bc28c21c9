//! scan-ref: a relay that costs next to nothing and sends every mail through clamd INSTREAM before the reply.
//! The measure for what scanning costs at least.
use memchr::memmem;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::spawn_local;

/// Serves until the process is ended.
pub(crate) async fn serve(listen: SocketAddr, server: SocketAddr, clamd: PathBuf) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let clamd: Rc<Path> = clamd.into();
    loop {
        let (client, _) = listener.accept().await?;
        let clamd = Rc::clone(&clamd);
        spawn_local(async move {
            let _ = session(client, server, &clamd).await;
        });
    }
}

async fn session(mut client: TcpStream, server: SocketAddr, clamd: &Path) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut answer = Vec::with_capacity(64 * 1024);
    let mut command = Vec::new();
    read_line(&mut server, &mut answer).await?;
    client.write_all(&answer).await?;
    loop {
        command.clear();
        if !read_line(&mut client, &mut command).await? {
            return Ok(());
        }
        server.write_all(&command).await?;
        answer.clear();
        read_line(&mut server, &mut answer).await?;
        let retrieve = command.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"RETR "));
        if retrieve && answer.starts_with(b"+OK") {
            while !answer.ends_with(b"\r\n.\r\n") {
                answer.reserve(64 * 1024);
                if server.read_buf(&mut answer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let body = memmem::find(&answer, b"\r\n").map_or(0, |end| end + 2);
            scan(clamd, answer.get(body..).unwrap_or_default()).await?;
        }
        client.write_all(&answer).await?;
        if command.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"QUIT")) {
            return Ok(());
        }
    }
}

async fn read_line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    while !buffer.contains(&b'\n') {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn scan(clamd: &Path, mail: &[u8]) -> io::Result<()> {
    let mut clamd = UnixStream::connect(clamd).await?;
    clamd.write_all(b"zINSTREAM\0").await?;
    for chunk in mail.chunks(128 * 1024) {
        clamd.write_all(&u32::try_from(chunk.len()).unwrap_or(0).to_be_bytes()).await?;
        clamd.write_all(chunk).await?;
    }
    clamd.write_all(&[0; 4]).await?;
    let mut reply = Vec::new();
    clamd.read_to_end(&mut reply).await?;
    if reply == b"stream: OK\0" { Ok(()) } else { Err(io::Error::other("clamd does not say OK")) }
}
