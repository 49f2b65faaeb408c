//! A WebSocket chat: an axum server and 1000 tokio-tungstenite clients in one process.
//!
//! Some clients freeze: their sockets stay open, and nobody reads them any more. The server finds
//! them and takes them out of the room; nobody else is. It ends by itself.

#![allow(clippy::std_instead_of_alloc, reason = "a program has std")]

use core::future::pending;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use axum::extract::{Path, State, WebSocketUpgrade, ws};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use heartbeat_proto::adapter::message::{Error, Format, Heartbeat, Kind};
use heartbeat_proto::adapter::tokio::TokioTimer;
use heartbeat_proto::adapter::{Ended, TokioClock};
use heartbeat_proto::{Config, Report, Timestamp};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::{Bytes, Message};

const CLIENTS: usize = 1000;
/// Clients in a room; each hears all that is said there.
const ROOM: usize = 10;
/// Every so many-th client freezes.
const FREEZES: usize = 50;

/// How axum names its messages.
struct Axum;

impl Format for Axum {
    type Message = ws::Message;

    fn kind(message: &ws::Message) -> Kind<'_> {
        match message {
            ws::Message::Ping(payload) => Kind::Ping(payload),
            ws::Message::Pong(payload) => Kind::Pong(payload),
            ws::Message::Close(_) => Kind::Close,
            _ => Kind::Data,
        }
    }

    fn ping(payload: &[u8]) -> ws::Message {
        ws::Message::Ping(Bytes::copy_from_slice(payload))
    }
}

/// How tungstenite names its messages.
struct Tungstenite;

impl Format for Tungstenite {
    type Message = Message;

    fn kind(message: &Message) -> Kind<'_> {
        match message {
            Message::Ping(payload) => Kind::Ping(payload),
            Message::Pong(payload) => Kind::Pong(payload),
            Message::Close(_) => Kind::Close,
            _ => Kind::Data,
        }
    }

    fn ping(payload: &[u8]) -> Message {
        Message::Ping(Bytes::copy_from_slice(payload))
    }
}

/// What the clients and the server tell the main program.
enum News {
    Joined,
    Frozen {
        client: usize,
        at: Timestamp,
    },
    /// The server took a client out of its room.
    Removed {
        client: usize,
        at: Timestamp,
        report: Report,
    },
    /// A client closed its connection, or (which should not be) lost it.
    Left {
        heard: usize,
        error: Option<String>,
    },
}

/// What all tasks share.
struct Chat {
    config: Config,
    clock: TokioClock,
    news: UnboundedSender<News>,
    rooms: Vec<broadcast::Sender<ws::Utf8Bytes>>,
}

impl Chat {
    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }

    /// One client on the server: says to the room what it says, and hears what is said there.
    async fn serve(&self, socket: ws::WebSocket, client: usize) {
        let mut socket = Heartbeat::over(Axum, socket, TokioTimer::new(), self.config);
        let room = &self.rooms[client / ROOM % self.rooms.len()];
        let mut said = room.subscribe();
        self.tell(News::Joined);
        let error = loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(ws::Message::Text(line))) => drop(room.send(line)),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break error,
                    None => return, // It said goodbye.
                },
                Ok(line) = said.recv() => {
                    if let Err(error) = socket.send(ws::Message::Text(line)).await {
                        break error;
                    }
                }
            }
        };
        // Any other error: it left without a goodbye.
        if let Error::Ended(Ended::Lost(report)) = error {
            self.tell(News::Removed { client, at: self.clock.now(), report });
        }
    }

    /// One client: says something every two seconds, and listens.
    async fn join(
        &self,
        client: usize,
        server: SocketAddr,
        mut scene: watch::Receiver<Scene>,
    ) -> Result<usize, Box<dyn core::error::Error + Send + Sync>> {
        let tcp = TcpStream::connect(server).await?;
        let url = format!("ws://{server}/{client}");
        let (socket, _) = tokio_tungstenite::client_async(url, tcp).await?;
        let mut socket = Heartbeat::over(Tungstenite, socket, TokioTimer::new(), self.config);
        let mut talk = tokio::time::interval(Duration::from_secs(2));
        let mut heard = 0;
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(message) => heard += usize::from(message?.is_text()),
                    None => return Err("the server closed".into()),
                },
                _ = talk.tick() => socket.send(Message::text(format!("I am {client}"))).await?,
                changed = scene.changed() => match changed.map(|()| *scene.borrow())? {
                    Scene::Freeze if client % FREEZES == 0 => {
                        self.tell(News::Frozen { client, at: self.clock.now() });
                        return pending().await; // The socket is still there.
                    }
                    Scene::Leave => {
                        socket.close().await?;
                        return Ok(heard);
                    }
                    _ => {}
                },
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Scene {
    Talk,
    Freeze,
    Leave,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    allow_many_sockets()?;
    let (news, mut told) = unbounded_channel();
    let chat = Arc::new(Chat {
        config: Config::detect_within(Duration::from_secs(8))?,
        clock: TokioClock::new(),
        news,
        rooms: (0..CLIENTS / ROOM).map(|_| broadcast::Sender::new(64)).collect(),
    });
    let upgrade = |upgrade: WebSocketUpgrade,
                   Path(client): Path<usize>,
                   State(chat): State<Arc<Chat>>| async move {
        upgrade.on_upgrade(move |socket| async move { chat.serve(socket, client).await })
    };
    let app = axum::Router::new().route("/{client}", get(upgrade)).with_state(Arc::clone(&chat));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let (scene, _) = watch::channel(Scene::Talk);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (chat, scene) = (Arc::clone(&chat), scene.subscribe());
        clients.spawn(async move {
            let (heard, error) = match chat.join(client, address, scene).await {
                Ok(heard) => (heard, None),
                Err(error) => (0, Some(error.to_string())),
            };
            chat.tell(News::Left { heard, error });
        });
    }

    let (mut joined, mut frozen, mut removed) = (0, Vec::new(), Vec::new());
    let (mut left, mut heard_by_all) = (0, 0);
    while left < CLIENTS - CLIENTS / FREEZES {
        match told.recv().await.ok_or("somebody is there to tell")? {
            News::Joined => {
                joined += 1;
                if joined == CLIENTS {
                    println!("{joined} clients talk in {} rooms", chat.rooms.len());
                    sleep(Duration::from_secs(2)).await;
                    scene.send(Scene::Freeze)?;
                }
            }
            News::Frozen { client, at } => frozen.push((client, at)),
            News::Removed { client, at, report } => {
                if removed.is_empty() {
                    println!("first removed: client {client}: {report}");
                }
                removed.push((client, at));
                if removed.len() == CLIENTS / FREEZES {
                    sleep(Duration::from_secs(1)).await; // Is nobody else?
                    scene.send(Scene::Leave)?;
                }
            }
            News::Left { heard, error: None } => {
                left += 1;
                heard_by_all += heard;
            }
            News::Left { error: Some(error), .. } => return Err(error.into()),
        }
    }

    frozen.sort_unstable();
    removed.sort_unstable();
    let names = |list: &[(usize, Timestamp)]| list.iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(names(&frozen), names(&removed), "all that froze, and nobody else");
    let mut spans: Vec<Duration> = frozen
        .iter()
        .zip(&removed)
        .map(|(froze, gone)| gone.1.saturating_duration_since(froze.1))
        .collect();
    spans.sort_unstable();
    println!("{} froze, {} removed, {left} left by themselves", frozen.len(), removed.len());
    println!(
        "found after {:.2?} to {:.2?}, median {:.2?}; promised: {:.2?}",
        spans[0],
        spans[spans.len() - 1],
        spans[spans.len() / 2],
        chat.config.worst_case_detection(),
    );
    println!("{heard_by_all} lines heard");
    server.abort();
    Ok(())
}

/// Two sockets for each client: more than many systems allow unasked.
fn allow_many_sockets() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}
