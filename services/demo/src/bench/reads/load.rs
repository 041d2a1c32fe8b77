//! A client that asks as fast as it is answered, and needs next to nothing itself: it shares the processors with what it
//! measures.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Asks over so many connections for so long, each for the paths in turn; returns the answers a second.
pub async fn rate(host: &str, paths: &[String], connections: usize, time: Duration) -> io::Result<f64> {
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for client in 0..connections {
        let (host, paths) = (host.to_owned(), paths.to_vec());
        clients.spawn(async move {
            let mut connection = Connection::open(&host).await?;
            let mut answers = 0_u32;
            for path in paths.iter().cycle().skip(client) {
                if began.elapsed() >= time {
                    break;
                }
                connection.ask(path).await?;
                answers += 1;
            }
            Ok::<_, io::Error>(answers)
        });
    }
    let mut answers = 0;
    while let Some(client) = clients.join_next().await {
        answers += client.map_err(io::Error::other)??;
    }
    Ok(f64::from(answers) / began.elapsed().as_secs_f64())
}

/// One connection that is kept.
pub struct Connection {
    host: String,
    stream: TcpStream,
    held: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { host: host.to_owned(), stream, held: Vec::with_capacity(64 << 10) })
    }

    /// Asks for a path whose answer says how long it is; returns how long that took.
    pub async fn ask(&mut self, path: &str) -> io::Result<Duration> {
        let began = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).await?;
        self.held.clear();
        let whole = loop {
            if self.stream.read_buf(&mut self.held).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                break head + 4 + length(&self.held[..head])?;
            }
        };
        while self.held.len() < whole {
            if self.stream.read_buf(&mut self.held).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(began.elapsed())
    }
}

/// How long the body is, by the head of an answer that is one.
fn length(head: &[u8]) -> io::Result<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    match length {
        Some(length) if head.starts_with("http/1.1 200 ") => Ok(length),
        _ => Err(io::Error::other(format!("answered with {head}"))),
    }
}
