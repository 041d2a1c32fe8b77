//! A TCP proxy that cuts connections where a test says so: faults of a network that cannot be made otherwise.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// As much as is passed on in one piece.
const PIECE: usize = 64 << 10;

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the piece that was waited for is passed on: the server never hears it.
    Before,
    /// After it is passed on, and before anything comes back: the server has heard it, the client cannot know.
    After,
    /// Never: but from that piece on nothing is passed on, as if the server's host had died without a word.
    Silently,
}

/// What a piece sent by the client is recognised by.
type Recognise = Box<dyn Fn(&[u8]) -> bool + Send>;

struct Trap {
    cut: Cut,
    left: usize,
    recognise: Recognise,
}

/// A proxy for one server. It ends when it is dropped.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    trap: Arc<Mutex<Option<Trap>>>,
    generation: watch::Sender<u64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Passes on what comes to `listener`. The server need not be there yet.
    pub fn start(listener: TcpListener, server: SocketAddr) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let trap: Arc<Mutex<Option<Trap>>> = Arc::default();
        let (generation, _) = watch::channel(0);
        let (traps, generations) = (Arc::clone(&trap), generation.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A server that is not there is a connection that ends at once.
                let Ok(server) = TcpStream::connect(server).await else { continue };
                tokio::spawn(pass(client, server, Arc::clone(&traps), generations.subscribe()));
            }
        });
        Ok(Self { address, trap, generation, accepting })
    }

    /// Cuts the next `times` connections whose client sends a piece that `recognise` knows.
    pub fn cut_when(&self, cut: Cut, times: usize, recognise: impl Fn(&[u8]) -> bool + Send + 'static) {
        let trap = Trap { cut, left: times, recognise: Box::new(recognise) };
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(trap);
    }

    /// How many cuts of the last [`Proxy::cut_when`] are still to come.
    #[must_use]
    pub fn cuts_left(&self) -> usize {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |trap| trap.left)
    }

    /// Cuts every present connection.
    pub fn cut_all(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

async fn pass(client: TcpStream, server: TcpStream, trap: Arc<Mutex<Option<Trap>>>, mut cut_all: watch::Receiver<u64>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let is_silent = AtomicBool::new(false);
    // Whichever ends first ends the connection; dropping the halves closes both sides.
    tokio::select! {
        _ = cut_all.changed() => {}
        () = requests(from_client, to_server, trap, &is_silent) => {}
        () = answers(from_server, to_client, &is_silent) => {}
    }
}

async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    trap: Arc<Mutex<Option<Trap>>>,
    is_silent: &AtomicBool,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let Ok(length @ 1..) = client.read(&mut piece).await else { return };
        let cut = sprung(&trap, &piece[..length]);
        if cut == Some(Cut::Silently) {
            is_silent.store(true, Ordering::SeqCst);
            return std::future::pending().await;
        }
        if cut == Some(Cut::Before) || server.write_all(&piece[..length]).await.is_err() || cut == Some(Cut::After) {
            return;
        }
    }
}

async fn answers(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, is_silent: &AtomicBool) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = server.read(&mut piece).await {
        if is_silent.load(Ordering::SeqCst) {
            break;
        }
        if client.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
    // The end of a server that is silent is not heard of, either.
    if is_silent.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
}

fn sprung(trap: &Mutex<Option<Trap>>, piece: &[u8]) -> Option<Cut> {
    let mut trap = trap.lock().unwrap_or_else(PoisonError::into_inner);
    let trap = trap.as_mut().filter(|trap| trap.left > 0 && (trap.recognise)(piece))?;
    trap.left -= 1;
    Some(trap.cut)
}
