//! Brokers that name none of themselves for a while, as one does that is just coming or going.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use ordervault_demo::own_server::OwnServer;

use super::scene::Scene;
use crate::proxied::{address, listener};

/// The kind of a request that asks for brokers and topics, and the version from which its answer is as it is read here.
const METADATA: [u8; 2] = [0, 3];
const FLEXIBLE: i16 = 10;
const NO_LEADER: [u8; 2] = [0, 5];
const NOBODY: [u8; 4] = (-1_i32).to_be_bytes();

/// Every client asks anew within this time.
const ASKED_BY_ALL: Duration = Duration::from_secs(12);
/// Whether a client loses its way then is decided by a race within it, and of the eight that there are some always do.
const TIMES: usize = 2;

/// A proxy for Kafka that takes the brokers and leaders out of what it answers while it is told so.
struct Nameless {
    told: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

/// The versions of the questions that are not answered yet, by their number.
type Asked = Arc<Mutex<HashMap<[u8; 4], i16>>>;

impl Nameless {
    fn start(listener: TcpListener, kafka: SocketAddr) -> Self {
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(kafka).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let (tell, asked) = (Arc::clone(&tell), Asked::default());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = requests(from_client, to_server, &asked) => {}
                        _ = answers(from_server, to_client, &asked, &tell) => {}
                    }
                });
            }
        });
        Self { told, accepting }
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A request or an answer, without its length.
async fn frame(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; usize::try_from(from.read_u32().await?).unwrap()];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn pass(frame: &[u8], to: &mut OwnedWriteHalf) -> std::io::Result<()> {
    to.write_u32(u32::try_from(frame.len()).unwrap()).await?;
    to.write_all(frame).await
}

async fn requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, asked: &Asked) -> std::io::Result<()> {
    loop {
        let request = frame(&mut client).await?;
        if request[..2] == METADATA {
            let version = i16::from_be_bytes([request[2], request[3]]);
            asked.lock().unwrap().insert(request[4..8].try_into().unwrap(), version);
        }
        pass(&request, &mut server).await?;
    }
}

async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    asked: &Asked,
    nameless: &AtomicBool,
) -> std::io::Result<()> {
    loop {
        let mut answer = frame(&mut server).await?;
        let version = asked.lock().unwrap().remove(&answer[..4]);
        if let Some(version) = version
            && nameless.load(Ordering::SeqCst)
        {
            assert!(version >= FLEXIBLE, "version {version}");
            answer = Rewritten { left: &answer, made: Vec::new() }.without_brokers();
        }
        pass(&answer, &mut client).await?;
    }
}

/// An answer on its way from what it was to what it becomes.
struct Rewritten<'a> {
    left: &'a [u8],
    made: Vec<u8>,
}

impl Rewritten<'_> {
    fn without_brokers(mut self) -> Vec<u8> {
        // Its number and the time for which to wait, with no fields of the future between them.
        self.keep(4 + 1 + 4);
        let before = self.made.len();
        for _ in 0..self.length() {
            self.keep(4);
            self.keep_text();
            self.keep(4);
            self.keep_text();
            self.keep(1);
        }
        // An empty list.
        self.made.truncate(before);
        self.made.push(1);
        self.keep_text();
        self.replace(&NOBODY);
        for _ in 0..self.length() {
            self.keep(2);
            self.keep_text();
            self.keep(16 + 1);
            for _ in 0..self.length() {
                self.replace(&NO_LEADER);
                self.keep(4);
                self.replace(&NOBODY);
                self.keep(4);
                // The replicas, those in step, and those that are away.
                for _ in 0..3 {
                    let ids = self.length();
                    self.keep(4 * ids);
                }
                self.keep(1);
            }
            self.keep(4 + 1);
        }
        self.keep(self.left.len());
        self.made
    }

    fn keep(&mut self, bytes: usize) {
        let (kept, left) = self.left.split_at(bytes);
        self.made.extend_from_slice(kept);
        self.left = left;
    }

    fn replace(&mut self, with: &[u8]) {
        self.made.extend_from_slice(with);
        self.left = &self.left[with.len()..];
    }

    /// Keeps a length and returns it. It is written one larger than it is, and 0 for what is not there.
    fn length(&mut self) -> usize {
        let mut length = 0;
        for shift in (0..).step_by(7) {
            let byte = self.left[0];
            self.keep(1);
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        length.saturating_sub(1)
    }

    fn keep_text(&mut self) {
        let bytes = self.length();
        self.keep(bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_name_none_of_themselves_for_a_while_are_found_again() {
    let before_kafka = listener().await;
    let advertised = before_kafka.local_addr().unwrap().port();
    let kafka = OwnServer::start("kafka", &[("KAFKA_ADVERTISED_PORT", advertised.to_string())]).unwrap();
    let mut environment = kafka.environment("KAFKA_").unwrap();
    let proxy = Nameless::start(before_kafka, address(&environment, "KAFKA_HOST", "KAFKA_PORT"));
    environment.insert("KAFKA_PORT".to_owned(), advertised.to_string());
    let mut scene = Scene::set(environment, "nameless").await;
    scene.start().await;
    scene.produce(300).await;
    for _ in 0..TIMES {
        proxy.told.store(true, Ordering::SeqCst);
        tokio::time::sleep(ASKED_BY_ALL).await;
        proxy.told.store(false, Ordering::SeqCst);
        scene.recovered().await;
    }
    scene.produce(500).await;
    scene.end().await;
}
